"""Say which programs can read a file and how, whether it is complete, and what to change."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tifffile
from pydantic import TypeAdapter, ValidationError

from uhrtranslate.errors import InputError
from uhrtranslate.io import (
    Found,
    Level,
    Source,
    check_complete,
    open_slide,
    read_provenance,
    shown,
)
from uhrtranslate.io.viewers import (
    LIBVIPS_BLIND,
    OPENSLIDE_COMPRESSIONS,
    Layout,
    Viewer,
    layout_of,
    viewers_of_photo,
    viewers_of_tiff,
    viewers_of_zarr,
)
from uhrtranslate.tables import BLENDS

# Longest side in px of a smallest level that viewers can still show at once.
LARGEST_OVERVIEW = 4096
# The largest classic TIFF.
CLASSIC_BYTES = 4 << 30


@dataclass(frozen=True)
class Blended:
    """How the tiles of a translation overlap, as the result says itself.

    Attributes:
        tile: side of a tile in px, overlap included.
        overlap: px that neighbours share at least.
        blend: the kind of weights.
        mismatch: how far two tilings differ, mean in grey levels; None if it was one tile, or was
            not measured.
    """

    tile: int
    overlap: int
    blend: str
    mismatch: float | None


@dataclass(frozen=True)
class Validation:
    """The findings about a file; fit for JSON.

    Attributes:
        path: as it was given.
        status: good (readable and complete) or bad.
        error: a sentence, if bad.
        format: of the file.
        compression: of its tiles; None if that does not apply.
        levels: the largest first.
        mpp: micrometres per pixel of each level, x and y; None if not stated.
        icc: whether it has a colour profile.
        viewers: what programs can see of it.
        advice: what to change, a sentence each.
        blended: of a translation by a generator that is not translation-covariant, whose tiles
            therefore were blended.
    """

    path: str
    status: Literal["good", "bad"]
    error: str | None = None
    format: str | None = None
    compression: str | None = None
    levels: tuple[Level, ...] = ()
    mpp: tuple[tuple[float, float], ...] | None = None
    icc: bool = False
    viewers: tuple[Viewer, ...] = ()
    advice: tuple[str, ...] = ()
    blended: Blended | None = None


def validate(source: Source) -> Validation:
    """Open a file, check that it is complete, and say which programs can read it."""
    try:
        path = Found.at(source).local()
        with open_slide(path, channels=True) as slide:
            info = slide.info
        viewers, layout = _viewers(path, len(info.levels), info.mpp)
    except InputError as error:
        return Validation(shown(source), "bad", str(error))
    problem = None
    if layout is not None or path.is_dir() or info.is_photo:
        try:
            check_complete(path)
        except InputError as error:
            problem = str(error)
    mpp = info.mpp
    return Validation(
        path=str(path),
        status="bad" if problem else "good",
        error=problem,
        format=info.format,
        compression=layout.compression if layout else None,
        levels=info.levels,
        mpp=mpp and tuple((mpp[0] * v.downsample, mpp[1] * v.downsample) for v in info.levels),
        icc=info.icc_profile is not None,
        viewers=tuple(viewers),
        advice=tuple(_advice(path, info.levels, mpp, layout)),
        blended=_blended(path),
    )


def _blended(path: Path) -> Blended | None:
    how = read_provenance(path)
    if how.get("blend") not in BLENDS:
        return None
    told = {name: how.get(name) for name in ("tile", "overlap", "blend", "mismatch")}
    try:
        return TypeAdapter(Blended).validate_python(told)
    except ValidationError:  # somebody else's text
        return None


def _viewers(
    path: Path, levels: int, mpp: tuple[float, float] | None
) -> tuple[list[Viewer], Layout | None]:
    if path.is_dir():
        return viewers_of_zarr(levels, mpp, (path / "zarr.json").exists()), None
    try:
        with tifffile.TiffFile(path) as tiff:
            layout = layout_of(tiff, mpp)
        return viewers_of_tiff(path, layout), layout
    except tifffile.TiffFileError:
        return viewers_of_photo(), None


def _advice(
    path: Path, levels: tuple[Level, ...], mpp: tuple[float, float] | None, layout: Layout | None
) -> list[str]:
    """Changes that would let more programs read more of the file."""
    advice = []
    if mpp is None:
        advice.append("It does not say its mpp: viewers cannot show a scale bar.")
    smallest = levels[-1]
    if max(smallest.width, smallest.height) > LARGEST_OVERVIEW:
        advice.append(
            f"Its smallest level has {smallest.width:,} x {smallest.height:,} px: viewers are "
            "slow; write it as a pyramid."
        )
    if layout is None:
        return advice
    if not layout.tiled:
        advice.append("It is not tiled: OpenSlide refuses it; write it with --format tiff.")
    if layout.compression not in OPENSLIDE_COMPRESSIONS:
        advice.append(
            f"OpenSlide and QuPath may refuse {layout.compression}; use --compression jpeg."
        )
    if layout.compression in LIBVIPS_BLIND:
        advice.append(f"libvips may not decode {layout.compression}; use jpeg, deflate or lzw.")
    if layout.ome and len(levels) > 1:
        advice.append("OpenSlide sees one level of an OME-TIFF; for its viewers use --format tiff.")
    elif not layout.ome and not layout.aperio and len(levels) > 1:
        advice.append("Bio-Formats and OMERO see one level; for them use --format ome-tiff.")
    if not layout.big and path.stat().st_size > CLASSIC_BYTES:
        advice.append("It is a classic TIFF beyond 4 GB: most programs cannot read its end.")
    return advice
