"""Resolutions that users state, for slides that do not say theirs or say a wrong one."""

from dataclasses import dataclass, replace
from typing import Protocol

from uhrtranslate.io.slide import Slide

# Micrometres per pixel times objective power. Scanners differ by a tenth or two: 40x is 0.22 to
# 0.28 um/px, 20x is 0.45 to 0.55.
CONVENTION = 10.0


@dataclass(frozen=True)
class Stated:
    """What a user says of a slide's resolution.

    Attributes:
        mpp: micrometres per pixel of level 0.
        power: the objective's nominal number, if that is what was stated.
        if_unknown: it holds only for slides that say nothing themselves.
    """

    mpp: float
    power: float | None = None
    if_unknown: bool = False

    def of(self, slide: Slide) -> None:
        """Have a slide say this."""
        own = slide.info.mpp
        if self.if_unknown and own is not None:
            return
        mpp = self.mpp, self.mpp
        overruled = own if own is not None and own != mpp else None
        power = self.power or slide.info.objective_power
        slide.info = replace(slide.info, mpp=mpp, objective_power=power, overruled_mpp=overruled)


class SourceOptions(Protocol):
    """Options of a task that reads slides."""

    @property
    def source_mpp(self) -> float | None: ...  # noqa: D102

    @property
    def source_power(self) -> float | None: ...  # noqa: D102


def stated_by(options: SourceOptions, if_unknown: bool = False) -> Stated | None:
    """What options state of the slides that are read; None if nothing.

    An objective power gives an mpp by convention: 10 um/px divided by it. For `if_unknown` see
    `Stated`.
    """
    if options.source_mpp is not None:
        return Stated(options.source_mpp, if_unknown=if_unknown)
    power = options.source_power
    return None if power is None else Stated(CONVENTION / power, power, if_unknown)
