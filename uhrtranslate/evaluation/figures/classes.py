"""Whether images of a higher class (HER2 0, 1+, 2+, 3+) are stained more."""

from itertools import combinations

import numpy as np

from uhrtranslate.evaluation.classes import CLASSES, class_key, read_classes
from uhrtranslate.evaluation.figures.base import Area, Evaluated, Figure, Figures, Sums
from uhrtranslate.evaluation.figures.stain import tile_boxes
from uhrtranslate.evaluation.patches import Populations, Setup
from uhrtranslate.metrics.dab import dab_density, dab_score
from uhrtranslate.metrics.planes import inside
from uhrtranslate.report import Group, Measure


class Classes(Figure):
    """The score of each image, and how many pairs of classes are in the wrong order."""

    group = Group(
        "Order of classes",
        {
            "class": Measure("Class"),
            "score": Measure("P90 DAB score", "none", 4, "mean over tiles"),
            "violations": Measure(
                "Ordering violations", "lower", 0, "pairs in the wrong order", judged=True
            ),
            "pairs": Measure("Pairs of classes", "none", 0),
            **{f"mean_{one}": Measure(f"Mean score of class {one}", "none", 4) for one in CLASSES},
        },
    )  # fmt: skip
    areas = "blocks"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        path = setup.options.classes
        self._classes = {} if path is None else read_classes(path)
        self._scores: dict[int, list[float]] = {}

    @property
    def wanted(self) -> bool:
        """See `Figure`."""
        return bool(self._classes)

    def sums(self, area: Area) -> Sums:
        """See `Figure`."""
        own = area.pixels[inside(area.pixels, area.halo)]
        density = dab_density(own)
        boxes = tile_boxes(len(own), own.shape[1], self.setup.options.dab_tile)
        return ([dab_score(density[box]) for box in boxes],)

    def of_image(self, image: Evaluated, sums: Sums) -> Figures:
        """See `Figure`."""
        name = class_key(str(image.view.info.path))
        if name not in self._classes:
            return {}
        own, score = self._classes[name], float(np.mean(sums[0]))
        self._scores.setdefault(own, []).append(score)
        return {"class": f"{own}+" if own else "0", "score": score}

    def of_all(self, images: Populations) -> Figures:
        """See `Figure`."""
        means = {one: float(np.mean(scores)) for one, scores in self._scores.items()}
        if len(means) < 2:
            return {}
        pairs = list(combinations(sorted(means), 2))
        return {
            "violations": sum(means[high] < means[low] for low, high in pairs),
            "pairs": len(pairs),
            **{f"mean_{one}": means.get(one) for one in CLASSES},
        }
