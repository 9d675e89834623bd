"""Whether a classifier takes translated images for real ones of the target domain."""

from dataclasses import asdict

from uhrtranslate.evaluation.figures.base import Figure, Figures
from uhrtranslate.evaluation.patches import Populations
from uhrtranslate.extractors import DomainClassifier
from uhrtranslate.report import Group, Measure


class Domain(Figure):
    """The verdict of a classifier of source and target on translated patches."""

    group = Group(
        "Taken for the target domain",
        {
            "accuracy": Measure(
                "Accuracy", "none", 3, "of the classifier on held-out real patches"
            ),
            "taken_for_target": Measure("Taken for the target", "higher", 3, judged=True),
        },
    )

    def of_all(self, images: Populations) -> Figures:
        """See `Figure`."""
        if not self.setup.options.domain:
            return {}
        source, source_of = images.sources.draw(0)
        target, target_of = images.real.draw(0)
        seed = self.setup.options.seed
        classifier = DomainClassifier(source, target, seed, source_of, target_of)
        return asdict(classifier.judge(images.outputs.draw(0).patches))
