"""Figures that say how good a translation is: arrays in, numbers out; no files, no torch."""

from uhrtranslate.metrics.borders import Border, heat_map, measure_borders, worst_borders
from uhrtranslate.metrics.seam_detector import Grid, find_grid
from uhrtranslate.metrics.seam_figures import Seams, measure_seams, search_seams
from uhrtranslate.metrics.seam_profiles import Profiles, measure_profiles
from uhrtranslate.metrics.seams import seam_ratio

__all__ = [
    "Border",
    "Grid",
    "Profiles",
    "Seams",
    "find_grid",
    "heat_map",
    "measure_borders",
    "measure_profiles",
    "measure_seams",
    "seam_ratio",
    "search_seams",
    "worst_borders",
]
