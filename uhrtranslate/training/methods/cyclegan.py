"""CycleGAN (Zhu 2017): two generators that undo each other."""

from collections.abc import Iterator
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from uhrtranslate.training.data.image_pool import ImagePool
from uhrtranslate.training.losses import adversarial
from uhrtranslate.training.method_options import CycleGanOptions
from uhrtranslate.training.methods.base import Method, Phase
from uhrtranslate.training.networks.generators import frozen, make_discriminator, make_generator


class CycleGan(Method):
    """LSGAN both ways, the way there and back, and identity.

    Args:
        options: of the method.
    """

    def __init__(self, options: CycleGanOptions) -> None:
        self.options = options
        self.groups = {"generators": ("A2B", "B2A"), "discriminators": ("judge_A", "judge_B")}
        self.generators = {"A2B": "A2B", "B2A": "B2A"}
        self.networks = nn.ModuleDict(
            {
                "A2B": make_generator(options.generator),
                "B2A": make_generator(options.generator),
                "judge_A": make_discriminator(options.discriminator),
                "judge_B": make_discriminator(options.discriminator),
            }
        )
        self.pools = {"A": ImagePool(options.pool), "B": ImagePool(options.pool)}

    def step(self, a: Tensor, b: Tensor) -> Iterator[Phase]:
        """See `Method`."""
        nets, options = self.networks, self.options
        with frozen(nets["judge_A"], nets["judge_B"]):
            fake_b, fake_a = nets["A2B"](a), nets["B2A"](b)
            parts = {
                "gan_A2B": adversarial("lsgan", nets["judge_B"](fake_b), True),
                "gan_B2A": adversarial("lsgan", nets["judge_A"](fake_a), True),
                "cycle_A": F.l1_loss(nets["B2A"](fake_b), a),
                "cycle_B": F.l1_loss(nets["A2B"](fake_a), b),
            }
            loss = parts["gan_A2B"] + parts["gan_B2A"]
            loss = loss + options.cycle * (parts["cycle_A"] + parts["cycle_B"])
            if options.identity:
                parts["identity_A"] = F.l1_loss(nets["B2A"](a), a)
                parts["identity_B"] = F.l1_loss(nets["A2B"](b), b)
                same = parts["identity_A"] + parts["identity_B"]
                loss = loss + options.cycle * options.identity * same
            yield Phase("generators", loss, parts)
        shown = {
            "A": (a, self.pools["A"].swap(fake_a.detach())),
            "B": (b, self.pools["B"].swap(fake_b.detach())),
        }
        judged = {
            f"judge_{name}": 0.5
            * (
                adversarial("lsgan", nets[f"judge_{name}"](real), True)
                + adversarial("lsgan", nets[f"judge_{name}"](fake), False)
            )
            for name, (real, fake) in shown.items()
        }
        yield Phase("discriminators", judged["judge_A"] + judged["judge_B"], judged)

    def state(self) -> dict[str, Any]:
        """See `Method`."""
        return {name: list(pool.images) for name, pool in self.pools.items()}

    def load_state(self, state: dict[str, Any]) -> None:
        """See `Method`."""
        device = next(self.networks.parameters()).device
        for name, pool in self.pools.items():
            pool.images = [image.to(device) for image in state[name]]
