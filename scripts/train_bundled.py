#!/usr/bin/env python3
"""Train the generators that ship with uhrt: H&E -> IHC (DAB) and IHC (DAB) -> H&E.

    python scripts/train_bundled.py --data images --out uhrtranslate/models/weights

Both directions learn from patches of real sections, all freely licensed (see SOURCES), brought to
0.5 um/px: each generator imitates a classical re-staining of its input (colour deconvolution, then
the colours of the other domain's stains). A CycleGAN refinement against the real other domain was
tried and dropped: on so few images it blurred nuclei. Same seed, same kind of machine: the same
weights, those that ship.

The result demonstrates the tool. It is not for diagnosis.
"""

import argparse
import copy
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage.data
import tifffile
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from uhrtranslate.io.files.disk import write_png
from uhrtranslate.models import GeneratorInfo, ResnetGenerator, save_native
from uhrtranslate.training.networks.making import initialise
from uhrtranslate.training.run.sample_grid import sample_grid

MPP = 0.5
CELL = 256


@dataclass(frozen=True)
class Picture:
    """A source image.

    Attributes:
        path: below --data; None for the section that comes with scikit-image.
        mpp: micrometres per pixel.
        licence: under which it may be used.
    """

    path: str | None
    mpp: float
    licence: str


HE = (
    Picture("aperio-svs/CMU-1-Small-Region.svs", 0.499, "CC0-1.0, Carnegie Mellon University"),
    Picture("he-patches/OS-1-detail.ome.tif", 0.227, "OpenSlide test data, free to use"),
    Picture("he-patches/TCGA-AD-6964-tile-16896-20480.jpg", 0.5, "CC BY 3.0, TCGA"),
    Picture("he-patches/TCGA-AD-6964-tile-22016-11776.jpg", 0.5, "CC BY 3.0, TCGA"),
)
IHC = (
    Picture("scanner-pair-ki67/OS-2-ndpi.ome.tif", 0.227, "OpenSlide test data, free to use"),
    Picture("scanner-pair-ki67/OS-2-vsi.ome.tif", 0.346, "OpenSlide test data, free to use"),
    # Its mpp is not stated; nuclei are as large as in the others at about this.
    Picture(None, 0.5, "no known copyright restrictions (scikit-image)"),
)
SOURCES = {"H&E": HE, "IHC (DAB)": IHC}

