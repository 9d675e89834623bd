"""CycleGAN (Zhu 2017): two generators that undo each other."""

from collections.abc import Iterator
from typing import Annotated, Any

import torch.nn.functional as F
from pydantic import Field
from torch import nn

from uhrtranslate.training.image_pool import ImagePool
from uhrtranslate.training.losses import adversarial, telling_apart
from uhrtranslate.training.methods.base import GeneratorMethod, Phase, Samples, source_of
from uhrtranslate.training.networks.making import frozen, make_discriminator, make_generator
from uhrtranslate.training.networks.plane_maker import PlaneMaker
from uhrtranslate.training.options import GanOptions, Weight


class CycleGanOptions(GanOptions):
    """CycleGAN's options.

    Attributes:
        cycle: weight of the way there and back.
        identity: weight of leaving a domain's own patches alone, as a share of `cycle`.
        pool: earlier fakes that the discriminators are shown again.
    """

    cycle: Weight = 10.0
    identity: Weight = 0.5
    pool: Annotated[int, Field(ge=0, le=10_000)] = 50


class CycleGan(GeneratorMethod):
    """LSGAN both ways, the way there and back, and identity."""

    options_class = CycleGanOptions
    options: CycleGanOptions

    def __init__(self, options: CycleGanOptions) -> None:
        super().__init__(options)
        self.groups = {"generators": ("A2B", "B2A"), "discriminators": ("judge_A", "judge_B")}
        self.exported = {"A2B": "A2B", "B2A": "B2A"}
        inputs = options.generator.inputs
        self.fixed = nn.ModuleDict({name: PlaneMaker(inputs, name) for name in "AB"})
        self.networks = nn.ModuleDict(
            {
                "A2B": make_generator(options.generator),
                "B2A": make_generator(options.generator.backwards),
                "judge_A": make_discriminator(options.discriminator),
                "judge_B": make_discriminator(options.discriminator),
            }
        )
        self.pools = {"A": ImagePool(options.pool), "B": ImagePool(options.pool)}

    def step(self, samples: Samples) -> Iterator[Phase]:
        """See `Method`."""
        a, b, nets, options = samples["A"], samples["B"], self.networks, self.options
        with frozen(nets["judge_A"], nets["judge_B"]):
            fake_b, fake_a = nets["A2B"](source_of(samples)), nets["B2A"](b)
            parts = {
                "gan_A2B": adversarial("lsgan", nets["judge_B"](fake_b), True),
                "gan_B2A": adversarial("lsgan", nets["judge_A"](fake_a), True),
                "cycle_A": F.l1_loss(nets["B2A"](fake_b), a),
                "cycle_B": F.l1_loss(nets["A2B"](self.fixed["A"](fake_a)), b),
            }
            loss = parts["gan_A2B"] + parts["gan_B2A"]
            loss = loss + options.cycle * (parts["cycle_A"] + parts["cycle_B"])
            if options.identity:
                parts["identity_A"] = F.l1_loss(nets["B2A"](a), a)
                parts["identity_B"] = F.l1_loss(nets["A2B"](self.fixed["B"](b)), b)
                same = parts["identity_A"] + parts["identity_B"]
                loss = loss + options.cycle * options.identity * same
            yield Phase("generators", loss, parts)
        parts = {}
        for domain, fake in (("A", fake_a), ("B", fake_b)):
            shown = self.pools[domain].swap(fake.detach())
            judge = nets[f"judge_{domain}"]
            parts[f"judge_{domain}"] = telling_apart("lsgan", judge, samples[domain], shown)
        yield Phase("discriminators", parts["judge_A"] + parts["judge_B"], parts)

    def state(self) -> dict[str, Any]:
        """See `Method`."""
        return {domain: list(pool.images) for domain, pool in self.pools.items()}

    def load_state(self, state: dict[str, Any]) -> None:
        """See `Method`."""
        device = next(self.networks.parameters()).device
        for domain, pool in self.pools.items():
            pool.images = [image.to(device) for image in state[domain]]
