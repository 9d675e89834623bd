"""Finding how one section lies on another, and how well; arrays and points, no slides."""

from uhrtranslate.registration.field import DisplacementGrid as DisplacementGrid
from uhrtranslate.registration.file import dump_transform as dump_transform
from uhrtranslate.registration.file import load_transform as load_transform
from uhrtranslate.registration.transform import Frame as Frame
from uhrtranslate.registration.transform import Transform as Transform
from uhrtranslate.registration.transform import Matrix as Matrix
