"""Between RGB and CIE Lab, in tensors and with gradients."""

import torch
from torch import Tensor

# sRGB (IEC 61966-2-1) to XYZ, and its white, D65.
TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
WHITE = (0.95047, 1.0, 1.08883)
# Where the cube root of CIE Lab goes over into a line.
KNEE = 6 / 29
# a and b are within this for nearly all of sRGB.
CHROMA = 110.0


def rgb_to_lab(x: Tensor) -> tuple[Tensor, Tensor]:
    """Lightness and chroma of colours.

    Args:
        x: sRGB, [n, 3, h, w] in -1..1.

    Returns: L, [n, 1, h, w] in 0..1; and a and b in units of `CHROMA`, [n, 2, h, w] in about -1..1.
    """
    linear = _linear(x)
    xyz = torch.einsum("dc,nchw->ndhw", linear.new_tensor(TO_XYZ), linear)
    root = _root(xyz / xyz.new_tensor(WHITE)[:, None, None])
    a, b = 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])
    return (1.16 * root[:, 1:2] - 0.16), torch.stack([a, b], 1) / CHROMA


def lightness(grey: Tensor) -> Tensor:
    """L of grey, [n, 1, h, w] in -1..1 to the same in 0..1."""
    return 1.16 * _root(_linear(grey)) - 0.16


def lab_to_rgb(light: Tensor, chroma: Tensor) -> Tensor:
    """Colours of lightness and chroma; those outside of sRGB are clipped.

    Args:
        light: L, [n, 1, h, w] in 0..1.
        chroma: a and b in units of `CHROMA`, [n, 2, h, w].

    Returns: sRGB, [n, 3, h, w] float32 in -1..1.
    """
    light, chroma = light.float(), chroma.float() * CHROMA
    middle = (light[:, 0] + 0.16) / 1.16
    root = torch.stack([middle + chroma[:, 0] / 500, middle, middle - chroma[:, 1] / 200], 1)
    line = 3 * KNEE**2 * (root - 4 / 29)
    xyz = torch.where(root > KNEE, root.clamp(min=KNEE) ** 3, line)
    xyz = xyz * xyz.new_tensor(WHITE)[:, None, None]
    back = torch.linalg.inv(torch.tensor(TO_XYZ, dtype=torch.float64)).to(xyz)
    linear = torch.einsum("dc,nchw->ndhw", back, xyz).clamp(0, 1)
    bent = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return 2 * torch.where(linear > 0.0031308, bent, 12.92 * linear) - 1


def _linear(x: Tensor) -> Tensor:
    """SRGB in -1..1 to light in 0..1, float32."""
    v = ((x.float() + 1) / 2).clamp(0, 1)
    return torch.where(v > 0.04045, ((v + 0.055) / 1.055) ** 2.4, v / 12.92)


def _root(t: Tensor) -> Tensor:
    return torch.where(t > KNEE**3, t.clamp(min=KNEE**3) ** (1 / 3), t / (3 * KNEE**2) + 4 / 29)
