"""Where images lie: from their pixels to one plane of micrometres, and back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.evaluation.made import Made

if TYPE_CHECKING:
    from uhrtranslate.registration import Transform

Points = NDArray[np.float64]
Map = Callable[[Points], Points]
# Nodes along each axis of what a page is told of a map that is no matrix. Between them it
# interpolates, which misses by a tenth of a px for the displacements that registration finds.
NODES = 65
# Largest difference in aspect between two pictures of the same area.
SAME_SHAPE = 0.01


@dataclass(frozen=True)
class Image:
    """What decides where an image lies.

    Attributes:
        key: its id.
        name: of its file.
        width, height: of level 0 in px.
        mpp: micrometres per pixel, x and y.
        made: what its description says of its source.
    """

    key: str
    name: str
    width: int
    height: int
    mpp: tuple[float, float] | None
    made: Made


@dataclass(frozen=True, eq=False)
class Place:
    """Where an image lies in the plane.

    Attributes:
        matrix: [3, 3], from px to the plane; None if no matrix says it.
        to_plane, from_plane: points [n, 2] either way.
        box: x, y, w, h in the plane in which `from_plane` is asked if there is no matrix.
        why: how it is known, for people.
    """

    matrix: NDArray[np.float64] | None
    to_plane: Map
    from_plane: Map
    box: tuple[float, float, float, float]
    why: str

    def as_json(self, width: int, height: int) -> dict[str, Any]:
        """What a page is told, for an image of this size in px."""
        if self.matrix is not None:
            a = self.matrix
            return {"matrix": [*a[0], *a[1]], "why": self.why}
        return {
            "to": _lattice(self.to_plane, (0.0, 0.0, float(width), float(height))),
            "from": _lattice(self.from_plane, self.box),
            "why": self.why,
        }


def place_of(image: Image, others: Sequence[Image], transforms: "Sequence[Transform]") -> Place:
    """Where an image lies.

    Args:
        image: which.
        others: all images that are shown, the reference first; the image may be among them.
        transforms: of `uhrt register`, all with one fixed slide.

    Returns:
        By the first that says it: a transform to the fixed slide; the description of a result,
        which names its part of a source that is shown; its own mpp; the reference's area, if the
        shape is the same; else one pixel as the reference's.
    """
    source = _source(image, others)
    if source is not None:
        below = place_of(source, [one for one in others if one.key != image.key], transforms)
        return _part(image, source, below)
    for transform in transforms:
        if _is_moving(image, others, transform):
            return _moved(transform)
    reference = others[0] if others else image
    if reference.mpp is not None and image.mpp is not None:
        return _scaled(image.mpp, "by its mpp")
    unit = reference.mpp or (1.0, 1.0)
    across, down = reference.width / image.width, reference.height / image.height
    if image.key != reference.key and abs(across / down - 1) <= SAME_SHAPE:
        covering = (across * unit[0], down * unit[1])
        return _scaled(covering, f"over {reference.name}, which has the same shape")
    why = "by its mpp" if image.mpp and reference.mpp else "by its pixels, as its mpp is unknown"
    return _scaled(unit, why)


def _source(image: Image, others: Sequence[Image]) -> Image | None:
    made = image.made
    if made.source_size is None or made.region is None:
        return None
    same = [
        one
        for one in others
        if one.key != image.key and (one.width, one.height) == made.source_size
        and one.made.source_size is None
    ]  # fmt: skip
    stem = image.name.split(".")[0]
    return next((one for one in same if one.name.startswith(stem)), same[0] if same else None)


def _is_moving(image: Image, others: Sequence[Image], transform: "Transform") -> bool:
    """Whether an image is a transform's moving slide: by its name, else by its size alone."""
    moving, fixed = transform.moving, transform.fixed
    size = moving.width, moving.height
    if (image.width, image.height) != size:
        return False
    if any(one.name == moving.name for one in (image, *others)):
        return image.name == moving.name
    return size != (fixed.width, fixed.height)


def _part(image: Image, source: Image, below: Place) -> Place:
    """The place of a result of a part of a source."""
    assert image.made.region is not None
    x, y, w, h = image.made.region
    part = np.array([[w / image.width, 0, x], [0, h / image.height, y], [0, 0, 1]])
    why = f"a part of {source.name}, as its description says"
    if below.matrix is not None:
        return _of_matrix(below.matrix @ part, why)
    inverse = np.linalg.inv(part)
    return Place(
        None,
        lambda points: below.to_plane(_mapped(part, points)),
        lambda points: _mapped(inverse, below.from_plane(points)),
        below.box,
        why,
    )


def _moved(transform: "Transform") -> Place:
    """The place of a moving slide, in the plane of the fixed one."""
    from uhrtranslate.registration import Matrix  # takes a while, and is rarely needed

    unit = np.array(transform.fixed.mpp or (1.0, 1.0))
    fixed = transform.fixed
    box = (0.0, 0.0, fixed.width * unit[0], fixed.height * unit[1])
    why = f"by the transform to {fixed.name}"
    if all(isinstance(step, Matrix) and step.affine for step in transform.steps):
        to_moving = np.eye(3)
        for step in transform.steps:
            to_moving = step.values @ to_moving
        return _of_matrix(np.diag([*unit, 1.0]) @ np.linalg.inv(to_moving), why)

    def from_plane(points: Points) -> Points:
        return transform.to_moving(points / unit)

    return Place(None, lambda points: transform.to_fixed(points)[0] * unit, from_plane, box, why)


def _scaled(unit: tuple[float, float], why: str) -> Place:
    return _of_matrix(np.diag([*unit, 1.0]), why)


def _of_matrix(matrix: NDArray[np.float64], why: str) -> Place:
    inverse = np.linalg.inv(matrix)
    return Place(
        matrix,
        lambda points: _mapped(matrix, points),
        lambda points: _mapped(inverse, points),
        (0, 0, 1, 1),
        why,
    )


def _mapped(matrix: NDArray[Any], points: Points) -> Points:
    mapped: Points = points @ matrix[:2, :2].T + matrix[:2, 2]
    return mapped


def _lattice(apply: Map, box: tuple[float, float, float, float]) -> dict[str, Any]:
    """A map at nodes all over a box; what has no answer repeats its neighbour."""
    x, y, w, h = box
    xs, ys = np.linspace(x, x + w, NODES), np.linspace(y, y + h, NODES)
    points = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    mapped = apply(points)
    for axis in (0, 1):
        known = np.isfinite(mapped[:, axis])
        places = np.maximum.accumulate(np.where(known, np.arange(len(mapped)), 0))
        mapped[:, axis] = np.nan_to_num(mapped[places, axis])
    return {
        "x": x,
        "y": y,
        "dx": w / (NODES - 1),
        "dy": h / (NODES - 1),
        "columns": NODES,
        "rows": NODES,
        "points": np.round(mapped, 3).reshape(-1).tolist(),
    }
