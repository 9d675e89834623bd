"""Reading slides and photos, writing pyramids and photos; no torch."""

from uhrtranslate.io.atomic import can_resume, discard_state
from uhrtranslate.io.complete import Complete, check_complete
from uhrtranslate.io.estimate import bytes_per_pixel
from uhrtranslate.io.fingerprint import Fingerprint, fingerprint
from uhrtranslate.io.formats import suffix_of
from uhrtranslate.io.inputs import Found, Missing, expand_inputs, result_stem
from uhrtranslate.io.metadata import OutputSpec
from uhrtranslate.io.photo_writer import PhotoWriter
from uhrtranslate.io.pixels import Pixels, to_bits
from uhrtranslate.io.pyramid import PyramidWriter
from uhrtranslate.io.slide import Level, Slide, SlideInfo, open_slide
from uhrtranslate.io.thumbnails import bilinear_thumbnail, thumbnail
from uhrtranslate.io.view import SlideView, open_view, resized
from uhrtranslate.io.virtual import VirtualSlide
from uhrtranslate.io.writer import OUTPUT_SUFFIXES, Sink, open_writer

__all__ = [
    "OUTPUT_SUFFIXES",
    "Complete",
    "Fingerprint",
    "Found",
    "Level",
    "Missing",
    "OutputSpec",
    "PhotoWriter",
    "Pixels",
    "PyramidWriter",
    "Sink",
    "Slide",
    "SlideInfo",
    "SlideView",
    "VirtualSlide",
    "bilinear_thumbnail",
    "bytes_per_pixel",
    "can_resume",
    "check_complete",
    "discard_state",
    "expand_inputs",
    "fingerprint",
    "open_slide",
    "open_view",
    "open_writer",
    "resized",
    "result_stem",
    "suffix_of",
    "thumbnail",
    "to_bits",
]
