"""Where tissue is: found in a thumbnail, or drawn by a person; arrays in, arrays out, no files."""

from uhrtranslate.tissue.background import has_background as has_background
from uhrtranslate.tissue.detect import detect_tissue as detect_tissue
from uhrtranslate.tissue.geojson import draw_polygons as draw_polygons
from uhrtranslate.tissue.geojson import read_polygons as read_polygons
