"""Where tissue is: found in a thumbnail, or drawn by a person; arrays in, arrays out, no files."""

from uhrtranslate.tissue.detect import detect_tissue, is_dark_field
from uhrtranslate.tissue.geojson import Polygon, draw_polygons, read_polygons

__all__ = ["Polygon", "detect_tissue", "draw_polygons", "is_dark_field", "read_polygons"]
