"""Whether as much is stained (DAB) as in a real population, without pairs."""

import numpy as np

from uhrtranslate.evaluation.figures.base import Figure, Figures
from uhrtranslate.evaluation.patches import Patches, Populations
from uhrtranslate.metrics.dab import dab_density, dab_score, density_sums, tile_pair
from uhrtranslate.metrics.masks import MaskRecipe, dab_mask
from uhrtranslate.metrics.population import estimate
from uhrtranslate.report import Group, Measure

# Patches of a draw whose pixels are compared: means over millions of px need no more.
_MOST = 64


class Stained(Figure):
    """Densities and positive area of patches of the results, against those of real images."""

    group = Group(
        "Stain (DAB) against a real population",
        {
            "dab_js": Measure(
                "DAB, JS divergence", "lower", 4, "of all patches' histograms", interval=True
            ),
            "dab_kl": Measure("DAB, KL divergence", "lower", 3, "of the same", interval=True),
            "p90_difference": Measure("P90 DAB, change", "zero", 4, "of means", interval=True),
            "positive_difference": Measure(
                "Positive area, change", "zero", 4, "share of px", interval=True
            ),
            "iod_difference": Measure("Optical density, change", "zero", 4, interval=True),
        },
    )

    def of_all(self, images: Populations) -> Figures:
        """See `Figure`."""
        if not self.setup.real:
            return {}
        draws = range(self.setup.options.seeds)
        found = [
            self._compared(images.outputs.draw(draw).patches, images.real.draw(draw).patches)
            for draw in draws
        ]
        figures: Figures = {}
        for name in found[0]:
            value = estimate([one[name] for one in found])
            figures |= {name: value.mean, f"{name}_low": value.low, f"{name}_high": value.high}
        return figures

    def _compared(self, results: Patches, real: Patches) -> dict[str, float]:
        recipe = self.setup.mask_recipe
        ours, theirs = (_facts(_some(patches), recipe) for patches in (results, real))
        pair = tile_pair(ours[0], theirs[0])
        names = ("p90_difference", "positive_difference", "iod_difference")
        changes = [here - there for here, there in zip(ours[1:], theirs[1:], strict=True)]
        return {"dab_js": pair.js, "dab_kl": pair.kl} | dict(zip(names, changes, strict=True))


def _some(patches: Patches) -> Patches:
    return patches[:: -(-len(patches) // _MOST)]


def _facts(patches: Patches, recipe: MaskRecipe) -> tuple[np.ndarray, float, float, float]:
    """Densities of all px, mean score, positive share, mean optical density."""
    densities = [dab_density(patch) for patch in patches]
    sums = density_sums(patches)
    return (
        np.concatenate([one.ravel() for one in densities]),
        float(np.mean([dab_score(one) for one in densities])),
        float(np.mean([dab_mask(patch, recipe).mean() for patch in patches])),
        sums.integrated / sums.count,
    )
