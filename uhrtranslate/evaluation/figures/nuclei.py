"""Whether nuclei are where they were, and as many."""

from functools import partial
from typing import ClassVar

from uhrtranslate.evaluation.figures.base import Area, Evaluated, Figure, Figures, Sums
from uhrtranslate.evaluation.images import Partner
from uhrtranslate.metrics.nuclei import nuclei_sums, nucleus_width
from uhrtranslate.report import Group, Measure

# The name of `find_nuclei`.
DETECTOR = "uhrt-log-v1"


def _group(title: str) -> Group:
    return Group(
        title,
        {
            "f1": Measure("Nuclei, agreement (F1)", "higher", 3, "of detections", judged=True),
            "dice": Measure("Nuclei, Dice of masks", "higher", 3),
            "count": Measure("Nuclei", "none", 0, "found in the result"),
            "other_count": Measure("Nuclei there", "none", 0),
            "count_ratio": Measure("Nuclei, ratio of counts", "one", 3),
        },
    )


class Nuclei(Figure):
    """Against the source: structure that a segmentation needs."""

    group = _group("Nuclei against the source")
    needs: ClassVar[tuple[Partner, ...]] = ("source",)
    areas = "blocks"

    @property
    def wanted(self) -> bool:
        """See `Figure`."""
        return self.setup.options.nuclei

    def sums(self, area: Area) -> Sums:
        """See `Figure`."""
        mpp = area.image.view.mpp[0] if area.image.view.mpp else None
        finder = self.setup.finder
        find = partial(finder.find, mpp=mpp) if finder else None
        other = area.partners[self.needs[0]]
        return (nuclei_sums(area.pixels, other, area.halo, nucleus_width(mpp), find),)

    def of_image(self, image: Evaluated, sums: Sums) -> Figures:
        """See `Figure`."""
        (found,) = sums
        return {
            "f1": found.f1,
            "dice": found.masks.dice,
            "count": found.result,
            "other_count": found.other,
            "count_ratio": found.ratio,
            "finder": self.setup.finder.name if self.setup.finder else DETECTOR,
        }


class TrueNuclei(Nuclei):
    """Against the truth."""

    group = _group("Nuclei against the truth")
    needs = ("truth",)
