"""Small latent diffusion models with random weights."""

import torch

from uhrtranslate.models.diffusion_networks import (
    Autoencoder,
    AutoencoderConfig,
    Denoiser,
    DenoiserConfig,
)
from uhrtranslate.models.latent_diffusion import LatentDiffusion, joined
from uhrtranslate.models.noise import Noise
from uhrtranslate.models.prompts import Prompts

CLASSES = ("ADH", "DCIS")


def tiny_autoencoder(factor=4, channels=4, cell=64, seed=0, **values):
    """An autoencoder of a few thousand weights."""
    levels = factor.bit_length()
    given = {
        "block_out_channels": (8,) * levels,
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "latent_channels": channels,
        "sample_size": cell,
        "mid_block_add_attention": False,
        "scaling_factor": 1.0,
    }
    torch.manual_seed(seed)
    made = Autoencoder(AutoencoderConfig(**given | values))
    return made.eval().requires_grad_(False)


def tiny_denoiser(classes=CLASSES, tile=16, channels=4, seed=0, **values):
    """A U-Net of two levels, with attention in its middle."""
    given = {
        "sample_size": tile,
        "in_channels": channels,
        "out_channels": channels,
        "block_out_channels": (8, 8),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "UpBlock2D"),
        "norm_num_groups": 4,
        "attention_head_dim": 8,
        "num_class_embeds": Prompts(tuple(classes)).count,
    }
    torch.manual_seed(seed)
    return Denoiser(DenoiserConfig(**given | values)).eval().requires_grad_(False)


def tiny_latent_diffusion(
    classes=CLASSES, tile=16, factor=4, channels=4, prediction="epsilon", seed=0
) -> LatentDiffusion:
    """A whole model; 16 latent pixels a tile, 4 px of the image each."""
    denoiser = tiny_denoiser(classes, tile, channels, seed)
    autoencoder = tiny_autoencoder(factor, channels, tile * factor, seed)
    return joined(denoiser, autoencoder, classes, Noise(prediction=prediction))
