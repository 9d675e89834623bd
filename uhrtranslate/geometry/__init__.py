"""Cells, tiles, halos, levels: pure arithmetic; no pixels, no tensors, no files."""

from uhrtranslate.geometry.blended import BlendedPlan as BlendedPlan
from uhrtranslate.geometry.cells import Box as Box
from uhrtranslate.geometry.cells import CellGrid as CellGrid
from uhrtranslate.geometry.cells import reflect as reflect
from uhrtranslate.geometry.masks import CellMask as CellMask
from uhrtranslate.geometry.masks import cells_with_tissue as cells_with_tissue
from uhrtranslate.geometry.masks import cut_band as cut_band
from uhrtranslate.geometry.masks import shares_of_tissue as shares_of_tissue
from uhrtranslate.geometry.tiles import Tile as Tile
from uhrtranslate.geometry.tiles import TilePlan as TilePlan
from uhrtranslate.geometry.tiles import spans as spans
