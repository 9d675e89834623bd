"""Finding how one section lies on another, and how well; arrays and points, no slides."""

from uhrtranslate.registration.coarse import Coarse as Coarse
from uhrtranslate.registration.coarse import CoarseOptions as CoarseOptions
from uhrtranslate.registration.coarse import align_points as align_points
from uhrtranslate.registration.coarse import align_thumbnails as align_thumbnails
from uhrtranslate.registration.field import DisplacementGrid as DisplacementGrid
from uhrtranslate.registration.file import dump_transform as dump_transform
from uhrtranslate.registration.file import load_transform as load_transform
from uhrtranslate.registration.transform import Frame as Frame
from uhrtranslate.registration.transform import Matrix as Matrix
from uhrtranslate.registration.transform import Transform as Transform
