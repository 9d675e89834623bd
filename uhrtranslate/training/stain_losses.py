"""Losses of stain normalization (DSTGAN, CAGAN), as pure functions of pictures in 0..1."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from uhrtranslate.pixels import LUMA

# SSIM: a Gaussian of 11 px, and the constants of Wang et al. for a range of 1.
SIGMA, RADIUS = 1.5, 5
C1, C2 = 0.01**2, 0.03**2
# Keeps logarithms finite.
EPS = 1e-6
# Below any entry of a histogram; keeps the gradient of its root finite.
LEAST = 1e-12


def grey(x: Tensor) -> Tensor:
    """Rec. 601 luma of [n, 3, h, w], as [n, 1, h, w] in the same range."""
    luma = torch.tensor(LUMA, device=x.device, dtype=x.dtype)
    return (x * luma[:, None, None]).sum(1, keepdim=True)


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Mean structural similarity (Wang 2004; DSTGAN's eq. 6).

    Windows are Gaussian, of 11 px and sigma 1.5, and do not reach out of the image.

    Args:
        x, y: [n, c, h, w] in 0..1, at least 11 px.

    Returns: scalar, up to 1.
    """
    place = torch.arange(-RADIUS, RADIUS + 1, device=x.device, dtype=torch.float32)
    line = torch.exp(-0.5 * (place / SIGMA) ** 2)
    line = line / line.sum()
    n, c, h, w = x.shape
    x, y = x.float(), y.float()
    planes = torch.cat([x, y, x * x, y * y, x * y]).reshape(5 * n * c, 1, h, w)
    planes = F.conv2d(F.conv2d(planes, line.view(1, 1, 1, -1)), line.view(1, 1, -1, 1))
    mx, my, xx, yy, xy = planes.chunk(5)
    top = (2 * mx * my + C1) * (2 * (xy - mx * my) + C2)
    return (top / ((mx * mx + my * my + C1) * (xx - mx * mx + yy - my * my + C2))).mean()


def chroma_histogram(x: Tensor, bins: int = 64, reach: float = 3.0, tau: float = 0.02) -> Tensor:
    """Soft histograms in log-chromaticity space (Afifi 2021; DSTGAN's eq. 8).

    Each channel is the reference of one plane, whose axes are its logarithmic ratios to the other
    two channels. Pixels count as much as they are bright.

    Args:
        x: [n, 3, h, w] in 0..1; clamped.
        bins: along each axis.
        reach: the axes go from -reach to reach.
        tau: width of a pixel's kernel, an inverse quadratic.

    Returns: [n, 3, bins, bins], of sum 1 for each image.
    """
    colours = x.float().clamp(0, 1).flatten(2)  # [n, 3, pixels]
    weight = (colours.square().sum(1) + EPS).sqrt()[..., None]  # [n, pixels, 1]
    logs = (colours + EPS).log()
    centres = torch.linspace(-reach, reach, bins, device=x.device)
    planes = []
    for own in range(3):
        first, second = (channel for channel in range(3) if channel != own)
        u = _kernel(logs[:, own] - logs[:, first], centres, tau)
        v = _kernel(logs[:, own] - logs[:, second], centres, tau)
        planes.append(torch.bmm((u * weight).transpose(1, 2), v))
    found = torch.stack(planes, 1)
    return found / found.sum((1, 2, 3), keepdim=True)


def _kernel(values: Tensor, centres: Tensor, tau: float) -> Tensor:
    """How much each of [n, pixels] belongs to each centre, [n, pixels, bins]."""
    return 1 / (1 + ((values[..., None] - centres) / tau) ** 2)


def hellinger(a: Tensor, b: Tensor) -> Tensor:
    """Hellinger distance of histograms [n, ...] (DSTGAN's eq. 9), [n] in 0..1."""
    roots = a.clamp_min(LEAST).sqrt() - b.clamp_min(LEAST).sqrt()
    return (roots.flatten(1).square().sum(1) + LEAST).sqrt() / 2**0.5


def content(a: Sequence[Tensor], b: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Weighted mean absolute difference of features (DSTGAN's eq. 4).

    Args:
        a, b: features of each layer, [n, c, h, w]; no gradient flows into b.
        weights: of the layers.
    """
    parts = zip(a, b, weights, strict=True)
    return torch.stack([w * F.l1_loss(one, two.detach()) for one, two, w in parts]).sum()
