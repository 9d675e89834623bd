"""What other programs see in a file.

OpenSlide and tifffile open the file. For other programs, rules are applied that were found by
opening files of every layout that uhrt writes in Bio-Formats 7.3.1 and libvips 8.18
(docs/outputs.md).
"""

from dataclasses import dataclass
from pathlib import Path

import openslide
import tifffile

# TIFF compressions that OpenSlide's generic driver reads. It refuses others without a reason.
OPENSLIDE_COMPRESSIONS = {"JPEG", "ADOBE_DEFLATE", "DEFLATE", "LZW", "ZSTD", "NONE"}
# The libvips in pyvips' binary wheel reads these as zeros, without an error.
LIBVIPS_BLIND = {"ZSTD", "JPEG2000", "JPEGXL", "APERIO_JP2000_RGB", "APERIO_JP2000_YCBC"}


@dataclass(frozen=True)
class Viewer:
    """What a program sees in a file.

    Attributes:
        name: the program, or family of programs.
        levels: how many it sees; 0 if it refuses the file.
        mpp: micrometres per pixel that it reports.
        note: what it misses, or why it refuses the file; empty if it sees everything.
        tried: whether the program itself opened the file, rather than a rule being applied.
    """

    name: str
    levels: int
    mpp: tuple[float, float] | None
    note: str
    tried: bool


@dataclass(frozen=True)
class Layout:
    """How a TIFF is laid out.

    Attributes:
        levels: width and height of each in px.
        compression: tifffile's name for that of the largest level.
        tiled: whether the largest level is tiled.
        below: number of levels below the first page of the main chain.
        ome, aperio: whether it describes itself as such a file.
        mpp: micrometres per pixel of the largest level.
        big: whether it is a BigTIFF.
    """

    levels: tuple[tuple[int, int], ...]
    compression: str
    tiled: bool
    below: int
    ome: bool
    aperio: bool
    mpp: tuple[float, float] | None
    big: bool


def viewers_of_tiff(path: Path, layout: Layout) -> list[Viewer]:
    """What programs see in a TIFF."""
    return [_openslide(path), _tifffile(path, layout), _bioformats(layout), _libvips(layout)]


def viewers_of_zarr(
    levels: int, mpp: tuple[float, float] | None, zarr_3: bool = False
) -> list[Viewer]:
    """What programs see in an OME-Zarr image of NGFF 0.4, or of 0.5, which is zarr format 3."""
    seen = [Viewer("napari, QuPath 0.5+, Bio-Formats with OMEZarrReader", levels, mpp, "", False)]
    if zarr_3:
        old = "are not known to read zarr format 3; --format ome-zarr writes NGFF 0.4"
        seen = [
            Viewer("napari with ome-zarr 0.12+", levels, mpp, "", False),
            Viewer("QuPath, Bio-Formats with OMEZarrReader", 0, None, old, False),
        ]
    return [
        Viewer("OpenSlide", 0, None, "does not read OME-Zarr", False),
        *seen,
        Viewer("libvips", 0, None, "does not read OME-Zarr", False),
    ]


def viewers_of_photo() -> list[Viewer]:
    """What programs see in a photo."""
    photo = "a photo: one level, no tiles, so all of it is decoded at once"
    return [
        Viewer("OpenSlide", 0, None, "does not read photos", False),
        Viewer("Bio-Formats, QuPath, libvips", 1, None, photo, False),
    ]


def layout_of(tiff: tifffile.TiffFile, mpp: tuple[float, float] | None) -> Layout:
    """The layout of an open TIFF, whose mpp our own reader has found."""
    first = tiff.pages.first
    below = [page.aspage() for page in first.pages or ()]
    main = [page.aspage() for page in tiff.pages]
    main = [page for page in main if page.is_tiled] or main[:1]
    shapes = [(page.imagewidth, page.imagelength) for page in (below and [first, *below]) or main]
    description = first.description or ""
    return Layout(
        levels=tuple(shapes),
        compression=tifffile.COMPRESSION(first.compression).name,
        tiled=first.is_tiled,
        below=len(below),
        ome=tiff.is_ome,
        aperio=description.startswith("Aperio"),
        mpp=mpp,
        big=tiff.is_bigtiff,
    )


def _openslide(path: Path) -> Viewer:
    try:
        with openslide.OpenSlide(path) as slide:
            values = [slide.properties.get(f"openslide.mpp-{axis}") for axis in "xy"]
            mpp = (float(values[0]), float(values[1])) if values[0] and values[1] else None
            note = "" if slide.properties.get("openslide.objective-power") else "no objective power"
            return Viewer("OpenSlide", slide.level_count, mpp, note, True)
    except (openslide.OpenSlideError, ValueError) as error:
        return Viewer("OpenSlide", 0, None, str(error).splitlines()[0], True)


def _tifffile(path: Path, layout: Layout) -> Viewer:
    with tifffile.TiffFile(path) as tiff:
        levels = len(tiff.series[0].levels)
        note = "" if levels == len(layout.levels) else "the smallest level is another series"
        return Viewer("tifffile, napari", levels, layout.mpp, note, True)


def _bioformats(layout: Layout) -> Viewer:
    name, everything = "Bio-Formats, OMERO, Fiji", len(layout.levels)
    if layout.ome:
        return Viewer(name, 1 + layout.below, layout.mpp, "", False)
    if layout.aperio:
        note = "shows the smallest level as a separate image"
        return Viewer(name, max(everything - 1, 1), layout.mpp, note, False)
    note = "sees the largest level only" if everything > 1 else ""
    return Viewer(name, 1, layout.mpp, note, False)


def _libvips(layout: Layout) -> Viewer:
    if layout.compression in LIBVIPS_BLIND:
        note = f"may give black pixels for {layout.compression}, without an error"
        return Viewer("libvips", 0, None, note, False)
    return Viewer("libvips", len(layout.levels), layout.mpp, "", False)
