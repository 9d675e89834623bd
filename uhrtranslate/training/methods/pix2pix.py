"""pix2pix (Isola 2017): pairs, a conditional discriminator and an absolute difference."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uhrtranslate.training.losses import adversarial
from uhrtranslate.training.method_options import Pix2PixOptions
from uhrtranslate.training.methods.base import Method, Phase
from uhrtranslate.training.networks.generators import frozen, make_discriminator, make_generator


class Pix2Pix(Method):
    """A conditional GAN and L1.

    Args:
        options: of the method.
    """

    def __init__(self, options: Pix2PixOptions) -> None:
        self.options = options
        self.groups = {"discriminator": ("judge",), "generator": ("A2B",)}
        self.generators = {"A2B": "A2B"}
        self.networks = nn.ModuleDict(
            {
                "A2B": make_generator(options.generator),
                "judge": make_discriminator(options.discriminator, in_channels=6),
            }
        )

    def step(self, a: Tensor, b: Tensor) -> Iterator[Phase]:
        """See `Method`."""
        fake = self.networks["A2B"](a)
        difference, parts = self.difference(fake, b)
        if not self.options.adversarial:
            yield Phase("generator", difference, parts)
            return
        real, made = torch.cat([a, b], 1), torch.cat([a, fake], 1)
        nets, gan = self.networks, self.options.gan
        judge = 0.5 * (
            adversarial(gan, nets["judge"](real), True)
            + adversarial(gan, nets["judge"](made.detach()), False)
        )
        yield Phase("discriminator", judge, {"judge": judge})
        with frozen(nets["judge"]):
            score = adversarial(gan, nets["judge"](made), True)
        loss = self.options.adversarial * score + difference
        yield Phase("generator", loss, {"gan": score, **parts})

    def difference(self, fake: Tensor, b: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted distance of a result from its target, and its parts."""
        l1 = F.l1_loss(fake, b)
        return self.options.l1 * l1, {"l1": l1}
