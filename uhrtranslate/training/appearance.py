"""Random changes of how patches look: sharpness, contrast, saturation. Tensors in, tensors out."""

import torch
import torch.nn.functional as F
from torch import Tensor

from uhrtranslate.training.stain_losses import grey

# Half of a blur's kernel in standard deviations.
REACH = 3


def change_appearance(x: Tensor, blur: float, contrast: float, saturation: float) -> Tensor:
    """Change each patch at random, by torch's generator.

    Args:
        x: [n, 3, h, w] in -1..1.
        blur: greatest standard deviation of a Gaussian in px; 0: none.
        contrast: greatest change of the gain around the patch's mean grey, as a share.
        saturation: the same around each pixel's grey.

    Returns: the same shape and range.
    """
    if blur:
        x = torch.cat([_blurred(one[None], blur * float(torch.rand(()))) for one in x])
    if contrast:
        mean = grey(x).mean((2, 3), keepdim=True)
        x = mean + (x - mean) * _gains(x, contrast)
    if saturation:
        luma = grey(x)
        x = luma + (x - luma) * _gains(x, saturation)
    return x.clamp(-1, 1)


def _gains(x: Tensor, most: float) -> Tensor:
    """A gain for each patch, [n, 1, 1, 1]."""
    return (1 + most * (2 * torch.rand(len(x), 1, 1, 1) - 1)).to(x)


def _blurred(x: Tensor, sigma: float) -> Tensor:
    radius = round(REACH * sigma)
    if radius == 0:
        return x
    place = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    line = torch.exp(-0.5 * (place / sigma) ** 2)
    line = line / line.sum()
    c = x.shape[1]
    x = F.pad(x, (radius,) * 4, mode="reflect")
    x = F.conv2d(x, line.view(1, 1, 1, -1).expand(c, 1, 1, -1), groups=c)
    return F.conv2d(x, line.view(1, 1, -1, 1).expand(c, 1, -1, 1), groups=c)
