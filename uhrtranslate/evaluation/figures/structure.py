"""How much of the source's structure is kept."""

from uhrtranslate.evaluation.figures.base import Area, Evaluated, Figure, Figures, Sums
from uhrtranslate.evaluation.patches import mean_over_pairs
from uhrtranslate.metrics.structure import gradient_sums, pair_sums, ssim_sums
from uhrtranslate.report import Group, Measure


class Structure(Figure):
    """SSIM, PCC and PSNR in grey (DSTGAN), similarity of gradients, and LPIPS-c."""

    group = Group(
        "Structure against the source",
        {
            "ssim": Measure("SSIM", "higher", 4, "on grey", charted=True, judged=True),
            "pcc": Measure("PCC", "higher", 4, "Pearson's correlation, on grey"),
            "psnr": Measure("PSNR", "higher", 2, "on grey", "dB"),
            "gradient_similarity": Measure("Gradient similarity", "higher", 4, "Sobel, grey"),
            "gradient_correlation": Measure(
                "Gradient correlation",
                "higher",
                4,
                "edges in the same places, of any strength",
                charted=True,
                judged=True,
            ),
            "lpips_c": Measure("LPIPS-c", "lower", 4, "against the enhanced source"),
        },
    )
    needs = ("source",)
    areas = "blocks"

    def sums(self, area: Area) -> Sums:
        """See `Figure`."""
        pair = area.partners["source"], area.pixels, area.halo
        return pair_sums(*pair), ssim_sums(*pair), gradient_sums(*pair)

    def of_image(self, image: Evaluated, sums: Sums) -> Figures:
        """See `Figure`."""
        pairs, likeness, gradients = sums
        figures = {
            "ssim": likeness.mean,
            "pcc": pairs.pcc,
            "psnr": pairs.psnr,
            "gradient_similarity": gradients.similarity,
            "gradient_correlation": gradients.correlation,
        }
        if self.setup.lpips:
            views = image.view, image.partners["source"]
            distance = self.setup.lpips.content_distance
            figures["lpips_c"] = mean_over_pairs(*views, self.setup.options, distance)
        return figures
