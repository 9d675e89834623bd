"""A page that shows how good translations are: facts and arrays in, one HTML string out; no files.

The page is self-contained: pictures, style and script are inside it, and its policy forbids any
request. The template engine escapes all text from outside.
"""

from uhrtranslate.report.facts import BorderCrop, Candidate, Page, Picture, Scene
from uhrtranslate.report.measures import Direction, Group, Measure
from uhrtranslate.report.page import LARGEST_PAGE, render

__all__ = [
    "LARGEST_PAGE",
    "BorderCrop",
    "Candidate",
    "Direction",
    "Group",
    "Measure",
    "Page",
    "Picture",
    "Scene",
    "render",
]
