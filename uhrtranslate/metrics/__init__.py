"""Figures that say how good a translation is: arrays in, numbers out; no files, no torch.

What a network computes (features, LPIPS, a classifier) is in `uhrtranslate.extractors`.
"""
