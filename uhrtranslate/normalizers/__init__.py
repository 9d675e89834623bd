"""Turning tables of statistics into fields, one file per normalizer; no tiles, no files."""

from uhrtranslate.normalizers.base import Field as Field
from uhrtranslate.normalizers.base import Normalizer as Normalizer
from uhrtranslate.normalizers.base import StatisticsTable as StatisticsTable
from uhrtranslate.normalizers.base import fill_from_centre as fill_from_centre
from uhrtranslate.normalizers.base import make_field as make_field
from uhrtranslate.normalizers.dn import DN as DN
from uhrtranslate.normalizers.kin import KIN as KIN
from uhrtranslate.normalizers.patch_in import PatchIN as PatchIN
from uhrtranslate.normalizers.pooled import Pooled as Pooled
from uhrtranslate.normalizers.pooling import Pool as Pool
from uhrtranslate.normalizers.tin import TIN as TIN
