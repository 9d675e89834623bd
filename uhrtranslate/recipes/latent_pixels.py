"""Between the pixels of a whole image and its latent, in rows from top to bottom.

Seamlessly where the autoencoder allows it (`large_latents`); else in the tiles that the latent is
sampled in, which are blended.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from uhrtranslate.diffusion.schedulers import Array
from uhrtranslate.diffusion.tracking import Rows, merged, tiles_of
from uhrtranslate.diffusion.weights import Tiling
from uhrtranslate.engine import as_images
from uhrtranslate.engine.forward.dense import DenseImage, Read
from uhrtranslate.geometry import Box, Tile
from uhrtranslate.io import Slide
from uhrtranslate.recipes.large_latents import decode_large, encode_large, tile_side
from uhrtranslate.recipes.latent_networks import LatentNetworks


def encoded(picture: Slide, tiling: Tiling, networks: LatentNetworks) -> Iterator[Array]:
    """The latent of a picture, in bands of rows, [c, h, width] float32 each.

    Args:
        picture: beyond its ends, its last pixels are repeated, as the latent's sides are rounded
            up.
        tiling: of the latent.
        networks: the model.
    """
    factor, info = networks.model.factor, picture.info

    def pixels(x: int, y: int, w: int, h: int) -> Array:
        inside = min(w, info.width - x), min(h, info.height - y)
        missing = (0, h - inside[1]), (0, w - inside[0]), (0, 0)
        image: Array = as_images([np.pad(picture.read(x, y, *inside), missing, "edge")])[0]
        return image

    if networks.seamless:
        size = tiling.width * factor, tiling.height * factor
        image = encode_large(pixels, *size, networks.autoencoder, networks.dtype)
        yield from image.bands(tile_side(networks.autoencoder))
        return
    side = tiling.side * factor

    def tiles(places: Sequence[tuple[int, int]]) -> Array:
        parts = [pixels(x * factor, y * factor, side, side) for y, x in places]
        return networks.encode(np.stack(parts))

    for _, rows in merged(tiling, tiles, networks.batch):
        yield rows


def decoded(rows: Rows, tiling: Tiling, networks: LatentNetworks) -> Iterator[Array]:
    """The image of a latent, in bands of rows, [3, h, width] float32 each, about -1..1.

    Args:
        rows: reads the latent.
        tiling: of the latent.
        networks: the model.
    """
    factor = networks.model.factor
    if networks.seamless:
        yield from _image(rows, tiling, networks).bands(tile_side(networks.autoencoder) // factor)
        return
    made = tiles_of(rows, tiling, networks.decode)

    def tiles(places: Sequence[tuple[int, int]]) -> Array:
        return made([(y // factor, x // factor) for y, x in places])

    for _, band in merged(tiling.scaled(factor), tiles, networks.batch):
        yield band


def decoder(
    rows: Rows, tiling: Tiling, networks: LatentNetworks
) -> Callable[[Sequence[Tile]], Iterable[Array]]:
    """Makes what tiles contribute to the image of a latent, [3, h, w] float32 each.

    Args:
        rows: reads the latent.
        tiling: of the latent; if it is not decoded seamlessly, tiles must be its own.
        networks: the model.
    """
    factor = networks.model.factor
    if networks.seamless:
        image = _image(rows, tiling, networks)
        return lambda tiles: (_part(image, tile.core, factor) for tile in tiles)
    made = tiles_of(rows, tiling, networks.decode)

    def blended(tiles: Sequence[Tile]) -> Iterator[Array]:
        images = made([(one.source.y // factor, one.source.x // factor) for one in tiles])
        return (image[:, *one.crop] for one, image in zip(tiles, images, strict=True))

    return blended


def _image(rows: Rows, tiling: Tiling, networks: LatentNetworks) -> DenseImage:
    size = tiling.width, tiling.height
    return decode_large(_boxes(rows), *size, networks.autoencoder, networks.dtype)


def _boxes(rows: Rows) -> Read:
    """Reads boxes of a canvas; neighbours that lie in the same rows are read once."""
    kept: dict[tuple[int, int], Array] = {}

    def read(x: int, y: int, w: int, h: int) -> Array:
        if (y, h) not in kept:
            kept.clear()
            kept[y, h] = rows(y, y + h)
        return kept[y, h][..., x : x + w]

    return read


def _part(image: DenseImage, core: Box, factor: int) -> Array:
    """The pixels in a box, of the latent pixels that it touches."""
    x, y = core.x // factor, core.y // factor
    right, bottom = -(-(core.x + core.w) // factor), -(-(core.y + core.h) // factor)
    made = image.part(Box(x, y, right - x, bottom - y))
    top, left = core.y - y * factor, core.x - x * factor
    return made[:, top : top + core.h, left : left + core.w]
