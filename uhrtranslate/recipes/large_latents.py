"""Encoding and decoding images of any size without seams.

The autoencoder's group norms see one patch in training; over a large image they follow fields that
are interpolated between patches (`engine.forward.dense`), so the result does not depend on tiles.
Attention in its middle sees all of a tile: such autoencoders are blended instead, and
`is_seamless` says so.
"""

from collections.abc import Iterator

import torch

from uhrtranslate.engine.forward.dense import Array, Dense, Read
from uhrtranslate.models.diffusion_networks import Autoencoder
from uhrtranslate.normalizers.dn import DN


def is_seamless(autoencoder: Autoencoder) -> bool:
    """Whether `encode_large` and `decode_large` can be used: there is no attention."""
    return not autoencoder.config.mid_block_add_attention


def encode_large(
    read: Read,
    width: int,
    height: int,
    autoencoder: Autoencoder,
    dtype: torch.dtype = torch.float32,
    tile: int | None = None,
) -> Iterator[Array]:
    """Latents of an image, in bands of rows from top to bottom, [c, h, w] float32 each, scaled.

    Args:
        read: gives pixels x, y, w, h of the image, [3, h, w] float32 in -1..1.
        width, height: of the image in px; multiples of the autoencoder's factor.
        autoencoder: on its device; `is_seamless`.
        dtype: of its convolutions.
        tile: side in px of what is computed at once; None: that of the patches in training.
    """
    factor = autoencoder.factor
    cell = autoencoder.config.sample_size
    module = autoencoder.network.encoder
    halo = autoencoder.encoder_reach
    sizes = (1, factor, cell, halo, _device(autoencoder), dtype)
    dense = Dense(autoencoder.encode, module, *sizes)
    return dense.bands(read, width, height, DN(), tile)


def decode_large(
    read: Read,
    width: int,
    height: int,
    autoencoder: Autoencoder,
    dtype: torch.dtype = torch.float32,
    tile: int | None = None,
) -> Iterator[Array]:
    """The image of latents, in bands of rows from top to bottom, [3, h, w] float32, about -1..1.

    Args:
        read: gives latents x, y, w, h, [c, h, w] float32, scaled.
        width, height: of the latents.
        autoencoder, dtype: as above.
        tile: side in latent pixels of what is computed at once.
    """
    factor = autoencoder.factor
    cell = autoencoder.config.sample_size // factor
    module = autoencoder.network.decoder
    halo = autoencoder.decoder_reach
    sizes = (factor, 1, cell, halo, _device(autoencoder), dtype)
    dense = Dense(autoencoder.decode, module, *sizes)
    return dense.bands(read, width, height, DN(), tile)


def _device(autoencoder: Autoencoder) -> torch.device:
    return next(autoencoder.parameters()).device
