"""A smooth displacement of the plane, given at the nodes of a regular grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
# Px of a picture between the nodes of a displacement that is found in it.
NODES = 8
# Share of a picture in which both must be known, for an engine that compares them by a mask.
LEAST_COMPARED = 0.02
# Steps of the fixed point iteration, and the change in px at which it stops early.
STEPS, ENOUGH = 60, 1e-4


def node_places(height: int, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Columns and rows of the nodes over a picture; the last ones may lie beyond it."""
    return np.arange(0, width + NODES, NODES), np.arange(0, height + NODES, NODES)


def compared(tissue: NDArray[np.bool_], inside: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Where two pictures are compared, [h, w]; None if that is too little to say anything."""
    mask = tissue & inside
    return None if mask.mean() < LEAST_COMPARED else mask


@dataclass(frozen=True, eq=False)
class DisplacementGrid:
    """Displacements at nodes, interpolated by cubic convolution (Keys 1981, a = -1/2).

    Outside of the grid the nearest node's displacement goes on. The interpolation passes through
    the nodes and has a continuous first derivative.

    Attributes:
        origin: x, y of the first node.
        spacing: distance of nodes in x and y; above 0.
        values: [rows, cols, 2] float32, displacement in x and y at each node, in px.
    """

    origin: tuple[float, float]
    spacing: tuple[float, float]
    values: NDArray[np.float32]

    def apply(self, points: Points) -> Points:
        """Displaced points, [n, 2] float64."""
        return points + self.at(points)

    def at(self, points: Points) -> Points:
        """The displacement of points [n, 2], likewise [n, 2]."""
        rows, cols = self.values.shape[:2]
        column, x_weights = _weights((points[:, 0] - self.origin[0]) / self.spacing[0], cols)
        row, y_weights = _weights((points[:, 1] - self.origin[1]) / self.spacing[1], rows)
        total = np.zeros(points.shape)
        for j in range(4):
            line = np.zeros(points.shape)
            for i in range(4):
                line += x_weights[:, i, None] * self.values[row[:, j], column[:, i]]
            total += y_weights[:, j, None] * line
        return total

    def factors(
        self, xs: NDArray[np.float64], ys: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The displacement at crossings of columns `xs` and rows `ys`, as two factors.

        Returns: weights [h, k] of the rows of nodes that matter here, and the displacement of
            these rows at the columns, [k, w, 2]. Their product is the displacement, [h, w, 2].
        """
        rows, cols = self.values.shape[:2]
        across, used_x = _matrix((xs - self.origin[0]) / self.spacing[0], cols)
        down, used_y = _matrix((ys - self.origin[1]) / self.spacing[1], rows)
        # Only the nodes that matter here: a slide's grid is much larger than a tile's part of it.
        part = self.values[used_y, used_x].astype(np.float64)
        return down, np.stack([part[..., axis] @ across.T for axis in (0, 1)], axis=-1)

    def undo(self, points: Points) -> tuple[Points, NDArray[np.float64]]:
        """Where displaced points come from, by fixed point iteration.

        Args:
            points: [n, 2] float64.

        Returns: the points before, [n, 2], and how far each misses in px, [n]. Where the
            displacement folds the plane, there is no answer, and the miss stays large.
        """
        before = points.astype(np.float64)
        for _ in range(STEPS):
            miss = self.apply(before) - points
            if not len(miss) or np.abs(miss).max() < ENOUGH:
                break
            before -= miss
        return before, np.linalg.norm(self.apply(before) - points, axis=1)

    def inverse(self) -> tuple["DisplacementGrid", float]:
        """A grid that undoes this one, on the same nodes, and its largest error in px.

        The error is measured at the nodes and between them: how far a point lands from itself.
        """
        nodes = self.nodes()
        before, _ = self.undo(nodes.reshape(-1, 2))
        values = (before - nodes.reshape(-1, 2)).reshape(self.values.shape).astype(np.float32)
        found = DisplacementGrid(self.origin, self.spacing, values)
        middle = nodes.reshape(-1, 2) + np.array(self.spacing) / 2
        tried = np.concatenate([nodes.reshape(-1, 2), middle])
        error = np.linalg.norm(self.apply(found.apply(tried)) - tried, axis=1)
        return found, float(error.max())

    def nodes(self) -> Points:
        """Positions of the nodes, [rows, cols, 2]."""
        rows, cols = self.values.shape[:2]
        x = self.origin[0] + np.arange(cols) * self.spacing[0]
        y = self.origin[1] + np.arange(rows) * self.spacing[1]
        return np.stack(np.meshgrid(x, y), axis=-1).astype(np.float64)

    def jacobian(self) -> NDArray[np.float64]:
        """Determinant of the Jacobian of the displaced plane, [rows, cols]; folds where <= 0."""
        values = self.values.astype(np.float64)
        if min(values.shape[:2]) < 2:
            return np.ones(values.shape[:2])
        dx = np.gradient(values, self.spacing[0], axis=1)
        dy = np.gradient(values, self.spacing[1], axis=0)
        return (1 + dx[..., 0]) * (1 + dy[..., 1]) - dx[..., 1] * dy[..., 0]


def _weights(
    position: NDArray[np.float64], count: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The four nodes around each position along an axis, and their weights, [n, 4]."""
    position = np.nan_to_num(position).clip(0, count - 1)
    first = np.floor(position).clip(0, max(count - 2, 0))
    t = position - first
    weights = np.stack(
        [
            ((-0.5 * t + 1) * t - 0.5) * t,
            (1.5 * t - 2.5) * t * t + 1,
            ((-1.5 * t + 2) * t + 0.5) * t,
            (0.5 * t - 0.5) * t * t,
        ],
        axis=1,
    )
    nodes = first.astype(np.intp)[:, None] + np.arange(-1, 3)
    return nodes.clip(0, count - 1), weights


def _matrix(position: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], slice]:
    """Interpolation along an axis as a matrix [positions, nodes], of the nodes it needs alone."""
    nodes, weights = _weights(position, count)
    used = slice(int(nodes.min()), int(nodes.max()) + 1)
    matrix = np.zeros((len(position), used.stop - used.start))
    for i in range(4):
        np.add.at(matrix, (np.arange(len(position)), nodes[:, i] - used.start), weights[:, i])
    return matrix, used
