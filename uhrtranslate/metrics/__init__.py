"""Figures that say how good a translation is: arrays in, numbers out; no files, no torch.

What a network computes (features, LPIPS, a classifier) is in `uhrtranslate.extractors`.
"""

from uhrtranslate.metrics.niqe import (
    NiqeModel,
    dump_niqe,
    fit_niqe,
    load_niqe,
    niqe_features,
    niqe_score,
)
from uhrtranslate.metrics.paired import Aligned, aligned_scores, best_shift
from uhrtranslate.metrics.patches import Box, patches_across_borders, random_patches
from uhrtranslate.metrics.planes import NO_HALO, Halo, colour, grey
from uhrtranslate.metrics.population import (
    Estimate,
    KernelDistance,
    PrecisionRecall,
    estimate,
    frechet_distance,
    kernel_distance,
    precision_recall,
    too_few,
)
from uhrtranslate.metrics.preservation import (
    CellFacts,
    Preservation,
    cell_facts,
    compare_cells,
    histogram,
    histogram_correlation,
)
from uhrtranslate.metrics.seams.borders import Border, heat_map, measure_borders, worst_borders
from uhrtranslate.metrics.seams.detector import Grid, find_grid
from uhrtranslate.metrics.seams.figures import Seams, measure_seams, search_seams
from uhrtranslate.metrics.seams.profiles import Profiles, measure_profiles
from uhrtranslate.metrics.seams.ratio import seam_ratio
from uhrtranslate.metrics.structure import (
    GRADIENT_HALO,
    MS_SSIM_HALO,
    SSIM_HALO,
    gradient_sums,
    ms_ssim_sums,
    pair_sums,
    ssim_map,
    ssim_sums,
)
from uhrtranslate.metrics.sums import GradientSums, MapSums, MultiScaleSums, PairSums

__all__ = [
    "GRADIENT_HALO",
    "MS_SSIM_HALO",
    "NO_HALO",
    "SSIM_HALO",
    "Aligned",
    "Border",
    "Box",
    "CellFacts",
    "Estimate",
    "GradientSums",
    "Grid",
    "Halo",
    "KernelDistance",
    "MapSums",
    "MultiScaleSums",
    "NiqeModel",
    "PairSums",
    "PrecisionRecall",
    "Preservation",
    "Profiles",
    "Seams",
    "aligned_scores",
    "best_shift",
    "cell_facts",
    "colour",
    "compare_cells",
    "dump_niqe",
    "estimate",
    "find_grid",
    "fit_niqe",
    "frechet_distance",
    "gradient_sums",
    "grey",
    "heat_map",
    "histogram",
    "histogram_correlation",
    "kernel_distance",
    "load_niqe",
    "measure_borders",
    "measure_profiles",
    "measure_seams",
    "ms_ssim_sums",
    "niqe_features",
    "niqe_score",
    "pair_sums",
    "patches_across_borders",
    "precision_recall",
    "random_patches",
    "seam_ratio",
    "search_seams",
    "ssim_map",
    "ssim_sums",
    "too_few",
    "worst_borders",
]
