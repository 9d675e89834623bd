"""Say what a file is."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import ImageCms

from uhrtranslate.io import Channel, Level, find_images, open_slide, stated_by
from uhrtranslate.io.files.remote import is_url
from uhrtranslate.options import InfoOptions


@dataclass(frozen=True)
class InputDescription:
    """What is known about an image without reading its pixels; fit for JSON.

    Attributes:
        path: as it was given.
        file_bytes: size of the file alone, without companion files.
        reader, format: the back end that reads it, and the format it recognized.
        width, height: of level 0 in px.
        levels: level 0, the largest, first.
        mpp: micrometres per pixel of level 0, x and y; as stated, if it is.
        overruled_mpp: what the file says instead.
        objective_power: the objective's nominal number.
        icc_bytes, icc_name: of the colour profile; 0 and None without one.
        associated: names of associated images.
        tile: width and height of the storage tiles of level 0.
        channels: their names and colours, if it is no colour picture.
        pixel_type: of the samples, such as uint8.
        properties: by the names in the file, if they were asked for.
    """

    path: str
    file_bytes: int
    reader: str
    format: str
    width: int
    height: int
    levels: tuple[Level, ...]
    mpp: tuple[float, float] | None
    objective_power: float | None
    icc_bytes: int
    icc_name: str | None
    associated: tuple[str, ...]
    tile: tuple[int, int]
    channels: tuple[Channel, ...]
    pixel_type: str
    properties: dict[str, str]
    overruled_mpp: tuple[float, float] | None = None


def images_of(place: str) -> list[str] | None:
    """Paths of the images in a folder and its subfolders; None if it is no folder of images.

    Raises:
        InputError: the folder has no images, or cannot be read.
    """
    if is_url(place) or not Path(place).is_dir() or Path(place).suffix.lower() == ".zarr":
        return None
    return [str(path) for path in find_images(place)]


def describe_input(
    path: str | Path, properties: bool = False, options: InfoOptions | None = None
) -> InputDescription:
    """Describe an image, with the vendor's properties (often hundreds) only if asked for.

    Args:
        path: its path or URL.
        properties: whether to list them.
        options: what is stated of it.

    Raises:
        InputError: the file is missing or damaged, or no reader accepts it.
    """
    stated = stated_by(options or InfoOptions())
    with open_slide(path, deep=True, sparse=True, channels=True, stated=stated) as slide:
        info = slide.info
        seen = slide.fingerprint() if is_url(path) else None
        return InputDescription(
            path=info.path if is_url(path) else str(path),
            file_bytes=(seen.size if seen else 0) if is_url(path) else Path(path).stat().st_size,
            reader=info.reader,
            format=info.format,
            width=info.width,
            height=info.height,
            levels=info.levels,
            mpp=info.mpp,
            objective_power=info.objective_power,
            icc_bytes=len(info.icc_profile or b""),
            icc_name=_profile_name(info.icc_profile),
            associated=info.associated,
            tile=slide.tile_size(0),
            channels=info.channels,
            pixel_type=info.dtype.name,
            properties=dict(info.properties) if properties else {},
            overruled_mpp=info.overruled_mpp,
        )


def _profile_name(profile: bytes | None) -> str | None:
    if profile is None:
        return None
    try:
        return ImageCms.getProfileDescription(ImageCms.getOpenProfile(BytesIO(profile))).strip()
    except (OSError, ImageCms.PyCMSError):  # a damaged profile has no name
        return None