# Unit optical densities of the stains in R, G, B: Ruifrok & Johnston (2001).
HAEMATOXYLIN = (0.650, 0.704, 0.286)
EOSIN = (0.072, 0.990, 0.105)
DAB = (0.268, 0.570, 0.776)


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        ngf, blocks: size of the generators.
        patch: side of training patches in px.
        steps: of training; the learning rate falls to zero over the second half.
        batch: patches of each domain per step.
        seed: of everything.
    """

    ngf: int = 16
    blocks: int = 6
    patch: int = CELL
    steps: int = 2200
    batch: int = 1
    seed: int = 1

    @property
    def arguments(self) -> dict[str, object]:
        """Of the generators."""
        return {
            "ngf": self.ngf, "n_blocks": self.blocks, "antialias": True, "antialias_up": True,
        }  # fmt: skip


def load(data: Path, picture: Picture) -> np.ndarray:
    """A source at MPP, [h, w, 3] uint8."""
    if picture.path is None:
        pixels = skimage.data.immunohistochemistry()
    elif picture.path.endswith(".jpg"):
        pixels = np.asarray(Image.open(data / picture.path).convert("RGB"))
    else:
        pixels = tifffile.imread(data / picture.path)[..., :3]
    size = [round(side * picture.mpp / MPP) for side in pixels.shape[1::-1]]
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def draw(images: list[np.ndarray], settings: Settings, random: np.random.Generator) -> Tensor:
    """A batch of random patches, flipped and turned, [n, 3, patch, patch] in -1..1.

    Patches of bare glass are drawn as seldom as one in ten: there is little to learn from them.
    """
    patches = []
    weights = np.sqrt([image.shape[0] * image.shape[1] for image in images])
    while len(patches) < settings.batch:
        image = images[random.choice(len(images), p=weights / weights.sum())]
        side = settings.patch
        y, x = (int(random.integers(0, n - side + 1)) for n in image.shape[:2])
        patch = image[y : y + side, x : x + side]
        tissue = (patch.min(axis=2) < 200).mean()
        if tissue < 0.25 and random.random() > 0.1:
            continue
        patch = np.rot90(patch, int(random.integers(4)))
        patches.append(patch[:, ::-1] if random.random() < 0.5 else patch)
    batch = torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2).float() / 127.5 - 1
    # Other scanners, other exposures.
    gain = torch.tensor(random.uniform(0.95, 1.05, (settings.batch, 3, 1, 1))).float()
    return ((batch + 1) * gain - 1).clamp(-1, 1)


def density(x: Tensor) -> Tensor:
    """Optical density of pixels in -1..1, [n, 3, h, w], against white."""
    return -torch.log(((x + 1) / 2).clamp(min=0.02))


def stains(x: Tensor, second: tuple[float, float, float]) -> tuple[Tensor, Tensor, Tensor]:
    """Amounts of haematoxylin, of a second stain, and of the rest, [n, h, w] each."""
    first = torch.tensor(HAEMATOXYLIN)
    other = torch.tensor(second)
    rest = torch.linalg.cross(first, other)
    matrix = torch.stack([first, other / other.norm(), rest / rest.norm()])
    amounts = torch.einsum("nchw,cs->nshw", density(x), torch.linalg.inv(matrix))
    h, s, r = amounts.unbind(1)
    return h.clamp(min=0), s.clamp(min=0), r


def colour(amounts: list[Tensor], colours: list[tuple[float, float, float]]) -> Tensor:
    """Pixels in -1..1 of stains laid over each other."""
    total = torch.zeros(())
    for amount, unit in zip(amounts, colours, strict=True):
        total = total + amount[:, None] * torch.tensor(unit)[:, None, None]
    return torch.exp(-total) * 2 - 1


def restain_to_ihc(x: Tensor) -> Tensor:
    """H&E as a nuclear DAB stain: the darkest nuclei brown, other nuclei blue, the rest pale.

    Dark is meant in comparison with the patch, as instance norm sees it.
    """
    h, e, _ = stains(x, EOSIN)
    top = torch.quantile(h.flatten(1), 0.97, dim=1)[:, None, None].clamp(min=0.35)
    h = h / top
    near = blur(h, 9)
    nucleus = torch.sigmoid((h - 0.4) * 12)
    brown = nucleus * torch.sigmoid((near - 0.62) * 16)
    blue = nucleus * (1 - brown)
    return colour(
        [0.85 * blue * h, 1.5 * brown * h, 0.45 * brown * h, 0.13 * (e + 0.5 * h).clamp(max=1.2)],
        [(0.62, 0.36, 0.2), DAB, HAEMATOXYLIN, (0.62, 0.58, 0.53)],
    )


def restain_to_he(x: Tensor) -> Tensor:
    """A DAB stain as H&E: nuclei purple, whether blue or dark brown; the rest of tissue pink."""
    h, dab, _ = stains(x, DAB)
    dark = torch.sigmoid((blur(dab, 5) - 1.0) * 8)
    # Pale blue nuclei are paler than those of H&E.
    nuclei = 1.9 * (h - 0.08).clamp(min=0) * (1 - dark) + (0.45 * dab + 0.3 * h) * dark
    tissue = torch.sigmoid((blur(density(x).mean(1), 9) - 0.09) * 60)
    pink = tissue * (0.32 + 0.35 * dab.clamp(max=1) * (1 - dark))
    return colour([nuclei.clamp(max=1.5), pink], [(0.62, 0.72, 0.32), (0.16, 0.83, 0.48)])


def blur(x: Tensor, side: int) -> Tensor:
    """Mean over a square of odd side, [n, h, w]."""
    return F.avg_pool2d(x[:, None], side, 1, side // 2, count_include_pad=False)[:, 0]


def falling(optimiser: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """A constant rate, then linearly to zero over the second half."""
    return torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, 2 * (steps - step) / max(steps, 1))
    )


def train(data: Path, out: Path, settings: Settings, samples: Path | None) -> None:
    """Train both directions and write both files."""
    torch.manual_seed(settings.seed)
    random = np.random.default_rng(settings.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    domains = [[load(data, picture) for picture in pictures] for pictures in SOURCES.values()]
    generators = nn.ModuleList(ResnetGenerator(**settings.arguments) for _ in domains).to(device)
    initialise(generators)
    smooth = copy.deepcopy(generators)
    began = time.time()

    optimiser = torch.optim.Adam(generators.parameters(), 1e-3, (0.5, 0.999))
    schedule = falling(optimiser, settings.steps)
    for step in range(settings.steps):
        he, ihc = (draw(images, settings, random) for images in domains)
        goals = [restain_to_ihc(he).to(device), restain_to_he(ihc).to(device)]
        fakes = [generators[0](he.to(device)), generators[1](ihc.to(device))]
        loss = sum(F.l1_loss(fake, goal) for fake, goal in zip(fakes, goals, strict=True))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        for slow, fast in zip(smooth.parameters(), generators.parameters(), strict=True):
            slow.data.lerp_(fast.data, 0.01)
        if step % 50 == 0:
            print(f"{time.time() - began:6.0f} s, step {step}: L1 {loss.item():.3f}", flush=True)
        if samples and step % 300 == 0:
            show(smooth, domains, samples / f"{step:05d}.png", device)

    save(smooth, out, settings)
    if samples:
        show(smooth, domains, samples / "final.png", device)


def save(generators: nn.ModuleList, out: Path, settings: Settings) -> None:
    """Write both directions in the native format, as half floats."""
    names = list(SOURCES)
    for module, (a, b), file in zip(
        generators, (names, names[::-1]), ("he2ihc", "ihc2he"), strict=True
    ):
        info = GeneratorInfo(
            architecture="resnet",
            arguments=settings.arguments,
            cell=CELL,
            mpp=MPP,
            domains=(a, b),
            description=(
                f"{a} to {b}. A demonstration, not for diagnosis: a small network trained on a "
                "handful of freely licensed sections (OpenSlide test data, TCGA, scikit-image). "
                "The stain it shows where there was none is invented. "
                "See docs/bundled-generators.md."
            ),
        )
        save_native(out / f"{file}.safetensors", module.cpu(), info, half=True)


@torch.no_grad()
def show(
    generators: nn.ModuleList, domains: list[list[np.ndarray]], path: Path, device: torch.device
) -> None:
    """A picture of patches and their translations."""
    generators.to(device)
    rows = []
    for generator, images in zip(generators, domains, strict=True):
        patches = [image[-CELL:, -CELL:] for image in images[:3]] + [
            images[0][600 : 600 + CELL, 500 : 500 + CELL][:CELL, :CELL]
        ]
        x = torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2).float() / 127.5 - 1
        y = generator(x.to(device)).cpu()
        goal = restain_to_ihc(x) if generator is generators[0] else restain_to_he(x)
        rows += [x, goal, y]
    write_png(path, sample_grid(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the source images")
    parser.add_argument("--out", type=Path, required=True, help="folder of the two files")
    parser.add_argument("--samples", type=Path, help="folder for sample pictures")
    defaults = Settings()
    for name in ("steps", "seed", "ngf"):
        parser.add_argument(f"--{name}", type=int, default=getattr(defaults, name))
    given = vars(parser.parse_args())
    data, out, samples = (given.pop(name) for name in ("data", "out", "samples"))
    train(data, out, Settings(**given), samples)


if __name__ == "__main__":
    main()
