"""Whether one section lies on another at all: what matches there, and what matches elsewhere.

Any two pieces of tissue match a little once they may be bent. So the same search is made where the
sections cannot belong together: beside the place that was found, and with the moving section turned
over, laid on the fixed one as well as that goes. Only what matches much better is believed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.registration.convex import CELL, convex_displacement
from uhrtranslate.registration.looks import Picture

Mask = NDArray[np.bool_]
# The search at each place; together it reaches 30 px, about half of `AWAY`.
LEVELS = ((4, 5), (2, 5))
# Wrong places: so many, so far away in px of pictures of at most 1024 px.
PLACES, AWAY = 8, 64


@dataclass(frozen=True)
class Evidence:
    """What was found in the place, and in wrong ones.

    Attributes:
        score: mean local correlation after the search in the place, 0..1.
        elsewhere: the same beside the place, on average.
        mirrored: the same with the moving section turned over; None if it was not laid.
        above_chance: standard deviations (of the wrong places) of the score above them.
    """

    score: float
    elsewhere: float
    mirrored: float | None
    above_chance: float

    @property
    def over_mirrored(self) -> float:
        """How many times more the score is above chance than with the section turned over."""
        if self.mirrored is None:
            return float("inf")
        return (self.score - self.elsewhere) / max(self.mirrored - self.elsewhere, 1e-4)


@dataclass(frozen=True, eq=False)
class Laid:
    """The moving section as it was laid on the fixed one.

    Attributes:
        picture: [h, w] float32 in 0..1.
        inside: [h, w], what it covers.
    """

    picture: Picture
    inside: Mask


def gather_evidence(fixed: Picture, tissue: Mask, laid: Laid, mirrored: Laid | None) -> Evidence:
    """Search in the place where the moving section was laid, and in wrong ones.

    Args:
        fixed: [h, w] float32 in 0..1.
        tissue: [h, w], where it is compared.
        laid: of the same size and look, before it was bent.
        mirrored: likewise, of the moving section turned over.
    """
    score = _score(fixed, tissue, laid)
    wrong = []
    for angle in (np.arange(PLACES) + 0.5) * (2 * np.pi / PLACES):
        shift = round(AWAY * np.sin(angle)), round(AWAY * np.cos(angle))
        beside = Laid(np.roll(laid.picture, shift, (0, 1)), np.roll(laid.inside, shift, (0, 1)))
        wrong.append(_score(fixed, tissue, beside))
    chance, spread = float(np.mean(wrong)), float(np.std(wrong, ddof=1))
    return Evidence(
        score=round(score, 4),
        elsewhere=round(chance, 4),
        mirrored=None if mirrored is None else round(_score(fixed, tissue, mirrored), 4),
        above_chance=round((score - chance) / max(spread, 1e-3), 2),
    )


def _score(fixed: Picture, tissue: Mask, laid: Laid) -> float:
    scores = convex_displacement(fixed, laid.picture, laid.inside, LEVELS)[1]
    side = CELL * LEVELS[-1][0]
    rows, cols = ((np.arange(n) * side + side // 2).clip(0, m - 1)
                  for n, m in zip(scores.shape, fixed.shape, strict=True))  # fmt: skip
    compared = (tissue & laid.inside)[np.ix_(rows, cols)]
    return float(scores[compared].mean()) if compared.any() else 0.0
