"""Measuring how many px of true neighbours a tile needs."""

import torch
from torch import Tensor

from uhrtranslate.engine.forward.actions import own_constants
from uhrtranslate.engine.forward.runner import GeneratorRunner
from uhrtranslate.errors import OptionError

# The most, in grey levels, that pixels outside the halo may change an output value: so little that
# rounding to 8 bits does not turn it into a seam.
TOLERANCE = 0.05
# Half the side in px of the first picture; doubled until the receptive field fits.
FIRST_RADIUS = 128
LARGEST_RADIUS = 1024


def measure_halo(runner: GeneratorRunner) -> int:
    """The effective radius of a generator's receptive field, in px, a multiple of its stride.

    The gradient of the central outputs with respect to a noise picture tells how strongly each
    input pixel can affect them while the statistics stay fixed. The halo is the smallest radius
    beyond which all inputs together, randomly changed by up to the whole value range, change an
    output by less than `TOLERANCE` grey levels (root of the sum of squares).

    Raises:
        OptionError: no halo up to 1024 px is enough, so tiles cannot be independent.
    """
    stride = runner.info.stride
    radius = max(FIRST_RADIUS, stride * 2)
    while radius <= LARGEST_RADIUS:
        influence = _influence(runner, radius // stride * stride)
        # outside[r]: the joint influence of all pixels at a distance of r or more.
        outside = influence.flip(0).cumsum(0).flip(0).sqrt()
        enough = (outside < TOLERANCE / 255).nonzero()
        # Closer to the picture's edge, padding inside the generator would look like influence.
        if len(enough) and int(enough[0]) <= 3 * radius // 4:
            return -(-int(enough[0]) // stride) * stride
        radius *= 2
    raise OptionError(
        f"{runner.name}: an output pixel depends on inputs more than {LARGEST_RADIUS} px away; "
        "give a --halo that you accept, or an --overlap within which tiles are blended."
    )


def _influence(runner: GeneratorRunner, radius: int) -> Tensor:
    """Squared influence on one output value by distance from it, [radius + 1].

    Input and output are both measured in units of the value range.
    """
    seed = torch.Generator().manual_seed(0)
    low, high = runner.info.value_range
    noise = torch.rand(1, runner.info.in_channels, 2 * radius, 2 * radius, generator=seed)
    x = noise.mul(high - low).add(low).to(runner.device, memory_format=runner.layout)
    with torch.enable_grad():
        y = runner.with_gradients(x.requires_grad_(), own_constants)
        # The outputs of one stride step depend on different pixels; random signs keep the sum of
        # their gradients from cancelling out. [n, c, stride, stride]
        centre = slice(radius, radius + runner.info.stride)
        middle = y[..., centre, centre]
        signs = torch.randint(0, 2, middle.shape, generator=seed).mul(2).sub(1)
        (gradient,) = torch.autograd.grad((middle * signs.to(middle)).sum(), x)
    power = gradient.square().sum((0, 1)).cpu()  # [2 * radius, 2 * radius]
    offset = torch.arange(2 * radius) - radius
    # Distance from the stride step at the centre, along the farther axis, since halos are square.
    away = torch.maximum(-offset, offset - runner.info.stride + 1).clamp(min=0)
    distance = torch.maximum(away[:, None], away[None, :])
    return torch.zeros(radius + 1).index_add_(
        0, distance.flatten().clamp(max=radius), power.flatten()
    )
