"""The streaming engine: the only place where normalizers, generators and images meet."""

from uhrtranslate.engine.clock import Clock
from uhrtranslate.engine.colour_transform import ColourTable, ColourTransform
from uhrtranslate.engine.compiled import CompiledRunner
from uhrtranslate.engine.devices import DTYPES, choose_device, choose_devices, fast_precisions
from uhrtranslate.engine.generator_transform import GeneratorTransform
from uhrtranslate.engine.lanes import Lanes
from uhrtranslate.engine.layers import replace_norms
from uhrtranslate.engine.loop import stream
from uhrtranslate.engine.masking import Masking
from uhrtranslate.engine.memory import choose_batch, choose_tile, memory_needed
from uhrtranslate.engine.receptive_field import measure_halo
from uhrtranslate.engine.rows import RowBuffer, Source
from uhrtranslate.engine.runner import GeneratorRunner
from uhrtranslate.engine.transform import Transform

__all__ = [
    "DTYPES",
    "Clock",
    "ColourTable",
    "ColourTransform",
    "CompiledRunner",
    "GeneratorRunner",
    "GeneratorTransform",
    "Lanes",
    "Masking",
    "RowBuffer",
    "Source",
    "Transform",
    "choose_batch",
    "choose_device",
    "choose_devices",
    "choose_tile",
    "fast_precisions",
    "measure_halo",
    "memory_needed",
    "replace_norms",
    "stream",
]
