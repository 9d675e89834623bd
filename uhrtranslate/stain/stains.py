"""Fits of methods that take colours apart into two stains."""

import numpy as np

from uhrtranslate.stain.base import Colours, Doubles, Fit, rounded
from uhrtranslate.stain.density import angle, from_density

Vector = tuple[float, float, float]


class StainFit(Fit):
    """Two stains and how much of them there is.

    Attributes:
        haematoxylin, second: optical densities of one unit of each stain in R, G, B; unit vectors.
        most: amount of each stain that 99% of the pixels stay below.
    """

    haematoxylin: Vector
    second: Vector
    most: tuple[float, float]

    @property
    def stains(self) -> Doubles:
        """The stains as rows, [2, 3]."""
        return np.array([self.haematoxylin, self.second])

    def facts(self) -> dict[str, float]:
        """See `Fit`."""
        names = ("haematoxylin", "second")
        found = {
            f"{name}_{channel}": value
            for name, vector in zip(names, (self.haematoxylin, self.second), strict=True)
            for channel, value in zip("rgb", vector, strict=True)
        }
        found["angle_degrees"] = angle(*self.stains)
        return found | {"most_haematoxylin": self.most[0], "most_second": self.most[1]}

    def distance(self, other: Fit) -> float:
        """Degrees between the stains, and tenfold logarithms of the ratio of their amounts."""
        if not isinstance(other, StainFit):
            raise TypeError(f"{type(other).__name__} is no fit of stains")
        angles = [angle(a, b) for a, b in zip(self.stains, other.stains, strict=True)]
        ratios = [10 * np.log(a / b) for a, b in zip(self.most, other.most, strict=True)]
        return float(np.sqrt(np.mean(np.square([*angles, *ratios]))))


def stain_fit(stains: Doubles, most: Doubles) -> StainFit:
    """A fit with haematoxylin first: the stain that takes more red than blue light.

    Args:
        stains: unit rows, [2, 3].
        most: of each, [2].
    """
    if stains[0, 0] < stains[1, 0]:
        stains, most = stains[::-1], most[::-1]
    return StainFit(
        haematoxylin=stains[0].tolist(),
        second=stains[1].tolist(),
        most=np.maximum(most, 1e-6).tolist(),
    )


def recomposed(amounts: Doubles, source: StainFit, target: StainFit) -> Colours:
    """Colours of the target's stains in amounts of the source's, which are scaled to the target's.

    Args:
        amounts: of the source's stains, [n, 2].
        source, target: the two fits.
    """
    scaled = amounts * np.divide(target.most, source.most)
    return rounded(from_density(scaled @ target.stains))
