"""Samplers as tables of coefficients: every step is linear, so merged tiles take it as one.

With a latent x, the clean latent c that the network expects behind it, the one of the step before,
and noise z, each sampler here goes to `keep * x + clean * c + past * before + noise * z`. As the
weights of tiles are the same at every timestep, merging what tiles predict and then taking the step
once is the same as a scheduler with a history of its own for every tile, merged afterwards: the
history of all tiles is one canvas. Tests compare both with those of diffusers.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Array = NDArray[np.float32]
Prediction = Literal["epsilon", "sample", "v_prediction"]
# The curve of betas ends here where a cosine would make them 1 (Nichol & Dhariwal 2021).
MOST_BETA = 0.999


@dataclass(frozen=True)
class Step:
    """From one timestep to the next.

    Attributes:
        timestep: that the network is asked at.
        alpha, sigma: parts of clean latent and of noise before the step, sqrt(abar) and
            sqrt(1 - abar).
        keep, clean, past, noise: see above.
    """

    timestep: int
    alpha: float
    sigma: float
    keep: float
    clean: float
    past: float = 0.0
    noise: float = 0.0

    def expected(self, x: Array, output: Array, prediction: Prediction) -> Array:
        """The clean latent behind `x`, from the network's output of the same shape."""
        alpha, sigma = np.float32(self.alpha), np.float32(self.sigma)
        if prediction == "sample":
            return output
        if prediction == "epsilon":
            return np.asarray((x - sigma * output) / alpha, np.float32)
        return np.asarray(alpha * x - sigma * output, np.float32)

    def after(self, x: Array, clean: Array, before: Array | None, noise: Array | None) -> Array:
        """The latent after the step; `before` and `noise` are needed if their share is not 0."""
        result = np.float32(self.keep) * x + np.float32(self.clean) * clean
        if self.past and before is not None:
            result += np.float32(self.past) * before
        if self.noise and noise is not None:
            result += np.float32(self.noise) * noise
        return result


Sampler = Callable[[Doubles, Sequence[int], float], list[Step]]


def alphas_cumprod(steps: int, start: float, end: float, schedule: str) -> Doubles:
    """abar: the share of the clean latent's variance at each timestep of training.

    Args:
        steps: T.
        start, end: the first and the last beta.
        schedule: `linear`, `scaled_linear` (linear in the root of beta), or `squaredcos_cap_v2`
            (Nichol & Dhariwal 2021), which needs no ends.

    Returns:
        [T] float64, falling, in 0..1.

    Raises:
        ValueError: there is no such schedule.
    """
    if schedule == "linear":
        betas = np.linspace(start, end, steps, dtype=np.float64)
    elif schedule == "scaled_linear":
        betas = np.square(np.linspace(start**0.5, end**0.5, steps, dtype=np.float64))
    elif schedule == "squaredcos_cap_v2":
        curve = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * math.pi / 2) ** 2
        betas = np.asarray(np.minimum(1 - curve[1:] / curve[:-1], MOST_BETA))
    else:
        raise ValueError(f"no schedule is named {schedule}")
    abar: Doubles = np.cumprod(1 - betas).astype(np.float64)
    return abar


def timesteps(train: int, steps: int, strength: float = 1.0) -> list[int]:
    """Timesteps to sample at, falling; the first is the noisiest of training ("trailing").

    Args:
        train: T.
        steps: that a strength of 1 takes, at most T.
        strength: share of the steps to take, 0..1; more than 0 takes one at least.
    """
    every = (np.round(np.arange(train, 0, -train / steps)) - 1).astype(int)[:steps]
    taken = min(max(round(steps * strength), 1), steps) if strength else 0
    return [int(t) for t in every[steps - taken :]]


def ddim(abar: Doubles, places: Sequence[int], eta: float = 0.0) -> list[Step]:
    """Steps of DDIM (Song et al. 2021, eq. 12 and 16); the last one ends without noise.

    Args:
        abar: [T].
        places: timesteps, falling.
        eta: 0 adds no noise, 1 as much as DDPM.
    """
    steps = []
    for t, after in _pairs(abar, places):
        now = abar[t]
        added = eta * math.sqrt((1 - after) / (1 - now)) * math.sqrt(1 - now / after)
        keep = math.sqrt(max(1 - after - added**2, 0.0)) / math.sqrt(1 - now)
        clean = math.sqrt(after) - keep * math.sqrt(now)
        steps.append(Step(t, *_parts(now), keep, clean, noise=added))
    return steps


def dpm_solver(abar: Doubles, places: Sequence[int], eta: float = 0.0) -> list[Step]:
    """Steps of DPM-Solver++ (2M) (Lu et al. 2022, algorithm 2); the first and last are of order 1.

    Args:
        abar: [T].
        places: timesteps, falling.
        eta: 0; it adds no noise.

    Raises:
        ValueError: eta is not 0.
    """
    if eta:
        raise ValueError("DPM-Solver++ adds no noise: eta must be 0")
    steps: list[Step] = []
    before = None  # the last step's length in log(alpha / sigma)
    for t, after in _pairs(abar, places):
        (alpha, sigma), (alpha1, sigma1) = _parts(abar[t]), _parts(after)
        if sigma1 == 0:
            steps.append(Step(t, alpha, sigma, 0.0, 1.0))
            continue
        length = math.log(alpha1 / sigma1) - math.log(alpha / sigma)
        share = -alpha1 * math.expm1(-length)
        bend = 0.0 if before is None else share * length / (2 * before)
        steps.append(Step(t, alpha, sigma, sigma1 / sigma, share + bend, -bend))
        before = length
    return steps


def _pairs(abar: Doubles, places: Sequence[int]) -> list[tuple[int, float]]:
    """Each timestep with the abar that its step leads to."""
    ends = [*(float(abar[t]) for t in places[1:]), 1.0]
    return list(zip(places, ends, strict=False))  # of no timesteps, none


def _parts(abar: Any) -> tuple[float, float]:
    return math.sqrt(abar), math.sqrt(1 - abar)
