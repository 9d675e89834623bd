"""Reinhard et al. (2001): mean and standard deviation in a colour space that follows the eye."""

import numpy as np
import skimage.color

from uhrtranslate.stain.base import Colours, Doubles, Fit, StainMethod, enough, rounded

Triple = tuple[float, float, float]


class LabFit(Fit):
    """Mean and standard deviation in CIE Lab (D65).

    Attributes:
        mean, std: of L (0..100), a, b.
    """

    mean: Triple
    std: Triple

    def facts(self) -> dict[str, float]:
        """See `Fit`."""
        values = (*self.mean, *self.std)
        names = [f"{what}_{channel}" for what in ("mean", "std") for channel in ("l", "a", "b")]
        return dict(zip(names, values, strict=True))


class ReinhardPlain(StainMethod[LabFit]):
    """As published: every pixel, bare glass too, is moved and stretched alike."""

    name = "reinhard-plain"
    fit_type = LabFit
    keeps_glass = False

    def fit(self, colours: Colours) -> LabFit:
        """See `StainMethod`."""
        lab = to_lab(enough(colours))
        return LabFit(mean=lab.mean(0).tolist(), std=lab.std(0).tolist())

    def transform(self, colours: Colours, source: LabFit, target: LabFit) -> Colours:
        """See `StainMethod`."""
        # A channel that does not vary keeps its (absent) contrast.
        gain = [t / s if s > 1e-6 else 1.0 for s, t in zip(source.std, target.std, strict=True)]
        lab = (to_lab(colours) - source.mean) * gain + target.mean
        return rounded(to_rgb(lab) * 255)


class Reinhard(ReinhardPlain):
    """The same, but bare glass stays as it is."""

    name = "reinhard"
    keeps_glass = True


def to_lab(colours: Colours) -> Doubles:
    """[n, 3] uint8 sRGB -> [n, 3] CIE Lab."""
    # In single precision: nineteen times as fast, and within 0.0001 of double.
    lab: Doubles = skimage.color.rgb2lab(colours[None] / np.float32(255))[0].astype(np.float64)
    return lab


def to_rgb(lab: Doubles) -> Doubles:
    """[n, 3] CIE Lab -> [n, 3] sRGB in 0..1, clipped without a warning for odd colours."""
    # f(L) below zero is no colour; scikit-image would warn of it.
    lab = lab.copy()
    lab[:, 0] = lab[:, 0].clip(0, 100)
    lab[:, 2] = np.minimum(lab[:, 2], 200 * ((lab[:, 0] + 16) / 116) - 1e-6)
    rgb: Doubles = skimage.color.lab2rgb(lab[None])[0]
    return rgb
