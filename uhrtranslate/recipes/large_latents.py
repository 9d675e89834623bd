"""Encoding and decoding images of any size without seams.

The autoencoder's group norms see one patch in training; over a large image they follow fields that
are interpolated between patches (`engine.forward.dense`), so the result does not depend on tiles.
Attention in its middle sees all of a tile: such autoencoders are blended instead, and
`is_seamless` says so.
"""

import torch

from uhrtranslate.engine.forward.dense import Dense, DenseImage, Read
from uhrtranslate.models.diffusion_networks import Autoencoder
from uhrtranslate.normalizers.dn import DN

# Px: smaller tiles are mostly halo.
LEAST_TILE = 256


def is_seamless(autoencoder: Autoencoder) -> bool:
    """Whether `encode_large` and `decode_large` can be used: there is no attention."""
    return not autoencoder.config.mid_block_add_attention


def tile_side(autoencoder: Autoencoder) -> int:
    """Side in px of what is computed at once; a matter of memory, not of the result."""
    cell = autoencoder.config.sample_size
    return max(LEAST_TILE // cell, 1) * cell


def encode_large(
    read: Read,
    width: int,
    height: int,
    autoencoder: Autoencoder,
    dtype: torch.dtype = torch.float32,
) -> DenseImage:
    """The latents of an image, [c, h / factor, w / factor] float32, scaled.

    Args:
        read: gives pixels x, y, w, h of the image, [3, h, w] float32 in -1..1.
        width, height: of the image in px; multiples of the autoencoder's factor.
        autoencoder: on its device; `is_seamless`.
        dtype: of its convolutions.
    """
    factor, cell = autoencoder.factor, autoencoder.config.sample_size
    sizes = (1, factor, cell, autoencoder.encoder_reach, _device(autoencoder), dtype)
    dense = Dense(autoencoder.encode, autoencoder.network.encoder, *sizes)
    return DenseImage(dense, read, width, height, DN())


def decode_large(
    read: Read,
    width: int,
    height: int,
    autoencoder: Autoencoder,
    dtype: torch.dtype = torch.float32,
) -> DenseImage:
    """The image of latents, [3, h * factor, w * factor] float32, about -1..1.

    Args:
        read: gives latents x, y, w, h, [c, h, w] float32, scaled.
        width, height: of the latents.
        autoencoder, dtype: as above.
    """
    factor, cell = autoencoder.factor, autoencoder.config.sample_size // autoencoder.factor
    sizes = (factor, 1, cell, autoencoder.decoder_reach, _device(autoencoder), dtype)
    dense = Dense(autoencoder.decode, autoencoder.network.decoder, *sizes)
    return DenseImage(dense, read, width, height, DN())


def _device(autoencoder: Autoencoder) -> torch.device:
    return next(autoencoder.parameters()).device
