#!/usr/bin/env python3
"""What synthesis costs by the size of the image: time per pixel, and memory.

    python scripts/bench_pathup_cost.py --json cost.json

A tiny model with random weights (f = 8, tiles of 256 px that overlap by half) synthesizes images of
1024 to 8192 px, 4 steps of DDIM at strength 0.5, into a pyramid on the disk, each in a process of
its own. The command alone: the overview, the enlarging, the encoding, the steps, the decoding, and
the writing of all levels.
"""

import tempfile
import time
from pathlib import Path

import torch
from bench import child, parser, peak_bytes, save, start, table

from uhrtranslate.models.diffusion_networks import (
    Autoencoder,
    AutoencoderConfig,
    Denoiser,
    DenoiserConfig,
)
from uhrtranslate.models.latent_diffusion import joined, save_latent_diffusion
from uhrtranslate.models.noise import Noise
from uhrtranslate.options import SynthesizeOptions
from uhrtranslate.tasks.synthesize import synthesize

FACTOR, TILE, STEPS = 8, 32, 4


def write_model(path: Path) -> None:
    """A model of some ten thousand random weights."""
    torch.manual_seed(0)
    autoencoder = Autoencoder(
        AutoencoderConfig(
            block_out_channels=(4, 4, 4, 4),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=1,
            norm_num_groups=2,
            sample_size=FACTOR * TILE,
            mid_block_add_attention=False,
        )
    )
    denoiser = Denoiser(
        DenoiserConfig(
            sample_size=TILE,
            in_channels=4,
            out_channels=4,
            block_out_channels=(8, 8),
            layers_per_block=1,
            down_block_types=("DownBlock2D",) * 2,
            up_block_types=("UpBlock2D",) * 2,
            norm_num_groups=4,
            attention_head_dim=8,
            num_class_embeds=3,
        )
    )
    parts = (one.eval().requires_grad_(False) for one in (denoiser, autoencoder))
    save_latent_diffusion(path, joined(*parts, ["a"], Noise()))


def made(side: int, model: str, sampler: str) -> dict[str, float]:
    """Seconds and peak memory of one image in this process."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        options = SynthesizeOptions(
            model=model, prompt="a", size=(side, side), steps=STEPS, sampler=sampler, workers=1
        )
        began = time.perf_counter(), time.process_time()
        (result,) = synthesize(Path(folder) / "a.tif", options)
        assert result.status == "done", result.error
        wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "us_per_px": cpu / side**2 * 1e6,
        "peak_mb": peak_bytes() / 2**20,
    }


def main() -> None:
    """Measure and print."""
    given = parser(__doc__, sides=[1024, 2048, 4096, 8192], sampler="ddim").parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.safetensors"
        write_model(model)
        rows = {f"{side:,} px": child(made, side, model, given.sampler) for side in given.sides}
    columns = [("CPU s", "cpu_s", "8.1f"), ("us/px", "us_per_px", "8.2f")]
    table(rows, 12, [("wall s", "wall_s", "8.1f"), *columns, ("peak MB", "peak_mb", "9.0f")])
    save(given.json, rows)


if __name__ == "__main__":
    start(main, made)
