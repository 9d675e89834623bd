"""Pairs of slides in one frame, from which patches are drawn on the fly."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.io import SlideView

Open = Callable[[Path, bool], tuple[SlideView, Callable[[], None]]]
"""Opens a slide's view in the pair's frame, perhaps with all of its bits; and what closes it."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Slides with a transform between them.

    Attributes:
        pairs: paths of A and B; no slide is there twice.
        open_a, open_b: of a path of A, and of B.
        tissue: where both show tissue, [h, w], by the path of A.
        inside: where there is something of both, of the same shapes.
        signs: of their local correlation, by the path of A: -1 where one is a dark field.
        records: of what else the samples depend on, for the manifest of the data.
        left_out: sentences about pairs that are not used.
    """

    pairs: Sequence[tuple[Path, Path]]
    open_a: Open
    open_b: Open
    tissue: Mapping[Path, NDArray[np.bool_]]
    inside: Mapping[Path, NDArray[np.bool_]]
    signs: Mapping[Path, int]
    records: Sequence[dict[str, Any]]
    left_out: Sequence[str] = ()
