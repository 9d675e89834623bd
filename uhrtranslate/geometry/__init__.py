"""Cells, tiles, halos, levels: pure arithmetic; no pixels, no tensors, no files."""

from uhrtranslate.geometry.cells import Box, CellGrid, reflect
from uhrtranslate.geometry.masks import CellMask, Part, cells_with_tissue, cut_band
from uhrtranslate.geometry.tiles import Tile, TilePlan, spans, with_halo

__all__ = [
    "Box",
    "CellGrid",
    "CellMask",
    "Part",
    "Tile",
    "TilePlan",
    "cells_with_tissue",
    "cut_band",
    "reflect",
    "spans",
    "with_halo",
]
