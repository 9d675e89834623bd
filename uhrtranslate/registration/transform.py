"""From points of the fixed slide to those of the moving one, in steps; composed and inverted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.errors import InputError
from uhrtranslate.registration.field import DisplacementGrid, Points

# A point whose projective denominator is below this lies on the horizon, or behind it.
HORIZON = 1e-9


@dataclass(frozen=True)
class Frame:
    """A slide's level-0 pixels; pixel 0 is 0 <= x < 1.

    Attributes:
        name: of the file, without its folder.
        width, height: of level 0 in px.
        mpp: micrometres per pixel of level 0, x and y; None if unknown.
    """

    name: str
    width: int
    height: int
    mpp: tuple[float, float] | None = None

    @property
    def diagonal(self) -> float:
        """In px."""
        return float(np.hypot(self.width, self.height))


@dataclass(frozen=True, eq=False)
class Matrix:
    """A projective map of the plane.

    Attributes:
        values: [3, 3] float64, of homogeneous columns (x, y, 1).
    """

    values: NDArray[np.float64]

    def apply(self, points: Points) -> Points:
        """Mapped points, [n, 2]; NaN on the horizon or behind it."""
        m = self.values
        mapped = points @ m[:2, :2].T + m[:2, 2]
        if self.affine:
            return mapped
        below = points @ m[2, :2] + m[2, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(below[:, None] > HORIZON, mapped / below[:, None], np.nan)

    def undo(self, points: Points) -> tuple[Points, NDArray[np.float64]]:
        """Points before the map, [n, 2], and no error, [n]."""
        return self.inverse()[0].apply(points), np.zeros(len(points))

    def inverse(self) -> tuple["Matrix", float]:
        """The matrix that undoes this one; no error."""
        inverse = np.linalg.inv(self.values)
        return Matrix(inverse / inverse[2, 2]), 0.0

    @property
    def affine(self) -> bool:
        """Whether parallels stay parallel."""
        return bool((self.values[2] == (0, 0, 1)).all())


Step: TypeAlias = Matrix | DisplacementGrid


@dataclass(frozen=True, eq=False)
class Transform:
    """Where each point of the fixed slide is in the moving slide.

    Attributes:
        moving, fixed: the two slides.
        steps: applied in this order to points of the fixed slide, in its level-0 px.
        error: how far the steps may miss because they were inverted numerically, in px.
        quality: what was measured of the result, as JSON values.
        how: how it was found, as JSON values.
    """

    moving: Frame
    fixed: Frame
    steps: tuple[Step, ...]
    error: float = 0.0
    quality: Mapping[str, Any] = field(default_factory=dict)
    how: Mapping[str, Any] = field(default_factory=dict)

    def to_moving(self, points: Points) -> Points:
        """Points [n, 2] of the fixed slide (level-0 px) in the moving slide's level-0 px.

        NaN where a projective step has no answer.
        """
        for step in self.steps:
            points = step.apply(points)
        return points

    def to_fixed(self, points: Points) -> tuple[Points, NDArray[np.float64]]:
        """The other way, with how far each point misses in px of the fixed slide, [n]."""
        missed = np.zeros(len(points))
        for step in reversed(self.steps):
            points, error = step.undo(points)
            missed += error
        return points, missed

    def lattice(self, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> Points:
        """`to_moving` of the crossings of columns `xs` and rows `ys`, [h, w, 2]."""
        origin, planes = self.planes(xs, ys, np.float64)
        return np.stack([plane + first for plane, first in zip(planes, origin, strict=True)], -1)

    def planes(
        self,
        xs: NDArray[np.float64],
        ys: NDArray[np.float64],
        dtype: type[np.float32] | type[np.float64] = np.float32,
    ) -> tuple[Points, NDArray[Any]]:
        """`to_moving` of the crossings of columns and rows, from a place nearby.

        A matrix maps what interpolates a displacement as well as what it interpolates, so a grid
        and the matrices after it come to a product of two small matrices; nothing is approximated.
        Steps in another order are applied to each crossing by itself.

        Returns: the place, [2] whole numbers; x and y of all crossings from there, [2, h, w] of
            the type, of which float32 is exact to about a millionth of how far they are apart.
        """
        corner = np.array([[xs[0], ys[0]]])
        origin = np.floor(np.nan_to_num(self.linear().to_moving(corner)[0]))
        if self._short is None:
            points = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
            moved = self.to_moving(points) - origin
            return origin, np.ascontiguousarray(moved.T, dtype).reshape(2, len(ys), len(xs))
        grid, matrix = self._short
        there, here = np.eye(3), np.eye(3)
        there[:2, 2], here[:2, 2] = -origin, corner[0]
        m = there @ matrix @ here  # from crossings relative to the first one
        rows = m[:2] if Matrix(m).affine else m
        x, one = xs - xs[0], np.ones_like(xs)
        down = [np.ones((len(ys), 1)), (ys - ys[0])[:, None]]
        across = [(rows[:, :1] * x + rows[:, 2:])[:, None], (rows[:, 1:2] * one)[:, None]]
        if grid is not None:
            weights, moved = grid.factors(xs, ys)
            down.append(weights)
            across.append(np.einsum("ra,kwa->rkw", rows[:, :2], moved))
        factors: list[NDArray[Any]] = [np.concatenate(parts, 1) for parts in (down, across)]
        found: NDArray[Any] = factors[0].astype(dtype) @ factors[1].astype(dtype)
        if len(rows) == 2:
            return origin, found
        with np.errstate(divide="ignore", invalid="ignore"):
            return origin, np.where(found[2] > HORIZON, found[:2] / found[2], np.nan)

    @cached_property
    def _short(self) -> tuple[DisplacementGrid | None, NDArray[np.float64]] | None:
        """The steps as a grid, if there is one, and a matrix after it; None if they are more."""
        grid: DisplacementGrid | None = None
        matrix = np.eye(3)
        for number, step in enumerate(self.steps):
            if isinstance(step, Matrix):
                if not (step.affine or Matrix(matrix).affine):
                    return None  # each has a horizon of its own
                matrix = step.values @ matrix
            elif number:
                return None
            else:
                grid = step
        return grid, matrix

    def then(self, other: "Transform") -> "Transform":
        """This transform and, after it, another whose fixed slide is this one's moving slide.

        Raises:
            InputError: the slides in the middle differ.
        """
        if (self.moving.width, self.moving.height) != (other.fixed.width, other.fixed.height):
            raise InputError(
                f"{other.fixed.name}: the second transform begins at a slide of "
                f"{other.fixed.width} x {other.fixed.height} px, the first ends at one of "
                f"{self.moving.width} x {self.moving.height} px; give them in their order."
            )
        steps = (*self.steps, *other.steps)
        return Transform(other.moving, self.fixed, steps, self.error + other.error)

    def inverted(self) -> "Transform":
        """The transform that goes the other way; its `error` says how exactly."""
        inverse = [step.inverse() for step in reversed(self.steps)]
        error = self.error + sum(one for _, one in inverse)
        return Transform(self.fixed, self.moving, tuple(step for step, _ in inverse), error)

    def scale(self) -> float:
        """Px of the moving slide per px of the fixed one, at the fixed slide's middle."""
        x, y = self.fixed.width / 2, self.fixed.height / 2
        step = max(self.fixed.width, self.fixed.height) / 8
        three = self.to_moving(np.array([[x, y], [x + step, y], [x, y + step]]))
        a, b = three[1] - three[0], three[2] - three[0]
        area = abs(a[0] * b[1] - a[1] * b[0]) / step**2
        return float(np.sqrt(area)) if np.isfinite(area) and area > 0 else 1.0

    def linear(self) -> "Transform":
        """Its matrices alone: what was known before the displacement was found."""
        steps = tuple(step for step in self.steps if isinstance(step, Matrix))
        return Transform(self.moving, self.fixed, steps)
