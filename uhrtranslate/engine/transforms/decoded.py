"""Pixels decoded from a latent, in place of the source's."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from uhrtranslate.diffusion.schedulers import Array
from uhrtranslate.diffusion.tracking import Rows, tiles_of
from uhrtranslate.diffusion.weights import Tiling
from uhrtranslate.engine.stream.transform import Transform
from uhrtranslate.geometry import BlendedPlan, Tile
from uhrtranslate.io import Pixels


class DecodedTransform(Transform):
    """A latent canvas as pixels; a `Transform` with tiles that overlap, which ignores its input.

    Args:
        plan: its stride is the autoencoder's factor.
        tiling: of the canvas, whose tiles are those of the plan.
        latents: makes the canvas, when the first tile is asked for.
        decode: latents [n, c, h, w] to images [n, 3, h * stride, w * stride] in -1..1.
    """

    def __init__(
        self,
        plan: BlendedPlan,
        tiling: Tiling,
        latents: Callable[[], Rows],
        decode: Callable[[Array], Array],
    ) -> None:
        self.plan = plan
        self._tiling, self._latents, self._decode = tiling, latents, decode

    def apply(
        self, batches: Iterable[tuple[Sequence[Tile], Sequence[Pixels]]]
    ) -> Iterator[list[Pixels]]:
        """See `Transform`."""
        factor = self.plan.stride
        made = tiles_of(self._latents(), self._tiling, self._decode)
        for tiles, _ in batches:
            images = made([(t.source.y // factor, t.source.x // factor) for t in tiles])
            yield [image[tile.crop] for tile, image in zip(tiles, as_pixels(images), strict=True)]


def as_pixels(images: Array) -> list[Pixels]:
    """Images [n, 3, h, w] in -1..1 as pixels, [h, w, 3] uint8 each."""
    levels = np.rint((images.transpose(0, 2, 3, 1) + np.float32(1)) * np.float32(127.5))
    return list(levels.clip(0, 255).astype(np.uint8))


def as_images(pixels: Sequence[Pixels]) -> Array:
    """The inverse: pixels [h, w, 3] uint8 each as images, [n, 3, h, w] float32."""
    levels = np.stack(pixels).transpose(0, 3, 1, 2).astype(np.float32)
    return levels / np.float32(127.5) - np.float32(1)
