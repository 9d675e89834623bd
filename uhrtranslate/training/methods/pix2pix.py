"""pix2pix (Isola 2017): pairs, a conditional discriminator and an absolute difference."""

from collections.abc import Iterator
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from uhrtranslate.enhance import channels_of
from uhrtranslate.training.losses import Gan, adversarial, telling_apart
from uhrtranslate.training.methods.base import GeneratorMethod, Phase, Samples, source_of
from uhrtranslate.training.networks.making import frozen, make_discriminator, make_generator
from uhrtranslate.training.options import DiscriminatorOptions, GanOptions, GeneratorOptions, Weight


class Pix2PixOptions(GanOptions):
    """pix2pix's options.

    Attributes:
        adversarial, l1: weights of the two losses; adversarial 0 trains without a discriminator.
        gan: vanilla (cross-entropy) or lsgan.
    """

    generator: GeneratorOptions = GeneratorOptions(architecture="unet", norm="batch", dropout=True)
    discriminator: DiscriminatorOptions = DiscriminatorOptions(norm="batch")
    epochs: Annotated[int, Field(ge=0)] = 100
    decay: Annotated[int, Field(ge=0)] = 100
    adversarial: Weight = 1.0
    l1: Weight = 100.0
    gan: Gan = "vanilla"


class Pix2Pix(GeneratorMethod):
    """A conditional GAN and L1."""

    options_class: ClassVar[type[Pix2PixOptions]] = Pix2PixOptions
    options: Pix2PixOptions
    paired = True

    def __init__(self, options: Pix2PixOptions) -> None:
        super().__init__(options)
        self.groups = {"discriminator": ("judge",), "generator": ("A2B",)}
        self.networks = nn.ModuleDict(
            {
                "A2B": make_generator(options.generator),
                "judge": make_discriminator(
                    options.discriminator, channels_of(options.generator.inputs) + 3
                ),
            }
        )

    def step(self, samples: Samples) -> Iterator[Phase]:
        """See `Method`."""
        a, b = source_of(samples), samples["B"]
        fake = self.networks["A2B"](a)
        difference, parts = self.difference(fake, b)
        if not self.options.adversarial:
            yield Phase("generator", difference, parts)
            return
        real, made = torch.cat([a, b], 1), torch.cat([a, fake], 1)
        nets, gan = self.networks, self.options.gan
        judge = telling_apart(gan, nets["judge"], real, made.detach())
        yield Phase("discriminator", judge, {"judge": judge})
        with frozen(nets["judge"]):
            score = adversarial(gan, nets["judge"](made), True)
        loss = self.options.adversarial * score + difference
        yield Phase("generator", loss, {"gan": score, **parts})

    def difference(self, fake: Tensor, b: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted distance of a result from its target, and its parts."""
        l1 = F.l1_loss(fake, b)
        return self.options.l1 * l1, {"l1": l1}
