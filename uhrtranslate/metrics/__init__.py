"""Figures that say how good a translation is: arrays in, numbers out; no files, no torch."""

from uhrtranslate.metrics.seams import seam_ratio

__all__ = ["seam_ratio"]
