"""Digital staining (Xu et al.) from pairs that do not align, such as neighbouring sections.

A registration network bends the student's result onto its partner before the two are compared, so
the student need not learn where the partner lies.
"""

from typing import Annotated, Self

import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from uhrtranslate.training.methods.base import Samples
from uhrtranslate.training.methods.digital_staining import DigitalStaining, DigitalStainingOptions
from uhrtranslate.training.networks.registration import Registration, roughness, warp
from uhrtranslate.training.options import Section, Weight

MOST_LEVELS = 7


class RegistrationOptions(Section):
    """The network that says where each pixel of the partner lies in the result.

    Attributes:
        width: channels at full size; twice as many further inside.
        levels: halvings; patches have at least 2**levels px. None: 7, or as many as patches allow.
    """

    width: Annotated[int, Field(ge=1, le=256)] = 32
    levels: Annotated[int | None, Field(ge=1, le=MOST_LEVELS)] = None


class PairedStainingOptions(DigitalStainingOptions):
    """Options of digital staining from pairs.

    Attributes:
        content: weight of the difference between the bent result and the partner.
        smoothness: weight of the unevenness of the displacements.
        squared: unevenness by squares, as in RegGAN, or by lengths, as in the equation.
        align: whether results are bent; without, they are compared as they are.
        registration: a section, see `RegistrationOptions`.
    """

    distillation: Weight = 2.0
    cycle: Weight = 10.0
    content: Weight = 20.0
    smoothness: Weight = 10.0
    squared: bool = True
    align: bool = True
    registration: RegistrationOptions = RegistrationOptions()

    @property
    def levels(self) -> int:
        """Halvings of the registration network."""
        allowed = min(MOST_LEVELS, self.data.patch.bit_length() - 1)
        return self.registration.levels or allowed

    @model_validator(mode="after")
    def _patch_fits_registration(self) -> Self:
        if 2**self.levels > self.data.patch:
            raise ValueError(
                f"data.patch {self.data.patch} is too small for the registration; "
                f"{self.levels} levels need {2**self.levels} px"
            )
        return self


class DigitalStainingPaired(DigitalStaining):
    """Digital staining, a registration network, and L1 to the partner."""

    options_class = PairedStainingOptions
    options: PairedStainingOptions
    paired = True

    def __init__(self, options: PairedStainingOptions) -> None:
        super().__init__(options)
        self.aligned = bool(options.align and options.content)
        if self.aligned:
            width = options.registration.width
            self.networks["registration"] = Registration(width, options.levels)
            self.groups["student"] += ("registration",)

    def errors(self, fake: Tensor, samples: Samples) -> tuple[Tensor, dict[str, Tensor]]:
        """See `DigitalStaining`."""
        loss, parts = super().errors(fake, samples)
        options, b = self.options, samples["B"]
        if not options.content:
            return loss, parts
        bent = fake
        if self.aligned:
            field = self.networks["registration"](fake, b).float()
            bent = warp(fake.float(), field)
            parts["smoothness"] = roughness(field, options.squared)
            loss = loss + options.smoothness * parts["smoothness"]
        parts["content"] = F.l1_loss(bent, b)
        return loss + options.content * parts["content"], parts
