"""The table of all families; a new one is one file and one name here."""

from uhrtranslate.models.architecture import Architecture
from uhrtranslate.models.kaminyou import KAMINYOU
from uhrtranslate.models.resnet import RESNET
from uhrtranslate.models.unet import UNET

ARCHITECTURES: dict[str, Architecture] = {a.name: a for a in (RESNET, KAMINYOU, UNET)}
