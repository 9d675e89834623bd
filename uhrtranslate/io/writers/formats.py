"""The format that the name of an output asks for."""

from pathlib import Path

from uhrtranslate.errors import OutputError
from uhrtranslate.io.writers.base import PhotoFormat, SlideFormat
from uhrtranslate.io.writers.output_spec import OutputSpec
from uhrtranslate.tables import FORMATS, PHOTO_FORMATS

_SLIDES: dict[str, SlideFormat] = dict(FORMATS)
_PHOTOS: dict[str, PhotoFormat] = {
    ending: photo for photo in PHOTO_FORMATS.values() for ending in photo.endings
}


def _suffixes(*formats: SlideFormat) -> tuple[str, ...]:
    """The `Path.suffix` of their endings, each once."""
    endings = [ending for format in formats for ending in format.endings]
    return tuple(dict.fromkeys(Path(f"a{ending}").suffix for ending in endings))


SLIDE_SUFFIXES = _suffixes(*_SLIDES.values())
FOLDER_SUFFIXES = _suffixes(*(format for format in _SLIDES.values() if format.is_folder))
OUTPUT_SUFFIXES = (*SLIDE_SUFFIXES, *_PHOTOS)
# Formats that can store a label, macro image and thumbnail.
ASSOCIATING = tuple(name for name, format in _SLIDES.items() if format.holds_associated)


def no_channels(target: Path, spec: OutputSpec) -> OutputError:
    """The error for an output whose format holds colours alone."""
    holding = [name for name, format in _SLIDES.items() if format.holds_channels]
    endings = " or ".join(_SLIDES[name].endings[0] for name in holding)
    return OutputError(
        f"{target}: this format holds colours, and the result has {len(spec.channels)} channels of "
        f"its own ({spec.channels[0].name}, ...); use --format {' or '.join(holding)}, or a name "
        f"that ends with {endings}"
    )


def holding(bits: int) -> list[str]:
    """Names of the formats of slides that can hold pixels of this depth."""
    return [name for name, format in _SLIDES.items() if bits in format.bits]


def suffix_of(format: str | None) -> str:
    """The default ending of outputs in a format; None stands for the default format."""
    return _SLIDES[format or next(iter(_SLIDES))].endings[0]


def kept_suffix(source: Path, format: str | None, bits: int = 8) -> str:
    """The ending of an output that stays what its source is: of a photo, the photo's.

    Args:
        source: path of the source.
        format: that the user has asked for, if any.
        bits: per channel of the output; photos are written with 8.
    """
    if format is None and bits == 8 and photo_format(source):
        return source.suffix.lower()
    return suffix_of(format)


def photo_format(path: Path) -> PhotoFormat | None:
    """The photo format that a name's ending stands for; None if it is not that of a photo."""
    return _PHOTOS.get(path.suffix.lower())


def slide_format(target: Path, asked: str | None = None) -> SlideFormat:
    """The format that a slide named `target` is written in.

    It is the one that the user has asked for by its name, or else the one that the ending means.

    Raises:
        OutputError: the ending does not fit the requested format, or any format.
    """
    name = target.name.lower()
    if asked is None:
        fitting = [
            (len(ending), format)
            for format in _SLIDES.values()
            for ending in format.endings
            if name.endswith(ending)
        ]
        if not fitting:
            raise OutputError(
                f"{target}: the ending names no format of slides; use one of "
                f"{', '.join(SLIDE_SUFFIXES)}"
            )
        return max(fitting, key=lambda pair: pair[0])[1]
    format = _SLIDES[asked]
    if not name.endswith(format.endings):
        raise OutputError(
            f"{target}: the ending does not fit the format {asked}; use "
            f"{' or '.join(format.endings)}"
        )
    return format
