"""The only place where normalizers, generators and images meet; no options, no output files."""

from uhrtranslate.engine.forward.covariance import Covariance as Covariance
from uhrtranslate.engine.forward.covariance import measure_covariance as measure_covariance
from uhrtranslate.engine.forward.covariance import shifted_pair as shifted_pair
from uhrtranslate.engine.forward.devices import DTYPES as DTYPES
from uhrtranslate.engine.forward.devices import choose_device as choose_device
from uhrtranslate.engine.forward.devices import choose_devices as choose_devices
from uhrtranslate.engine.forward.devices import fast_precisions as fast_precisions
from uhrtranslate.engine.forward.frozen import FrozenGenerator as FrozenGenerator
from uhrtranslate.engine.forward.glass import GLASS_REACH as GLASS_REACH
from uhrtranslate.engine.forward.layers import (
    forget_running_statistics as forget_running_statistics,
)
from uhrtranslate.engine.forward.layers import norm_kind as norm_kind
from uhrtranslate.engine.forward.layers import replace_norms as replace_norms
from uhrtranslate.engine.forward.memory import choose_batch as choose_batch
from uhrtranslate.engine.forward.memory import choose_tile as choose_tile
from uhrtranslate.engine.forward.memory import memory_needed as memory_needed
from uhrtranslate.engine.forward.receptive_field import LARGEST_RADIUS as LARGEST_RADIUS
from uhrtranslate.engine.forward.receptive_field import measure_halo as measure_halo
from uhrtranslate.engine.forward.runner import GeneratorRunner as GeneratorRunner
from uhrtranslate.engine.gpu.runner import GpuRunner as GpuRunner
from uhrtranslate.engine.native.build import cache_folder as cache_folder
from uhrtranslate.engine.native.choice import choose_runner as choose_runner
from uhrtranslate.engine.native.runner import NativeRunner as NativeRunner
from uhrtranslate.engine.sources.enlarged import EnlargedSlide as EnlargedSlide
from uhrtranslate.engine.sources.enlarged import ViewedSlide as ViewedSlide
from uhrtranslate.engine.sources.warped import WarpedSlide as WarpedSlide
from uhrtranslate.engine.stream.clock import Clock as Clock
from uhrtranslate.engine.stream.lanes import Lanes as Lanes
from uhrtranslate.engine.stream.loop import observe_all as observe_all
from uhrtranslate.engine.stream.loop import record as record
from uhrtranslate.engine.stream.loop import stream as stream
from uhrtranslate.engine.stream.masking import Masking as Masking
from uhrtranslate.engine.stream.schedule import MOST_KEPT as MOST_KEPT
from uhrtranslate.engine.stream.schedule import Schedule as Schedule
from uhrtranslate.engine.stream.transform import Recorded as Recorded
from uhrtranslate.engine.stream.transform import Transform as Transform
from uhrtranslate.engine.transforms.colour import ColourTable as ColourTable
from uhrtranslate.engine.transforms.colour import ColourTransform as ColourTransform
from uhrtranslate.engine.transforms.decoded import DecodedTransform as DecodedTransform
from uhrtranslate.engine.transforms.decoded import as_images as as_images
from uhrtranslate.engine.transforms.decoded import as_pixels as as_pixels
from uhrtranslate.engine.transforms.generator import GeneratorTransform as GeneratorTransform
from uhrtranslate.engine.transforms.glass import GlassKept as GlassKept
