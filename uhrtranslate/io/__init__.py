"""Reading slides and photos, writing pyramids and photos; no torch."""

from uhrtranslate.io.inputs import Found, Missing, expand_inputs
from uhrtranslate.io.metadata import OutputSpec
from uhrtranslate.io.photo_writer import PhotoWriter
from uhrtranslate.io.pyramid import PyramidWriter
from uhrtranslate.io.slide import Level, Slide, SlideInfo, open_slide
from uhrtranslate.io.thumbnails import bilinear_thumbnail, thumbnail
from uhrtranslate.io.view import SlideView, open_view, resized
from uhrtranslate.io.virtual import VirtualSlide
from uhrtranslate.io.writer import OUTPUT_SUFFIXES, Sink, open_writer

__all__ = [
    "OUTPUT_SUFFIXES",
    "Found",
    "Level",
    "Missing",
    "OutputSpec",
    "PhotoWriter",
    "PyramidWriter",
    "Sink",
    "Slide",
    "SlideInfo",
    "SlideView",
    "VirtualSlide",
    "bilinear_thumbnail",
    "expand_inputs",
    "open_slide",
    "open_view",
    "open_writer",
    "resized",
    "thumbnail",
]
