"""Measuring whether a generator's output depends on where its input begins."""

from dataclasses import dataclass

import numpy as np
import torch

from uhrtranslate.engine.forward.actions import Frozen, Recorder
from uhrtranslate.engine.forward.receptive_field import TOLERANCE
from uhrtranslate.engine.forward.runner import GeneratorRunner
from uhrtranslate.io import Pixels

# Px from the edges within which outputs are not compared, as padding inside the generator reaches
# into them; doubled as long as that helps.
FIRST_MARGIN, LARGEST_MARGIN = 64, 256
# Shifts that may be a period, in strides; windows of attention have 7 or 8 features, and are
# shifted by half.
SHIFTS = (2, 4, 7, 8, 14, 16, 32)
# A shift by the period leaves at most this share of the difference that other shifts make.
PERIODIC = 0.1


@dataclass(frozen=True)
class Covariance:
    """How the output of a generator follows a shift of its input.

    Attributes:
        covariant: whether it is shifted alike by any multiple of the stride, away from the edges.
        period: px by which an input may be shifted so that its output is shifted alike; the stride
            if `covariant`, or if no such shift was found.
    """

    covariant: bool
    period: int


def measure_covariance(runner: GeneratorRunner) -> Covariance:
    """Shift a picture of noise by strides, and compare the outputs away from its edges.

    Norm layers keep the statistics of the first picture. What padding does at the edges fades
    with the distance from them, so a difference that hardly fades comes from the shift.
    """
    stride = runner.info.stride
    margin = -(-FIRST_MARGIN // stride) * stride
    before = float("inf")
    while True:
        # A long shift shows what depends smoothly on the place, a short one windows; odd numbers
        # of strides are the multiple of no even window.
        far = (margin // 2 // stride | 1) * stride
        near = _difference(runner, margin, stride)
        found = max(near, _difference(runner, margin, far))
        if found < TOLERANCE:
            return Covariance(True, stride)
        if found > before / 2:
            break
        if 2 * margin > max(LARGEST_MARGIN, stride):
            return Covariance(True, stride)  # with a wide receptive field: a matter of the halo
        before, margin = found, 2 * margin
    if near >= TOLERANCE:
        least = max(TOLERANCE, PERIODIC * near)
        for shift in (steps * stride for steps in SHIFTS):
            if shift <= margin and _difference(runner, margin, shift) < least:
                return Covariance(False, shift)
    return Covariance(False, stride)


def shifted_pair(
    runner: GeneratorRunner, pixels: Pixels, side: int, shift: int
) -> tuple[Pixels, Pixels]:
    """Two squares of a picture through a generator, with the statistics of the first.

    Args:
        runner: the generator.
        pixels: at least [side + shift, side + shift, 3] uint8.
        side: of each square in px.
        shift: of the second against the first in px, down and to the right.

    Returns:
        Their translations, [side, side, 3] uint8 each.
    """
    recorder = Recorder()
    corner = np.s_[shift : shift + side, shift : shift + side]
    first = runner.forward(runner.to_input([pixels[:side, :side]]), recorder)
    second = runner.forward(runner.to_input([pixels[corner]]), Frozen.of(recorder))
    return runner.to_pixels(first)[0], runner.to_pixels(second)[0]


def _difference(runner: GeneratorRunner, margin: int, shift: int) -> float:
    """The largest difference between outputs at the same pixel, in grey levels."""
    side = 4 * margin
    seed = torch.Generator().manual_seed(0)
    low, high = runner.info.value_range
    noise = torch.rand(1, runner.info.in_channels, side + shift, side + shift, generator=seed)
    x = noise.mul(high - low).add(low).to(runner.device)
    recorder = Recorder()
    still = runner.forward(x[..., :side, :side].contiguous(), recorder)
    moved = runner.forward(x[..., shift:, shift:].contiguous(), Frozen.of(recorder))
    inside = slice(margin, side - margin)
    here = still[..., inside, inside]
    there = moved[
        ..., margin - shift : side - margin - shift, margin - shift : side - margin - shift
    ]
    return float((here - there).abs().max()) * 255 / (high - low)
