"""Normalizers: table of statistics -> field."""

from uhrtranslate.normalizers.base import Field, Gaps, Normalizer, StatisticsTable, make_field
from uhrtranslate.normalizers.dn import DN, fill_from_centre
from uhrtranslate.normalizers.kin import KIN
from uhrtranslate.normalizers.patch_in import PatchIN
from uhrtranslate.normalizers.tin import TIN

NORMALIZERS: dict[str, type[Normalizer]] = {n.name: n for n in (PatchIN, TIN, KIN, DN)}

__all__ = [
    "DN",
    "KIN",
    "NORMALIZERS",
    "TIN",
    "Field",
    "Gaps",
    "Normalizer",
    "PatchIN",
    "StatisticsTable",
    "fill_from_centre",
    "make_field",
]
