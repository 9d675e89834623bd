"""The sections that the bundled generators learn from, and their classical re-staining.

Everything is an optical density against the section's own white, so glass has none, whatever the
scanner's exposure. A re-staining is computed once for the whole section: what is glass, how dark
nuclei are there, and then the densities of the other domain's stains.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch
import torch.nn.functional as F
from bundled_recipe import Picture, Recipe
from PIL import Image
from scipy import ndimage
from skimage.morphology import disk, remove_small_holes
from torch import Tensor

MPP = 0.5
# Users' images are not always at MPP.
RESOLUTIONS = (MPP, 0.25, 0.35, 0.8)
CELL = 256
Colour = tuple[float, float, float]


# Unit optical densities of the stains in R, G, B: Ruifrok & Johnston (2001).
HAEMATOXYLIN = (0.650, 0.704, 0.286)
EOSIN = (0.072, 0.990, 0.105)
DAB = (0.268, 0.570, 0.776)
# The eosin of re-stainings, and how much of it the palest tissue has, and glass: which of the two
# it is, cannot be seen once a layer has normalized a patch.
PINK = (0.14, 0.80, 0.46)
PALEST = 0.22
# The goal of glass.
BARE: dict[str, Colour] = {"H&E": (0, 0, 0), "IHC (DAB)": tuple(PALEST * part for part in PINK)}


@dataclass(frozen=True)
class Section:
    """A source at one resolution, [3, h, w] float32 each.

    Attributes:
        density: optical density, 0 on glass.
        goal: that of its re-staining.
        bare: the goal of glass, [3, 1, 1].
    """

    density: Tensor
    goal: Tensor
    bare: Tensor


def load(data: Path, picture: Picture, mpp: float = MPP) -> np.ndarray:
    """A source at a resolution, [h, w, 3] uint8."""
    path = picture.file(data)
    if path.suffix in (".jpg", ".png"):
        pixels = np.asarray(Image.open(path).convert("RGB"))
    else:
        pixels = tifffile.imread(path)[..., :3]
    size = [round(side * picture.mpp / mpp) for side in pixels.shape[1::-1]]
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def density(pixels: np.ndarray, white: Colour) -> Tensor:
    """Optical density of [h, w, 3] uint8 against a white, [3, h, w]."""
    share = torch.from_numpy(np.array(pixels)).permute(2, 0, 1) / torch.tensor(white)[:, None, None]
    return -torch.log(share.clamp(0.02, 1))


def tissue(d: Tensor, mpp: float) -> Tensor:
    """Where the section is, soft, [h, w] in 0..1: dense areas and the pale gaps inside them.

    Gaps are closed by their size in micrometres: those between cells are pale tissue, but the
    alveoli of a lung in an overview are glass.
    """
    gap, least = (max(1, round(um / mpp)) for um in (4.5, 1.5))
    fine = mpp < 1.5
    dense = (blur(d.mean(0), 5) if fine else d.mean(0)).numpy() > 0.06
    closed = ndimage.binary_closing(np.pad(dense, 2 * gap, mode="edge"), disk(gap))
    closed = closed[2 * gap : -2 * gap, 2 * gap : -2 * gap]
    if fine:
        closed = ndimage.binary_opening(closed, disk(least))
    whole = remove_small_holes(closed, max_size=round(100 / mpp**2))
    soft = torch.from_numpy(whole).float()
    return blur(soft, 5 if fine else 3)


def restain_to_ihc(d: Tensor, picture: Picture, mpp: float) -> Tensor:
    """H&E as a nuclear DAB stain: the darkest nuclei brown, other nuclei blue, the rest pale.

    Dark is meant in comparison with the surroundings, as instance norm sees it.
    """
    first, other = torch.tensor(HAEMATOXYLIN), torch.tensor(EOSIN)
    rest = torch.linalg.cross(first, other)
    stains = torch.stack([first, other / other.norm(), rest / rest.norm()])
    h, e, _ = torch.einsum("chw,cs->shw", d, torch.linalg.inv(stains)).clamp(min=0)
    here = tissue(d, mpp)
    h = h / surrounding_top(h, here)
    near = blur(h, 9)
    nucleus = torch.sigmoid((h - 0.4) * 12)
    brown = nucleus * torch.sigmoid((near - 0.62) * 16)
    blue = nucleus * (1 - brown)
    return here * mixed(
        [0.85 * blue * h, 1.5 * brown * h, 0.45 * brown * h, 0.13 * (e + 0.5 * h).clamp(max=1.2)],
        [(0.62, 0.36, 0.2), DAB, HAEMATOXYLIN, (0.62, 0.58, 0.53)],
    )


def restain_to_he(d: Tensor, picture: Picture, mpp: float) -> Tensor:
    """A DAB stain as H&E: nuclei purple, whether blue or brown; cytoplasm and the rest pink.

    Blue and brown are told apart by the ratio of red to blue density.
    """
    red, _, blue = (blur(channel, 3) for channel in d)
    ratio = (red + 0.02) / (blue + 0.04)
    # Beneath a brown cytoplasm, nuclei are only bluer than what surrounds them.
    least = torch.minimum(torch.tensor(0.8), 1.12 * blur(ratio, 41))
    is_blue = torch.sigmoid((ratio - least) * 12)
    haematoxylin = is_blue * d[0]
    brown = (d[2] - 0.6 * d[0]).clamp(0, 1.2)
    pale = d.mean(0).clamp(max=0.35)
    if picture.nuclear:
        positive = torch.sigmoid((blur(d.mean(0), 3) - 0.45) * 12) * (1 - is_blue)
        nuclei = 1.7 * haematoxylin.clamp(max=0.9) * (1 - positive)
        nuclei = (nuclei + positive * (0.6 + 0.45 * d.mean(0)) - 0.06).clamp(min=0)
        pink = (PALEST + 0.5 * pale) * (1 - 0.4 * positive)
    else:
        nuclei = (1.9 * (haematoxylin - 0.06)).clamp(min=0)
        pink = PALEST + 0.3 * pale + 0.42 * brown
    return mixed([nuclei.clamp(max=1.5), pink], [(0.62, 0.74, 0.33), PINK])


RESTAIN: dict[str, Callable[[Tensor, Picture, float], Tensor]] = {
    "H&E": restain_to_ihc, "IHC (DAB)": restain_to_he,
}  # fmt: skip


def sections(data: Path, recipe: Recipe) -> list[list[Section]]:
    """All images of a configuration, each at every of RESOLUTIONS that it is as fine as."""
    found = []
    domain = recipe.domains[0]
    for picture in recipe.images:
        kept = [mpp for mpp in RESOLUTIONS if mpp >= 0.9 * picture.mpp] or [picture.mpp]
        parts = [(density(load(data, picture, mpp), picture.white), mpp) for mpp in kept]
        bare = torch.tensor(BARE[domain])[:, None, None]
        found.append([Section(d, RESTAIN[domain](d, picture, mpp), bare) for d, mpp in parts])
    return found


def surrounding_top(h: Tensor, here: Tensor, side: int = 2 * CELL) -> Tensor:
    """How dense the densest nuclei around each pixel are, [h, w]: a high quantile over tissue."""
    height, width = h.shape
    rows, cols = (max(1, round(n / (side / 2))) for n in (height, width))
    tops = torch.empty(1, 1, rows, cols)
    for row in range(rows):
        for col in range(cols):
            y, x = (int((i + 0.5) * n / k) for i, n, k in ((row, height, rows), (col, width, cols)))
            window = (slice(max(0, y - side // 2), y + side // 2),
                      slice(max(0, x - side // 2), x + side // 2))  # fmt: skip
            inside = h[window][here[window] > 0.5]
            tops[..., row, col] = torch.quantile(inside, 0.97) if len(inside) > 5000 else 0.0
    tops[tops == 0] = tops.max()
    smooth = F.interpolate(tops, (height, width), mode="bilinear", align_corners=False)[0, 0]
    return smooth.clamp(min=0.35)


def mixed(amounts: list[Tensor], colours: list[Colour]) -> Tensor:
    """The density of stains laid over each other, [3, h, w]."""
    return sum(
        amount * torch.tensor(unit)[:, None, None]
        for amount, unit in zip(amounts, colours, strict=True)
    )


def blur(x: Tensor, side: int) -> Tensor:
    """Mean over a square of odd side, [h, w]."""
    return F.avg_pool2d(x[None, None], side, 1, side // 2, count_include_pad=False)[0, 0]
