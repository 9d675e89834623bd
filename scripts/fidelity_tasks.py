"""Translations whose right answer is known, for bench_fidelity.py: pictures and what they become.

Every task has pictures to train on and other pictures to judge on; none is in both. Pictures are
[h, w, 3] uint8.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import skimage.data
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from uhrtranslate.pixels import LUMA

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]

# Unit optical densities of haematoxylin and eosin in R, G, B: Ruifrok & Johnston (2001).
HAEMATOXYLIN, EOSIN = (0.650, 0.704, 0.286), (0.072, 0.990, 0.105)
# Their colours in the answer: nuclei brown, as by DAB, and the rest a pale blue.
BROWN, BLUE = (0.268, 0.570, 0.776), (0.400, 0.230, 0.130)
# Light that passes through glass.
WHITE = 244
# Pixels that are brighter than this in every channel are glass.
GLASS = 223
# Photos have no glass; what is blown out or black in them is as plain.
BLACK = 32


@dataclass(frozen=True)
class Judged:
    """A picture that is not in the training, and its right answer.

    Attributes:
        name: for the tables.
        source, answer: [h, w, 3] uint8.
        plain: [h, w] bool, glass; in photos what is white or black.
    """

    name: str
    source: Picture
    answer: Picture
    plain: NDArray[np.bool_]


@dataclass(frozen=True)
class Task:
    """What a generator is to learn, and what it is judged on.

    Attributes:
        sources, answers: to train on; pairs, unless `unpaired`.
        judged: to judge on.
        unpaired: whether the answers are of other pictures than the sources.
        like: the task whose generator is judged; None: its own.
    """

    sources: Sequence[Picture]
    answers: Sequence[Picture]
    judged: Sequence[Judged]
    unpaired: bool = False
    like: str | None = None


def densities(pixels: Picture) -> tuple[Floats, Floats, Floats]:
    """Amounts of haematoxylin, of eosin, and of the rest, [h, w] each; glass has none."""
    rest = np.cross(HAEMATOXYLIN, EOSIN)
    matrix = np.stack([HAEMATOXYLIN, EOSIN, rest / np.linalg.norm(rest)])
    density = -np.log(((pixels + 1.0) / WHITE).clip(max=1))
    h, e, r = np.moveaxis(density @ np.linalg.inv(matrix), -1, 0)
    return h.clip(0), e.clip(0), r


def coloured(*amounts: tuple[Floats, tuple[float, float, float]]) -> Picture:
    """Stains laid over each other, in the colours given as unit optical densities."""
    total = sum(amount[..., None] * np.array(colour) for amount, colour in amounts)
    return (256 * np.exp(-total) - 1).clip(0, 255).round().astype(np.uint8)


def restained(pixels: Picture) -> Picture:
    """Another pair of stains: every pixel's answer depends on that pixel alone."""
    h, e, _ = densities(pixels)
    return coloured((h, BROWN), (e, BLUE))


def crowded(pixels: Picture) -> Picture:
    """Nuclei brown where they are crowded and blue elsewhere; eosin relative to its surroundings.

    So the answer of a pixel depends on some 20 px around it, which the generator sees.
    """
    h, e, _ = densities(pixels)
    crowd = 1 / (1 + np.exp(-(ndimage.gaussian_filter(h, 8) - 0.45) * 10))
    near = ndimage.gaussian_filter(e, 8)
    share = 0.6 * (e - 0.06).clip(0) / (near + 0.25)
    return coloured((h * crowd, BROWN), (h * (1 - crowd), (0.7, 0.5, 0.2)), (share, BLUE))


def graded(pixels: Picture) -> Picture:
    """A tone curve with soft contrast, then teal shadows, orange lights and less saturation."""
    x = pixels / 255.0
    x = x + 0.22 * np.sin(2 * np.pi * (x - 0.5)) / 2 + 0.04 * (1 - x)
    luma = x @ np.array(LUMA)
    x = luma[..., None] + 0.8 * (x - luma[..., None])
    light = luma[..., None]
    x = x + (1 - light) * np.array([-0.05, 0.02, 0.06]) + light * np.array([0.06, 0.0, -0.10])
    return (255 * x).clip(0, 255).round().astype(np.uint8)


