"""Reading slides and photos, writing pyramids and photos; no torch."""

from uhrtranslate.io.complete import Complete, check_complete
from uhrtranslate.io.files.atomic import can_resume, discard_state
from uhrtranslate.io.files.fingerprint import Fingerprint, fingerprint
from uhrtranslate.io.files.inputs import Found, Missing, expand_inputs, result_stem
from uhrtranslate.io.opening import open_slide, open_writer
from uhrtranslate.io.pixels import Pixels, to_bits
from uhrtranslate.io.slide import Level, Slide, SlideInfo
from uhrtranslate.io.thumbnails import bilinear_thumbnail, slide_thumbnail, thumbnail
from uhrtranslate.io.view import SlideView, open_view, resized
from uhrtranslate.io.virtual import VirtualSlide
from uhrtranslate.io.writers.base import Sink
from uhrtranslate.io.writers.estimate import output_bytes_per_pixel
from uhrtranslate.io.writers.formats import FOLDER_SUFFIXES, OUTPUT_SUFFIXES, suffix_of
from uhrtranslate.io.writers.output_spec import OutputSpec
from uhrtranslate.io.writers.photo import PhotoWriter
from uhrtranslate.io.writers.pyramid import PyramidWriter

__all__ = [
    "FOLDER_SUFFIXES",
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
    "can_resume",
    "check_complete",
    "discard_state",
    "expand_inputs",
    "fingerprint",
    "open_slide",
    "open_view",
    "open_writer",
    "output_bytes_per_pixel",
    "resized",
    "result_stem",
    "slide_thumbnail",
    "suffix_of",
    "thumbnail",
    "to_bits",
]
