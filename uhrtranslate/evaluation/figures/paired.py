"""How near a translation is to its paired truth."""

import numpy as np

from uhrtranslate.evaluation.figures.base import Area, Evaluated, Figure, Figures, Sums
from uhrtranslate.evaluation.images import read8
from uhrtranslate.evaluation.patches import PAIRS, boxes_of, mean_over_pairs
from uhrtranslate.metrics.paired import aligned_scores
from uhrtranslate.metrics.planes import colour
from uhrtranslate.metrics.structure import ms_ssim_sums, pair_sums, ssim_sums
from uhrtranslate.report import Group, Measure


class Paired(Figure):
    """PSNR in colour, SSIM and MS-SSIM in grey, LPIPS; optionally for aligned patches too."""

    group = Group(
        "Against paired truth",
        {
            "psnr": Measure("PSNR", "higher", 2, "", "dB", judged=True),
            "ssim": Measure("SSIM", "higher", 4, charted=True, judged=True),
            "ms_ssim": Measure("MS-SSIM", "higher", 4),
            "lpips": Measure("LPIPS", "lower", 4, judged=True),
        },
    )
    needs = ("truth",)
    areas = "blocks"

    def sums(self, area: Area) -> Sums:
        """See `Figure`."""
        pair = area.partners["truth"], area.pixels, area.halo
        return pair_sums(*pair, colour), ssim_sums(*pair), ms_ssim_sums(*pair)

    def of_image(self, image: Evaluated, sums: Sums) -> Figures:
        """See `Figure`."""
        pairs, likeness, scales = sums
        figures = {"psnr": pairs.psnr, "ssim": likeness.mean, "ms_ssim": scales.ms_ssim}
        lpips, options = self.setup.lpips, self.setup.options
        if lpips:
            views = image.view, image.partners["truth"]
            figures["lpips"] = mean_over_pairs(*views, options, lpips.distance)
            figures["lpips_name"] = lpips.name
        return figures | self._aligned(image) if options.shift else figures

    def _aligned(self, image: Evaluated) -> Figures:
        """Means over patches, each shifted by up to `shift` px to fit best."""
        reach, view, truth = self.setup.options.shift, image.view, image.partners["truth"]
        boxes = boxes_of(view, None, self.setup.options, PAIRS)
        found = [aligned_scores(read8(view, *box), read8(truth, *box), reach) for box in boxes]
        psnr = [one.psnr for one in found if np.isfinite(one.psnr)]
        return {
            "shift": reach,
            "aligned_psnr": float(np.mean(psnr)) if psnr else None,
            "aligned_ssim": float(np.mean([one.ssim for one in found])),
            "median_shift": float(np.median([np.hypot(one.dx, one.dy) for one in found])),
        }
