"""Cells, tiles, halos, levels: pure arithmetic."""

from uhrtranslate.geometry.cells import Box, CellGrid, reflect
from uhrtranslate.geometry.tiles import Tile, TilePlan, spans, with_halo

__all__ = ["Box", "CellGrid", "Tile", "TilePlan", "reflect", "spans", "with_halo"]
