"""A real section with glass around it, and the same in another stain and another shape."""

import numpy as np
import skimage.data
from scipy.ndimage import map_coordinates

SECTION = np.pad(
    skimage.data.immunohistochemistry()[40:400, 60:460], ((60, 60), (60, 60), (0, 0)), "constant",
    constant_values=240,
)  # fmt: skip


def restained(pixels):
    """Another stain: colours changed by a fixed function, glass left white."""
    dark = 1 - pixels.astype(float) / 255
    mixed = np.stack([dark @ (0.2, 0.3, 0.3), dark @ (0.5, 0.1, 0.3), dark @ (0.1, 0.6, 0.2)], -1)
    return (255 * (1 - mixed.clip(0, 1) ** 0.8)).astype(np.uint8)


def seen_through(pixels, truth, shape):
    """Pixels [h, w, 3] as seen from another picture.

    `truth` leads from its px into them: a matrix [3, 3], or a function of points [n, 2].
    """
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    at = mapped(truth, np.stack([x.ravel(), y.ravel()], -1)) - 0.5
    made = [map_coordinates(pixels[..., c].astype(float), at.T[::-1], order=3, mode="nearest")
            for c in range(3)]  # fmt: skip
    return np.stack(made, -1).reshape(*shape, 3).clip(0, 255).astype(np.uint8)


def mapped(truth, points):
    """Points [n, 2] through a matrix or a function."""
    if callable(truth):
        return truth(points)
    at = np.column_stack([points, np.ones(len(points))]) @ np.asarray(truth).T
    return at[:, :2] / at[:, 2:]
