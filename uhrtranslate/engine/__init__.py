"""The only place where normalizers, generators and images meet; no options, no output files."""

from uhrtranslate.engine.forward.compiled import CompiledRunner
from uhrtranslate.engine.forward.devices import (
    DTYPES,
    choose_device,
    choose_devices,
    fast_precisions,
)
from uhrtranslate.engine.forward.layers import replace_norms
from uhrtranslate.engine.forward.memory import choose_batch, choose_tile, memory_needed
from uhrtranslate.engine.forward.receptive_field import measure_halo
from uhrtranslate.engine.forward.runner import GeneratorRunner
from uhrtranslate.engine.stream.clock import Clock
from uhrtranslate.engine.stream.lanes import Lanes
from uhrtranslate.engine.stream.loop import stream
from uhrtranslate.engine.stream.masking import Masking
from uhrtranslate.engine.stream.rows import RowBuffer, Source
from uhrtranslate.engine.stream.schedule import Schedule
from uhrtranslate.engine.stream.transform import Transform
from uhrtranslate.engine.transforms.colour import ColourTable, ColourTransform
from uhrtranslate.engine.transforms.generator import GeneratorTransform

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
    "Schedule",
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
