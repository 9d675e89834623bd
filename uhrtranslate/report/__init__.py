"""A page that shows how good translations are: facts and arrays in, one HTML string out; no files.

The page is self-contained: pictures, style and script are inside it, and its policy forbids any
request. The template engine escapes all text from outside.
"""

from uhrtranslate.report.facts import BorderCrop as BorderCrop
from uhrtranslate.report.facts import Candidate as Candidate
from uhrtranslate.report.facts import HeatMap as HeatMap
from uhrtranslate.report.facts import Page as Page
from uhrtranslate.report.facts import Picture as Picture
from uhrtranslate.report.facts import Scene as Scene
from uhrtranslate.report.measures import Direction as Direction
from uhrtranslate.report.measures import Group as Group
from uhrtranslate.report.measures import Measure as Measure
from uhrtranslate.report.page import render as render
