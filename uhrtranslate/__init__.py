"""uhrt: seamless image-to-image translation of images that fit in no memory.

The names below are loaded when they are first used, so that importing the package (and
`uhrt --help`) does not import torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from uhrtranslate.version import __version__

if TYPE_CHECKING:
    from uhrtranslate.engine import replace_norms
    from uhrtranslate.errors import UhrError
    from uhrtranslate.io import open_slide
    from uhrtranslate.models import load_generator
    from uhrtranslate.options import TranslateOptions
    from uhrtranslate.tasks.translate import translate

__all__ = [
    "TranslateOptions",
    "UhrError",
    "__version__",
    "load_generator",
    "open_slide",
    "replace_norms",
    "translate",
]

_HOMES = {
    "TranslateOptions": "uhrtranslate.options",
    "UhrError": "uhrtranslate.errors",
    "load_generator": "uhrtranslate.models",
    "open_slide": "uhrtranslate.io",
    "replace_norms": "uhrtranslate.engine",
    "translate": "uhrtranslate.tasks.translate",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