def glass_of(pixels: Picture) -> NDArray[np.bool_]:
    """Where a slide shows glass."""
    return (pixels > GLASS).all(axis=2)


def plain_of(pixels: Picture) -> NDArray[np.bool_]:
    """Where a photo is blown out or black."""
    return glass_of(pixels) | (pixels < BLACK).all(axis=2)


def judged_by(
    answer: Callable[[Picture], Picture],
    plain: Callable[[Picture], NDArray[np.bool_]],
    pictures: dict[str, Picture],
) -> list[Judged]:
    """Pictures with the answers that a function gives."""
    return [Judged(name, x, answer(x), plain(x)) for name, x in pictures.items()]


def read(path: Path) -> Picture:
    """A picture file."""
    if path.suffix in (".tif", ".svs"):
        return np.ascontiguousarray(tifffile.imread(path)[..., :3])
    return np.asarray(Image.open(path).convert("RGB"))


def scaled(pixels: Picture, factor: float) -> Picture:
    """A picture made larger or smaller."""
    size = [round(side * factor) for side in pixels.shape[1::-1]]
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


TRAINED_SECTIONS = (
    "TCGA-AD-6964-tile-16896-20480.jpg", "TCGA-AD-6964-tile-22016-11776.jpg",
    "histolab-high-nuclei-level0.png", "histolab-low-nuclei-level0.png",
    "histolab-medium-nuclei-level0.png", "histolab-tissue-level0-a.png",
    "torchstain-source.png", "torchstain-target.png",
)  # fmt: skip


def sections(data: Path) -> tuple[list[Picture], dict[str, Picture]]:
    """H&E to train on, and other slides to judge on: 0 to 9 tenths of them are glass."""
    slide = read(data / "aperio-svs/CMU-1-Small-Region.svs")
    judged = {
        "CMU-1, glass": slide[300:1580, 600:1624],
        "CMU-1, tissue": slide[1687:2967, 700:1724],
        "OS-1": read(data / "he-patches/OS-1-detail.ome.tif"),
        "lung": read(data / "registration/lung-lesion_HE.jpg"),
        "heart": read(data / "he-patches/histolab-tissue-level2-a.png"),
    }
    return [read(data / "he-patches" / name) for name in TRAINED_SECTIONS], judged


@cache
def scanners(data: Path) -> tuple[Picture, Picture]:
    """One section on two scanners, the first bent to lie on the second.

    Shifts between them are smooth, but up to 8 px, and no affine map: a scanner's stage runs
    unevenly. So a cubic polynomial is fitted to the shifts of many places.
    """
    folder = data / "scanner-pair-ki67"
    a, b = (read(folder / f"OS-2-{name}.ome.tif") for name in ("vsi", "ndpi"))
    a = np.asarray(Image.fromarray(a).resize(b.shape[1::-1], Image.Resampling.LANCZOS))
    grey = [x.astype(float).mean(axis=2) for x in (a, b)]
    for _ in range(2):
        bend = _fitted(*grey, b.shape[0])
        y, x = np.mgrid[: b.shape[0], : b.shape[1]].astype(float)
        dy, dx = np.moveaxis(bend(y, x), -1, 0)
        places = [y - dy, x - dx]
        parts = [
            ndimage.map_coordinates(a[..., c].astype(float), places, order=3, mode="reflect")
            for c in range(3)
        ]
        a = np.stack(parts, -1).clip(0, 255).round().astype(np.uint8)
        grey[0] = a.astype(float).mean(axis=2)
    return a, b


