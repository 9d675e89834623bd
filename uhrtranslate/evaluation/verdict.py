"""Whether seams show, in one word and in a sentence, from the figures of the group `seam`."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

SeamVerdict = Literal["show", "do not show", "too few borders", "no grid found", "not measured"]

# A p-value below this means that a grid is not chance.
SIGNIFICANT = 0.01
# Steps above the source's, or an untiled picture's, by this factor mean seams.
MARGIN = 1.1
# With fewer borders, nothing is said of steps that are not clear in themselves.
FEW = 8
# With more images, verdicts are counted.
MOST_NAMED = 12


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


def seams_in_words(seams: Mapping[str, Mapping[str, Any]], untiled: float | None = None) -> str:
    """The verdict about seams, in a sentence or two.

    Args:
        seams: figures of the group `seam`, by the names of the images.
        untiled: seam ratio of an untiled picture, if there is one: steps that large are the
            picture's own.
    """
    verdicts = {name: seam_verdict(seam, untiled) for name, seam in seams.items()}
    if len(seams) > MOST_NAMED:
        return " ".join(
            f"Seams {verdict} in {count} of {len(seams)} images."
            if verdict in ("show", "do not show")
            else f"{count} of {len(seams)}: {verdict}."
            for verdict, count in Counter(verdicts.values()).most_common()
        )
    if len(seams) == 1:
        ((name, verdict),) = verdicts.items()
        return _SENTENCES[verdict].format(_numbers(seams[name]), seams[name].get("borders"))
    parts = []
    for verdict, beginning in _BEGINNINGS.items():
        names = [name for name, own in verdicts.items() if own == verdict]
        names.sort(key=lambda name: -(seams[name].get("excess") or seams[name].get("ratio") or 0))
        if names:
            listed = ", ".join(f"{name}{_numbers(seams[name], short=True)}" for name in names)
            parts.append(f"{beginning} {listed}.")
    return " ".join(parts)


_SENTENCES: dict[SeamVerdict, str] = {
    "show": "Seams show: {0}.",
    "do not show": "Seams do not show: {0}.",
    "too few borders": "Only {1} borders were measured, too few to say whether seams show: {0}.",
    "no grid found": (
        "No grid of tiles was found; the seams of a known grid are measured with --grid PX."
    ),
    "not measured": "Seams were not measured: there is no border in the image.",
}
_BEGINNINGS: dict[SeamVerdict, str] = {
    "show": "Seams show in",
    "do not show": "No more than the picture's own steps in",
    "too few borders": "Too few borders to say in",
    "no grid found": "No grid of tiles was found in",
    "not measured": "Seams were not measured in",
}


def _numbers(seam: Mapping[str, Any], short: bool = False) -> str:
    """The seam ratio in words, with the source's where it is known."""
    ratio, source = seam.get("ratio"), seam.get("source_ratio")
    if ratio is None:
        return ""
    if short:
        return f" ({ratio:.2f})" if source is None else f" ({ratio:.2f}, source {source:.2f})"
    if source is None:
        return f"ratio {ratio:.2f}, where 1 is none"
    return f"ratio {ratio:.2f}, and the source has {source:.2f} at the same places"
