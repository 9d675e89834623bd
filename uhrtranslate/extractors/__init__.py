"""Networks that figures need: feature extractors, LPIPS, a classifier of domains.

Weights are given by path; none are shipped or downloaded. Each extractor has a name, which is
reported with its figures.
"""

from uhrtranslate.extractors.base import Extractor
from uhrtranslate.extractors.domain import Domain, DomainClassifier
from uhrtranslate.extractors.inception import InceptionExtractor
from uhrtranslate.extractors.lpips import Lpips
from uhrtranslate.extractors.plain import PlainExtractor

__all__ = [
    "Domain",
    "DomainClassifier",
    "Extractor",
    "InceptionExtractor",
    "Lpips",
    "PlainExtractor",
]