def _fitted(a: Floats, b: Floats, size: int) -> Callable[[Floats, Floats], Floats]:
    """The shift from a to b, (dy, dx), as a cubic polynomial of the place."""

    def terms(y: Floats, x: Floats) -> Floats:
        y, x = 2 * y / size - 1, 2 * x / size - 1
        return np.stack([y**i * x**j for i in range(4) for j in range(4 - i)], -1)

    # Without slow changes, which differ between scanners.
    a, b = (ndimage.gaussian_filter(x, 1) - ndimage.gaussian_filter(x, 20) for x in (a, b))
    side, places, shifts = 320, [], []
    for y in range(0, size - side, side // 2):
        for x in range(0, size - side, side // 2):
            one, two = (g[y : y + side, x : x + side] for g in (a, b))
            # Plain correlation: whitened, faint borders of JPEG blocks outweigh nuclei.
            shift, *_ = phase_cross_correlation(two, one, upsample_factor=10, normalization=None)
            places.append((y + side / 2, x + side / 2))
            shifts.append(shift)
    known, found = terms(*np.array(places).T), np.array(shifts)
    kept = np.ones(len(known), bool)
    for _ in range(5):  # least squares without the places that fit worst
        factors, *_ = np.linalg.lstsq(known[kept], found[kept], rcond=None)
        error = np.linalg.norm(known @ factors - found, axis=1)
        kept = error <= max(3 * np.median(error), 0.3)
    return lambda y, x: terms(y, x) @ factors


def photos() -> tuple[list[Picture], dict[str, Picture]]:
    """Photos to train on, and a fundus and a rocket at night to judge on."""
    left, right, _ = skimage.data.stereo_motorcycle()
    trained = [
        skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea(),
        skimage.data.hubble_deep_field()[..., :3], left[..., :3], right[..., :3],
    ]  # fmt: skip
    judged = {
        "fundus": scaled(skimage.data.retina(), 1024 / 1411),
        "rocket": scaled(skimage.data.rocket(), 2.0),
    }
    return trained, judged


def stain_change(data: Path, seed: int) -> Task:
    """(a) Other stains, pixel by pixel."""
    trained, judged = sections(data)
    return Task(trained, [*map(restained, trained)], judged_by(restained, glass_of, judged))


def neighbourhood(data: Path, seed: int) -> Task:
    """(b) What becomes of a pixel depends on those around it."""
    trained, judged = sections(data)
    return Task(trained, [*map(crowded, trained)], judged_by(crowded, glass_of, judged))


def unpaired(data: Path, seed: int) -> Task:
    """(c) The stain change of (a), learned without pairs: the halves swap roles with the seed."""
    trained, judged = sections(data)
    a, b = trained[seed % 2 :: 2], trained[1 - seed % 2 :: 2]
    return Task(a, [*map(restained, b)], judged_by(restained, glass_of, judged), unpaired=True)


def two_scanners(data: Path, seed: int) -> Task:
    """(d) One slide, so a half of it is held out, another one for each seed, in two pictures."""
    a, b = scanners(data)
    half = b.shape[0] // 2
    if seed % 3 == 2:
        a, b = (x.transpose(1, 0, 2) for x in (a, b))
    if seed % 3 == 1:
        a, b = (x[:, ::-1] for x in (a, b))
    judged = [
        Judged(
            name, *(np.ascontiguousarray(x[rows, :half]) for x in (a, b)), glass_of(b[rows, :half])
        )
        for name, rows in (("first quarter", slice(0, half)), ("second quarter", slice(half, None)))
    ]
    return Task([a[:, half:]], [b[:, half:]], judged)


def grading(data: Path | None, seed: int) -> Task:
    """(e) A photo's tone curve and colours; without a folder, one picture less is judged on."""
    trained, judged = photos()
    if data is not None:
        judged["Etretat"] = read(data / "paintings/monet-etretat.jpg")
    return Task(trained, [*map(graded, trained)], judged_by(graded, plain_of, judged))


def other_light(data: Path, seed: int) -> Task:
    """(f) Not one of the five: the generators of (a) on pictures of a warmer, dimmer lamp.

    Their answer is that of the picture without it, so that statistics of the picture help.
    """
    task = stain_change(data, seed)
    judged = [
        replace(one, source=(one.source * np.array([1.0, 0.93, 0.86]) * 0.95).astype(np.uint8))
        for one in task.judged
    ]
    return replace(task, judged=judged, like="a")


TASKS: dict[str, Callable[..., Task]] = {
    "a": stain_change, "b": neighbourhood, "c": unpaired, "d": two_scanners, "e": grading,
    "f": other_light,
}  # fmt: skip
