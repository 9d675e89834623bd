"""The engines of the non-rigid step, by name.

Each takes the fixed picture, the moving picture, the fixed one's tissue and what the moving one
covers, all [h, w], and returns the displacement in px at every `NODES`-th px, [rows, cols, 2].
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.registration.bspline import bspline_displacement
from uhrtranslate.registration.convex import convex_displacement
from uhrtranslate.registration.elastix import elastix_displacement
from uhrtranslate.registration.field import node_places
from uhrtranslate.registration.looks import Picture

Mask = NDArray[np.bool_]
Engine = Callable[[Picture, Picture, Mask, Mask], NDArray[np.float32]]


def convex_nodes(
    fixed: Picture, moving: Picture, tissue: Mask, inside: Mask
) -> NDArray[np.float32]:
    """See `convex_displacement`."""
    field, _ = convex_displacement(fixed, moving, inside)
    h, w = fixed.shape
    xs, ys = node_places(h, w)
    return np.asarray(field[np.ix_(np.minimum(ys, h - 1), np.minimum(xs, w - 1))], np.float32)


ENGINES: dict[str, Engine] = {
    "convex": convex_nodes,
    "simpleitk": bspline_displacement,
    "elastix": elastix_displacement,
}
