"""Windows that the bundled generators train on: sections, and what lies beside sections on a slide.

Real windows are laid on a drawn glass: half of them gets lost behind a wavy edge, specks and pen
marks are added, stains are stronger or weaker, the glass has a tint, a shade, noise and the marks
of JPEG. The goal of glass is that of the palest tissue; specks and pen marks stay as they are.
"""

import io
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from bundled_sections import CELL, Section
from PIL import Image
from torch import Tensor

SIDE = 2 * CELL
# Densities of felt pens in R, G, B: black, blue, green, red.
PENS = ((1.8, 1.8, 1.7), (1.6, 1.1, 0.3), (1.3, 0.5, 1.1), (0.2, 1.4, 1.2))


@dataclass(frozen=True)
class Window:
    """A window of SIDE px, [3, SIDE, SIDE] in -1..1 each.

    Attributes:
        x: input, as 8 bits hold it.
        goal: what the generator should make of it.
    """

    x: Tensor
    goal: Tensor


@dataclass(frozen=True)
class Scanner:
    """What all windows of one slide have in common.

    Attributes:
        stain: factors of density, [3, 1, 1].
        white: colour of glass in 0..1, [3, 1, 1].
        noise: std in 0..1.
        quality: of JPEG; None for none.
    """

    stain: Tensor
    white: Tensor
    noise: float
    quality: int | None

    @classmethod
    def drawn(cls, random: np.random.Generator) -> "Scanner":
        """Any scanner, any laboratory."""
        stain = np.exp(random.normal(0, 0.2) + random.normal(0, 0.08, (3, 1, 1)))
        white = random.uniform(0.88, 1.0) + random.normal(0, 0.01, (3, 1, 1))
        return cls(
            torch.from_numpy(stain).float(),
            torch.from_numpy(white.clip(0.86, 1.0)).float(),
            float(random.uniform(0, 0.008)),
            int(random.integers(60, 96)) if random.random() < 0.5 else None,
        )


def draw(sections: list[list[Section]], scanner: Scanner, random: np.random.Generator) -> Window:
    """A window of a random section, flipped and turned, on a drawn glass."""
    density, goal, bare = real(sections, random)
    density = density * scanner.stain
    kind = random.random()
    if kind < 0.35:
        kept = edge(random) if kind > 0.07 else torch.zeros(SIDE, SIDE)
        density = density * kept
        goal = bare + (goal - bare) * kept
    dirt = torch.zeros(3, SIDE, SIDE)
    if random.random() < 0.5:
        specks(dirt, random)
    if random.random() < 0.08:
        pen_mark(dirt, random)
    return Window(
        photograph(density + dirt, scanner, random), torch.exp(-goal - dirt).clamp(0, 1) * 2 - 1
    )


