"""Optical density: what stains add up in (Beer-Lambert)."""

import numpy as np

from uhrtranslate.errors import InputError
from uhrtranslate.stain.base import Colours, Doubles

# Transmitted light, and the density below which a pixel is no tissue: Macenko et al. (2009), as
# their implementations have it.
LIGHT = 240.0
TISSUE_DENSITY = 0.15
# Of the pixels' densities of each stain, what counts as the most: Macenko et al. (2009).
MOST = 99.0
# Stained pixels that a fit needs.
FEWEST = 100


def to_density(colours: Colours) -> Doubles:
    """[n, 3] uint8 -> [n, 3] optical densities; negative where brighter than the light."""
    density: Doubles = _TABLE[colours]
    return density


def from_density(density: Doubles) -> Doubles:
    """[n, 3] -> grey levels, [n, 3]; may be out of range."""
    return LIGHT * np.exp(-density) - 1


# One more than the grey level, so that black has a density.
_TABLE = -np.log((np.arange(256) + 1.0) / LIGHT)


def stained(colours: Colours) -> Doubles:
    """Densities of those pixels that have tissue by all channels, [m, 3].

    Raises:
        InputError: there are too few to find stains in.
    """
    density = to_density(colours)
    found: Doubles = density[(density > TISSUE_DENSITY).all(axis=1)]
    if len(found) < FEWEST:
        raise InputError(f"has only {len(found)} stained pixels; {FEWEST} are needed")
    return found


def amounts(density: Doubles, stains: Doubles) -> Doubles:
    """Amounts of two stains, least squares, [n, 2].

    Args:
        density: [n, 3].
        stains: unit rows, [2, 3].
    """
    found: Doubles = density @ np.linalg.pinv(stains)
    return found


def sparse_amounts(density: Doubles, stains: Doubles, penalty: float) -> Doubles:
    """Non-negative amounts of two stains with an L1 penalty, [n, 2]; exact.

    The minimum of |density - c stains|^2 / 2 + penalty * sum(c) over c >= 0 has both stains, or
    one, or none; which of them is found by trying in turn.

    Args:
        density: [n, 3].
        stains: unit rows, [2, 3].
        penalty: lambda of the paper.
    """
    product = density @ stains.T - penalty  # [n, 2]
    overlap = float(stains[0] @ stains[1])
    both = (product - overlap * product[:, ::-1]) / max(1 - overlap**2, 1e-9)
    one = product.clip(min=0)
    # Alone, a stain is best where the other would be negative beside it.
    alone = one.copy()
    alone[np.arange(len(one)), np.argmin(one, axis=1)] = 0
    found: Doubles = np.where((both >= 0).all(axis=1, keepdims=True), both, alone)
    return found


def angle(a: Doubles, b: Doubles) -> float:
    """Between two vectors, in degrees."""
    cosine = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
