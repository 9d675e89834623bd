"""How close the patches of all images are to a real population."""

from uhrtranslate.evaluation.figures.base import Figure, Figures
from uhrtranslate.evaluation.patches import Populations, Setup
from uhrtranslate.extractors import Extractor, InceptionExtractor, PlainExtractor
from uhrtranslate.metrics.population import (
    estimate,
    frechet_distance,
    kernel_distance,
    precision_recall,
    too_few,
)
from uhrtranslate.report import Group, Measure


class Population(Figure):
    """FID, KID, precision and recall, each a mean over draws with its interval."""

    group = Group(
        "Against a real population",
        {
            "fid": Measure(
                "FID",
                "lower",
                2,
                "of patches cut across tile borders",
                charted=True,
                judged=True,
                interval=True,
            ),
            "kid": Measure("KID", "lower", 5, judged=True, interval=True),
            "precision": Measure("Precision", "higher", 3, "share that looks real"),
            "recall": Measure("Recall", "higher", 3, "share of the real that is reached"),
        },
    )

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        weights = setup.options.weights
        self._extractor: Extractor = InceptionExtractor(weights) if weights else PlainExtractor()

    def of_all(self, images: Populations) -> Figures:
        """See `Figure`."""
        if not self.setup.real:
            return {}
        features = self._extractor.features
        found = [
            (features(images.real.draw(draw).patches), features(images.outputs.draw(draw).patches))
            for draw in range(self.setup.options.seeds)
        ]
        precision, recall = zip(*(precision_recall(a, b) for a, b in found), strict=True)
        estimates = {
            "fid": estimate([frechet_distance(a, b) for a, b in found]),
            "kid": estimate([kernel_distance(a, b, seed=i) for i, (a, b) in enumerate(found)]),
            "precision": estimate(precision),
            "recall": estimate(recall),
        }
        real, output = (len(one) for one in found[0])
        figures: Figures = {"extractor": self._extractor.name, "real": real, "output": output}
        for name, value in estimates.items():
            figures |= {name: value.mean, f"{name}_low": value.low, f"{name}_high": value.high}
        warning = too_few(real, output, self._extractor.size)
        if warning:
            self.setup.warnings.append(warning)
        return figures
