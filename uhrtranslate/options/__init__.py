"""What a user can choose: declared once, for the command line, YAML files and Python alike.

Each option is a field with a `Flag`, from which the command line makes its flag and the help.
"""

from uhrtranslate.options.clusters import Cluster as Cluster
from uhrtranslate.options.clusters import WithoutTls as WithoutTls
from uhrtranslate.options.colours import EnhanceOptions as EnhanceOptions
from uhrtranslate.options.colours import StainOptions as StainOptions
from uhrtranslate.options.diffusion import DiffusionOptions as DiffusionOptions
from uhrtranslate.options.diffusion import SynthesizeOptions as SynthesizeOptions
from uhrtranslate.options.diffusion import UpscaleOptions as UpscaleOptions
from uhrtranslate.options.images import ImageOptions as ImageOptions
from uhrtranslate.options.images import InfoOptions as InfoOptions
from uhrtranslate.options.images import KernelType as KernelType
from uhrtranslate.options.images import Level as Level
from uhrtranslate.options.images import Mpp as Mpp
from uhrtranslate.options.images import Part as Part
from uhrtranslate.options.images import Region as Region
from uhrtranslate.options.images import SourceMpp as SourceMpp
from uhrtranslate.options.images import SourcePower as SourcePower
from uhrtranslate.options.images import TranslateOptions as TranslateOptions
from uhrtranslate.options.images import refuse_both as refuse_both
from uhrtranslate.options.tiles import PairsOptions as PairsOptions
from uhrtranslate.options.tiles import PairTileOptions as PairTileOptions
from uhrtranslate.options.tiles import RegistrationEngine as RegistrationEngine
from uhrtranslate.options.tiles import Sampling as Sampling
from uhrtranslate.options.tiles import TileOptions as TileOptions
from uhrtranslate.options.validating import make_options as make_options
from uhrtranslate.options.validating import read_config as read_config
from uhrtranslate.options.validating import unknown_option as unknown_option
from uhrtranslate.options.validating import validated as validated
