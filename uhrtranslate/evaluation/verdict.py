"""Whether seams show, in one word, from the figures of the group `seam`."""

from collections.abc import Mapping
from typing import Any, Literal

SeamVerdict = Literal["show", "do not show", "too few borders", "no grid found", "not measured"]

# A p-value below this means that a grid is not chance.
SIGNIFICANT = 0.01
# Steps above the source's, or an untiled picture's, by this factor mean seams.
MARGIN = 1.1
# With fewer borders, nothing is said of steps that are not clear in themselves.
FEW = 8


def seam_verdict(seam: Mapping[str, Any], untiled: float | None = None) -> SeamVerdict:
    """What the figures say.

    What is right is what the picture has at the same places: the source, an untiled translation,
    or, if neither is known, steps like those elsewhere.

    Args:
        seam: figures of the group `seam`.
        untiled: ratio of an untiled translation of the same picture.
    """
    ratio, p_value = seam.get("ratio"), seam.get("p_value")
    if ratio is None:
        return "not measured" if p_value is None else "no grid found"
    natural = max((one for one in (seam.get("source_ratio"), untiled) if one), default=1.0)
    if p_value is not None and p_value < SIGNIFICANT and ratio > MARGIN * natural:
        return "show"
    if (seam.get("borders") or 0) < FEW:
        return "too few borders"
    low = seam.get("excess_low")
    above = low is not None and low > 1 and (seam.get("excess") or 0) > MARGIN
    if above and ratio > MARGIN * (untiled or 0):
        return "show"
    return "do not show"
