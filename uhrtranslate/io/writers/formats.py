"""Which format a name asks for."""

from pathlib import Path

from uhrtranslate.errors import OutputError
from uhrtranslate.io.writers.base import PhotoFormat, SlideFormat
from uhrtranslate.tables import FORMATS, PHOTO_FORMATS

_SLIDES: dict[str, SlideFormat] = dict(FORMATS)
_PHOTOS: dict[str, PhotoFormat] = {
    ending: photo for photo in PHOTO_FORMATS.values() for ending in photo.endings
}


def _suffixes(*formats: SlideFormat) -> tuple[str, ...]:
    """What `Path.suffix` gives of their endings, each once."""
    endings = [ending for format in formats for ending in format.endings]
    return tuple(dict.fromkeys(Path(f"a{ending}").suffix for ending in endings))


SLIDE_SUFFIXES = _suffixes(*_SLIDES.values())
FOLDER_SUFFIXES = _suffixes(*(format for format in _SLIDES.values() if format.is_folder))
OUTPUT_SUFFIXES = (*SLIDE_SUFFIXES, *_PHOTOS)
# Formats that have a place for label, macro image and thumbnail.
ASSOCIATING = tuple(name for name, format in _SLIDES.items() if format.holds_associated)


def suffix_of(format: str | None) -> str:
    """What the name of an output ends with by default; None stands for the default format."""
    return _SLIDES[format or next(iter(_SLIDES))].endings[0]


def photo_format(path: Path) -> PhotoFormat | None:
    """The format of photos that a name ends with; None where it is no photo's."""
    return _PHOTOS.get(path.suffix.lower())


def slide_format(target: Path, asked: str | None = None) -> SlideFormat:
    """The format in which a slide is to be written.

    Args:
        target: its name.
        asked: name of the format that the user chose; None: by the ending.

    Raises:
        OutputError: the name has no ending of the format, or of any.
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
            f"{target}: the format {asked} is not written to such a name; let it end with "
            f"{' or '.join(format.endings)}"
        )
    return format
