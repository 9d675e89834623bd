"""Pixels decoded from a latent, in place of the source's."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

import numpy as np

from uhrtranslate.diffusion.schedulers import Array
from uhrtranslate.engine.stream.transform import Transform
from uhrtranslate.geometry import Tile, TilePlan
from uhrtranslate.io import Pixels


class DecodedTransform(Transform):
    """A latent canvas as pixels; a `Transform` that ignores its input.

    Args:
        plan: how the image is cut.
        opened: called when the first tile is asked for; gives what makes the images of what tiles
            contribute, [3, h, w] float32 in -1..1 each.
    """

    def __init__(
        self,
        plan: TilePlan,
        opened: Callable[[], Callable[[Sequence[Tile]], Iterable[Array]]],
    ) -> None:
        self.plan = plan
        self._opened = cache(opened)

    def apply(
        self, batches: Iterable[tuple[Sequence[Tile], Sequence[Pixels]]]
    ) -> Iterator[list[Pixels]]:
        """See `Transform`."""
        for tiles, _ in batches:
            yield [as_pixels(image[None])[0] for image in self._opened()(tiles)]


def as_pixels(images: Array) -> list[Pixels]:
    """Images [n, 3, h, w] in -1..1 as pixels, [h, w, 3] uint8 each."""
    levels = np.rint((images.transpose(0, 2, 3, 1) + np.float32(1)) * np.float32(127.5))
    return list(levels.clip(0, 255).astype(np.uint8))


def as_images(pixels: Sequence[Pixels]) -> Array:
    """The inverse: pixels [h, w, 3] uint8 each as images, [n, 3, h, w] float32."""
    levels = np.stack(pixels).transpose(0, 3, 1, 2).astype(np.float32)
    return levels / np.float32(127.5) - np.float32(1)
