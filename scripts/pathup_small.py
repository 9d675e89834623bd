"""A small PathUp: two classes of one real section, models trained in minutes, and images of them.

The classes are scikit-image's section with a brown stain, and the same section transposed with its
brown in pink: patches of 64 px, overviews of 256 px shrunk to that. Trainings are those of
`uhrt train`, with networks that a CPU trains in minutes.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import skimage.data
import yaml
from PIL import Image
from skimage.color import hed2rgb, rgb2hed

from uhrtranslate.diffusion.weights import Tiling
from uhrtranslate.engine import as_pixels
from uhrtranslate.geometry.windows.ramps import WindowOf
from uhrtranslate.models.prompts import Prompts
from uhrtranslate.options import SynthesizeOptions
from uhrtranslate.recipes.latent_networks import LatentNetworks, open_networks
from uhrtranslate.recipes.latent_pixels import decoded
from uhrtranslate.recipes.latent_run import LatentRun
from uhrtranslate.tasks.train import read_train_options, train

PATCH, SHRINK = 64, 4
# How models differ: whether prompts tell the level (patho-align), and the weight of the feature
# entropy loss.
VARIANTS = {"LDM": (False, 0.0), "+ patho-align": (True, 0.0), "+ FEL": (True, 0.1)}


def sections() -> dict[str, np.ndarray]:
    """A real image of each class, [512, 512, 3] uint8."""
    brown = skimage.data.immunohistochemistry()
    stains = rgb2hed(brown)
    dab = stains[..., 2].clip(0)
    pink = hed2rgb(np.stack([1.1 * stains[..., 0], stains[..., 1] + 0.6 * dab, 0 * dab], -1))
    return {"brown": brown, "pink": np.rint(pink * 255).astype(np.uint8).transpose(1, 0, 2)}


def real_patches(stride: int = PATCH // 2) -> dict[str, np.ndarray]:
    """Native patches of each class, [n, 64, 64, 3]."""
    return {name: cut(image, stride) for name, image in sections().items()}


def cut(image: np.ndarray, stride: int = PATCH) -> np.ndarray:
    """The patches of an image, [n, 64, 64, 3]."""
    ys, xs = (range(0, side - PATCH + 1, stride) for side in image.shape[:2])
    return np.stack([image[y : y + PATCH, x : x + PATCH] for y in ys for x in xs])


def trained(folder: Path, variant: str, epochs: int) -> Path:
    """The model of a variant; trained if it is not in the folder yet."""
    aligned, beta = VARIANTS[variant]
    run = folder / variant.replace("+ ", "").replace(" ", "-")
    if (run / "pathup.safetensors").exists():
        return run / "pathup.safetensors"
    first = folder / "autoencoder"
    common = {"patch": PATCH, "shrink": SHRINK, "tissue": 0, "rotate": True, "workers": 1}
    if not (first / "autoencoder.safetensors").exists():
        _train(
            folder,
            first,
            method="autoencoder",
            data={"images": str(_write(folder)), **common, "epoch": 400},
            network={"factor": 4, "width": 16, "multiples": [1, 2, 2], "layers": 1, "groups": 8},
            batch=4, lr=0.002, epochs=4, decay=4, ema=0.98,
        )  # fmt: skip
    with levels_told(aligned):
        _train(
            folder,
            run,
            method="pathup",
            autoencoder=str(first / "autoencoder.safetensors"),
            data={"classes": str(_write(folder)), **common, "epoch": 800},
            denoiser={"widths": [32, 48], "layers": 1, "attention": 1, "head": 16, "groups": 8},
            entropy={"beta": beta},
            batch=8, lr=0.002, epochs=epochs // 2, decay=epochs - epochs // 2, ema=0.99, samples=1,
        )  # fmt: skip
    return run / "pathup.safetensors"


def _train(folder: Path, run: Path, **options: object) -> None:
    config = folder / f"{run.name}.yaml"
    config.write_text(yaml.safe_dump(options))
    train(read_train_options(config), run)


def _write(folder: Path) -> Path:
    """A folder with a folder of each class."""
    for name, image in sections().items():
        (folder / "classes" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / "classes" / name / "0.png")
    return folder / "classes"


@contextmanager
def levels_told(told: bool) -> Iterator[None]:
    """Without patho-align, patches of both levels have the same prompt."""
    identifier = Prompts.identifier
    if not told:
        Prompts.identifier = lambda self, name, level: identifier(self, name, "patch")
    try:
        yield
    finally:
        Prompts.identifier = identifier


class Sampled(LatentRun):
    """A run whose tiles have weights that are no member of `tables.BLENDS`."""

    window: WindowOf | None = None

    def _tiling(self, height: int, width: int) -> Tiling:
        tiling = super()._tiling(height, width)
        return tiling if self.window is None else replace(tiling, window=self.window)


@dataclass(frozen=True)
class ByTiles(LatentNetworks):
    """Encodes and decodes by the tiles that are sampled, though its autoencoder need not."""

    seamless = False


def networks_of(model: Path, guidance: float = 3.0) -> LatentNetworks:
    """A model, ready to run."""
    options = {"prompt": "brown", "batch": 16, "guidance": guidance}
    return open_networks(SynthesizeOptions(model=str(model), **options))


def sample(
    networks: LatentNetworks,
    name: str,
    seed: int,
    side: int,
    *,
    steps: int = 20,
    overlap: int = PATCH // 2,
    window: WindowOf | None = None,
    by_tiles: bool = False,
    **options: object,
) -> np.ndarray:
    """An image of a class, [side, side, 3] uint8, from the latents as the command samples them."""
    if by_tiles:
        networks = ByTiles(**vars(networks))
    given = SynthesizeOptions(model="-", prompt=name, seed=seed, steps=steps, **options)
    factor = networks.model.factor
    run = Sampled(networks, given, side, side, None, overlap // factor)
    object.__setattr__(run, "window", window)
    with (
        tempfile.TemporaryDirectory() as folder,
        run.latents(Path(folder) / "a.tif", None, lambda pixels: None) as rows,
    ):
        bands = list(decoded(rows, run.tiling, networks))
    return as_pixels(np.concatenate(bands, axis=1)[None])[0]


def generation(
    networks: LatentNetworks, seed: int, images: int, side: int, **options: object
) -> Iterator[tuple[str, np.ndarray]]:
    """Class and pixels of some images of every class, all of seeds of their own."""
    for number in range(images):
        for name in networks.model.prompts.classes:
            yield name, sample(networks, name, 1000 * seed + number, side, **options)