def real(
    sections: list[list[Section]], random: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Density and goal of a real window, flipped and turned; bare glass is drawn more seldom.

    Third, the goal of glass.
    """
    weights = np.array([some[0].density[0].numel() ** 0.25 for some in sections])
    while True:
        some = sections[random.choice(len(sections), p=weights / weights.sum())]
        # Half of all windows have the resolution that the generator is for.
        section = some[0 if random.random() < 0.5 else random.integers(len(some))]
        height, width = section.density.shape[1:]
        y, x = (int(random.integers(0, max(n - SIDE, 0) + 1)) for n in (height, width))
        part = (slice(None), slice(y, y + SIDE), slice(x, x + SIDE))
        cut = torch.stack([section.density[part], section.goal[part]])
        bare = (cut[0].mean(0) > 0.1).float().mean() < 0.05
        if bare and random.random() > 0.25:
            continue
        cut = mirrored(cut)
        cut = torch.rot90(cut, int(random.integers(4)), (2, 3))
        cut = cut.flip(3) if random.random() < 0.5 else cut
        return cut[0], cut[1], section.bare


def mirrored(x: Tensor) -> Tensor:
    """[..., h, w] continued by its mirror image to SIDE px."""
    for axis in (-1, -2):
        while x.shape[axis] < SIDE:
            more = x.flip(axis).narrow(axis, 0, min(SIDE - x.shape[axis], x.shape[axis]))
            x = torch.cat([x, more], axis)
    return x


def edge(random: np.random.Generator) -> Tensor:
    """1 on one side of a wavy line or of several, 0 on the other, [SIDE, SIDE]."""
    cells = int(random.choice([2, 3, 5, 9]))
    noise = torch.from_numpy(random.normal(size=(1, 1, cells, cells))).float()
    field = F.interpolate(noise, (SIDE, SIDE), mode="bicubic", align_corners=True)[0, 0]
    level = torch.quantile(field.flatten()[::16], float(random.uniform(0.1, 0.9)))
    step = (field - level) / field.diff(dim=0).abs().mean().clamp(min=1e-6)
    return torch.sigmoid(step / float(random.uniform(0.7, 4)))


def specks(dirt: Tensor, random: np.random.Generator) -> None:
    """Add dust: small and large, round and long, grey and coloured."""
    for _ in range(int(random.integers(1, 25))):
        radius = 1 + 7 * random.random() ** 4
        long = radius * random.choice([1, 1, 1.5, 4])
        reach = int(3 * long) + 2
        y, x = random.uniform(0, SIDE, 2)
        y0, x0 = (int(max(0, at - reach)) for at in (y, x))
        part = dirt[:, y0 : int(y) + reach, x0 : int(x) + reach]
        v = torch.arange(y0, y0 + part.shape[1])[:, None] - y
        u = torch.arange(x0, x0 + part.shape[2])[None] - x
        angle = random.uniform(0, np.pi)
        along, across = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
        shape = torch.sigmoid((1 - ((along / long) ** 2 + (across / radius) ** 2).sqrt()) * radius)
        colour = random.uniform(0.05, 1.2) * np.exp(random.normal(0, 0.25, (3, 1, 1)))
        part += torch.from_numpy(colour).float() * shape.float()


def pen_mark(dirt: Tensor, random: np.random.Generator) -> None:
    """Add the broad mark of a felt pen, over everything."""
    y, x = (torch.arange(SIDE).float() for _ in range(2))
    angle, curve = random.uniform(0, 2 * np.pi), random.normal(0, 0.001)
    v = (y - random.uniform(0, SIDE))[:, None] * np.cos(angle)
    v = v + (x - random.uniform(0, SIDE))[None] * np.sin(angle)
    along = (y[:, None] - SIDE / 2) * np.sin(angle) - (x[None] - SIDE / 2) * np.cos(angle)
    across = (v + curve * along**2).abs()
    shape = torch.sigmoid((random.uniform(15, 150) - across) / random.uniform(1, 6))
    colour = torch.tensor(PENS[random.integers(len(PENS))])[:, None, None]
    dirt += colour * float(random.uniform(0.4, 1.2)) * shape.float()


def photograph(density: Tensor, scanner: Scanner, random: np.random.Generator) -> Tensor:
    """Pixels in -1..1 of a density, as a scanner takes them."""
    shade = torch.from_numpy(random.normal(0, 0.006, (1, 1, 3, 3))).float()
    shade = F.interpolate(shade, (SIDE, SIDE), mode="bicubic", align_corners=True)[0]
    light = scanner.white * torch.exp(-density) * (1 + shade)
    grain = torch.from_numpy(random.standard_normal((3, SIDE, SIDE), np.float32))
    if random.random() < 0.5:
        grain = F.avg_pool2d(grain, 3, 1, 1) * 2
    pixels = ((light + grain * scanner.noise) * 255).round().clamp(0, 255).byte()
    if scanner.quality is not None:
        file = io.BytesIO()
        image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
        image.save(file, "JPEG", quality=scanner.quality)
        pixels = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)
    return pixels.float() / 127.5 - 1
