"""Networks that figures need: feature extractors, LPIPS, a classifier of domains, Cellpose.

Weights are given by path; none are shipped or downloaded. Each extractor has a name, which is
reported with its figures.
"""

from uhrtranslate.extractors.base import Extractor as Extractor
from uhrtranslate.extractors.cellpose import CellposeFinder as CellposeFinder
from uhrtranslate.extractors.domain import DomainClassifier as DomainClassifier
from uhrtranslate.extractors.inception import InceptionExtractor as InceptionExtractor
from uhrtranslate.extractors.lpips import Lpips as Lpips
from uhrtranslate.extractors.plain import PlainExtractor as PlainExtractor
