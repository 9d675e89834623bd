"""Turning tables of statistics into fields, one file per normalizer; no tiles, no files."""

from uhrtranslate.normalizers.base import (
    Field,
    Gaps,
    Normalizer,
    StatisticsTable,
    fill_from_centre,
    make_field,
)
from uhrtranslate.normalizers.dn import DN
from uhrtranslate.normalizers.kin import KIN
from uhrtranslate.normalizers.patch_in import PatchIN
from uhrtranslate.normalizers.tin import TIN

__all__ = [
    "DN",
    "KIN",
    "TIN",
    "Field",
    "Gaps",
    "Normalizer",
    "PatchIN",
    "StatisticsTable",
    "fill_from_centre",
    "make_field",
]
