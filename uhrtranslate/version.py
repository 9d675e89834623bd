"""The version of this package, and of the packages that its results depend on."""

import platform
from collections.abc import Iterable

__version__ = "0.1.0"

# What a result may depend on.
PACKAGES = ("torch", "numpy", "openslide-python", "openslide-bin", "tifffile", "imagecodecs")


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of uhrt, Python and packages, by name; what is not installed is left out."""
    from importlib.metadata import PackageNotFoundError, version  # 30 ms, and seldom needed

    found = {"uhrt": __version__, "python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
