"""TIFFs through tifffile and imagecodecs: tiles are decoded directly.

This has two uses: files that OpenSlide refuses (strips, OME-TIFF with sub-images, 16 bit, many
compressions), and a path several times as fast for those it reads. There OpenSlide remains the
judge: the authority on levels, mpp and properties.
"""

import logging
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile

from uhrtranslate.errors import InputError
from uhrtranslate.geometry.levels import level_downsample
from uhrtranslate.io.files.fingerprint import Fingerprint
from uhrtranslate.io.files.remote import RemoteFile
from uhrtranslate.io.pixels import rgb_profile
from uhrtranslate.io.readers.block_cache import BlockCache
from uhrtranslate.io.readers.openslide import OpenSlideSlide
from uhrtranslate.io.readers.tiff_directories import check_header, cut_off
from uhrtranslate.io.readers.tiff_level import (
    SharedFile,
    TiffLevel,
    is_plain,
    is_stack,
    make_level,
    no_channel,
    no_colours,
    not_decoded,
    piece_bytes,
    stacked,
    uncompressed_end,
)
from uhrtranslate.io.readers.tiff_metadata import (
    exaggerates,
    plausible,
    read_channels,
    read_metadata,
)
from uhrtranslate.io.slide import (
    Level,
    NotForThisReaderError,
    Slide,
    SlideInfo,
    damaged,
    read_padded,
)
from uhrtranslate.pixels import Pixels, to_bits

# Of stacks half of it, as their rows are wide, and are read in the columns of tiles.
CACHE_BYTES = 128 << 20
# Strips or tiles that take more memory than this cannot be streamed: codecs, predictors and
# conversions hold up to three copies of one.
MAX_TILE_BYTES = 256 << 20
# In px; labels and macro images have a few million.
LARGEST_ASSOCIATED = 1 << 26
ASSOCIATED = ("label", "macro", "thumbnail", "overview")
# OpenSlide's names for formats whose levels are tiled pages of the main chain.
DIRECT_FORMATS = ("aperio", "generic-tiff")

# Our errors say what tifffile logs about damaged files; a program can still configure its logger.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class StackError(InputError):
    """A stack of pages is no image of channels that can be read here; no other reader takes it."""


class TiffSlide(Slide):
    """A TIFF whose tiles or strips are decoded here.

    Args:
        path: the file, here or on another machine; this slide closes the latter.
        judge: the same file opened by OpenSlide; this slide closes it.
        deep: return 16 bits where the file has more than 8; OpenSlide never does.
        channels: also read a stack of grey pages, as the channels of an image; pages of float32
            are read as such, deep or not.

    Raises:
        NotForThisReaderError: it is not a TIFF, or pixels would differ from the judge's.
        InputError: it is damaged, or its pixels are not colours.
    """

    def __init__(
        self,
        path: Path | RemoteFile,
        judge: OpenSlideSlide | None = None,
        deep: bool = False,
        channels: bool = False,
    ) -> None:
        self._path = path
        self._stacks = channels
        self._deep = deep
        self._judge = judge
        self._associated: dict[str, TiffLevel] = {}
        self._cache = BlockCache(CACHE_BYTES)
        check_header(path)
        with ExitStack() as stack:
            # Overflows in damaged tags do not concern the user.
            stack.enter_context(np.errstate(all="ignore"))
            # tifffile raises all kinds of exceptions for damaged files. Other files that this one
            # names are not opened, since they may be anything, such as pipes.
            try:
                file = path if isinstance(path, Path) else stack.enter_context(path.open())
                tif = stack.enter_context(tifffile.TiffFile(file, _multifile=False))
                if tif.is_ome and (reason := exaggerates(tif.ome_metadata)):
                    raise InputError(f"{path}: is damaged: {reason}; write it again.")
                self._levels, self.info = self._describe(tif)
            except (InputError, NotForThisReaderError):
                raise
            except Exception as error:
                raise self._not_read(error) from error
        self._file = SharedFile(path) if isinstance(path, Path) else path
        try:
            self._check_levels()
        except BaseException:
            self._file.close()
            raise

    def tile_size(self, level: int) -> tuple[int, int]:
        """The size of the TIFF's tiles, or strips, which are as wide as the image."""
        return self._levels[level].tile_width, self._levels[level].tile_height

    def read(self, x: int, y: int, w: int, h: int, level: int = 0) -> Pixels:
        """See `Slide.read`."""

        def inside(x: int, y: int, w: int, h: int) -> Pixels:
            return self._read(self._levels[level], level, x, y, w, h)

        return read_padded(self.info, (x, y, w, h), level, inside)

    def associated_image(self, name: str) -> Pixels:
        """See `Slide.associated_image`."""
        if self._judge is not None and name in self._judge.info.associated:
            return self._judge.associated_image(name)
        if name not in self._associated:
            return super().associated_image(name)
        image = self._associated[name]
        return self._read(image, name, 0, 0, image.width, image.height)

    def fingerprint(self) -> Fingerprint | None:
        """See `Slide.fingerprint`."""
        return (
            self._path.fingerprint()
            if isinstance(self._path, RemoteFile)
            else super().fingerprint()
        )

    def close(self) -> None:
        """See `Slide.close`."""
        self._file.close()
        self._cache.clear()
        if self._judge is not None:
            self._judge.close()

    def _read(self, level: TiffLevel, key: int | str, x: int, y: int, w: int, h: int) -> Pixels:
        behind = to_bits(np.array(self.info.background, np.uint8), 8, level.bits)
        pixels = np.empty((h, w, level.samples), behind.dtype)
        for row in range(y // level.tile_height, (y + h - 1) // level.tile_height + 1):
            for col in range(x // level.tile_width, (x + w - 1) // level.tile_width + 1):
                x0, y0 = col * level.tile_width, row * level.tile_height
                left, top = max(x, x0), max(y, y0)
                right = min(x + w, x0 + level.tile_width)
                bottom = min(y + h, y0 + level.tile_height)
                target = pixels[top - y : bottom - y, left - x : right - x]
                number = row * level.cols + col
                if level.has(number):
                    tile = self._tile(level, key, number)
                    target[:] = tile[top - y0 : bottom - y0, left - x0 : right - x0]
                else:
                    target[:] = behind
        return pixels

    def _tile(self, level: TiffLevel, key: int | str, number: int) -> Pixels:
        def decode() -> Pixels:
            # The exceptions of codecs have no common base.
            try:
                return level.tile(self._file, number)
            except InputError:
                raise
            except Exception as error:
                raise damaged(self._path, error) from error

        return self._cache.get((key, number), decode)

    def _not_read(self, error: BaseException) -> Exception:
        """The error for what fails here: OpenSlide may still read it, other readers should not."""
        reason = str(error).strip().rstrip(".") or repr(error)
        if self._judge is not None:
            return NotForThisReaderError(reason)
        return InputError(
            f"{self._path}: is damaged, or a kind of TIFF that is not supported ({reason}); copy "
            f"it again, or convert it to a tiled TIFF."
        )

    def _describe(self, tif: tifffile.TiffFile) -> tuple[list[TiffLevel], SlideInfo]:
        index = max(range(len(tif.series)), key=lambda i: _pixels(tif.series[i]))
        series = tif.series[index]
        if self._stacks and is_stack(series):
            return self._describe_stack(tif, index)
        judged = self._judge.info if self._judge is not None else None
        pages = [level.keyframe for level in series.levels]
        if tif.is_svs and judged is None:
            # Of Aperio's pages those in tiles are levels; tifffile always drops the second page.
            pages = [page.aspage() for page in tif.pages if page.aspage().is_tiled] or pages
        if judged is not None and (judged.format == "aperio" or len(judged.levels) >= len(pages)):
            if judged.format != "aperio":
                self._check_colours(series)
            pages = _judged_pages(tif, judged)
            levels = self._make_levels(tif, pages)
            # OpenSlide fills an Aperio slide's missing tiles from other levels.
            if judged.format == "aperio" and any(level.incomplete for level in levels):
                raise NotForThisReaderError("tiles are missing")
        else:
            self._check_colours(series)
            reason = next(filter(None, map(not_decoded, pages)), None)
            if reason is not None:
                raise NotForThisReaderError(reason)
            levels = self._make_levels(tif, pages)
        return levels, self._info(tif, index, levels)

    def _describe_stack(
        self, tif: tifffile.TiffFile, index: int
    ) -> tuple[list[TiffLevel], SlideInfo]:
        """Levels whose channels are pages."""
        self._cache = BlockCache(CACHE_BYTES // 2)
        series = tif.series[index]
        count = series.shape[0] if len(series.shape) > 2 else 1
        levels = []
        for step in series.levels:
            pages = [page.aspage() for page in step.pages if page is not None]
            if len(pages) != count:
                raise ValueError("some of its channels are missing")
            for page in pages:
                reason = no_channel(page) or not_decoded(page)
                if reason is not None:
                    raise StackError(
                        f"{self._path}: {reason}; convert its channels to 8 or 16 bits or float32."
                    )
            self._make_levels(tif, pages)  # checks them
            if len(pages) * piece_bytes(pages[0]) > MAX_TILE_BYTES:
                raise StackError(
                    f"{self._path}: its {len(pages)} channels are stored in pieces that are too "
                    "large; convert it to a tiled TIFF."
                )
            levels.append(stacked(pages, self._bits(pages[0])))
        channels = read_channels(tif, index, levels[0].samples)
        info = replace(
            self._info(tif, index, levels),
            channels=channels,
            background=(0,) * len(channels),
            icc_profile=None,
        )
        return levels, info

    def _make_levels(
        self, tif: tifffile.TiffFile, pages: list[tifffile.TiffPage]
    ) -> list[TiffLevel]:
        """Make levels, after checking that reading them takes a reasonable amount of memory."""
        size = tif.filehandle.size
        for page in pages:
            if uncompressed_end(page) > size:
                raise cut_off(self._path, size, uncompressed_end(page))
            if piece_bytes(page) > MAX_TILE_BYTES:
                raise InputError(
                    f"{self._path}: is stored in pieces of {piece_bytes(page) / 1e9:.1f} GB; "
                    f"convert it to a tiled TIFF."
                )
        return [make_level(page, self._bits(page)) for page in pages]

    def _bits(self, page: tifffile.TiffPage) -> int:
        if page.dtype is not None and page.dtype.kind == "f":
            return 32
        return 16 if self._deep and page.bitspersample > 8 else 8

    def _info(self, tif: tifffile.TiffFile, index: int, levels: list[TiffLevel]) -> SlideInfo:
        base = levels[0].width, levels[0].height
        steps = [
            Level(level.width, level.height, level_downsample(base, (level.width, level.height)))
            for level in levels
        ]
        found = read_metadata(tif, index)
        if tif.is_ome:
            self._associated = _other_images(tif, index)
        if self._judge is not None:
            judged = self._judge.info
            mpp = plausible(judged.mpp) if judged.format == "generic-tiff" else judged.mpp
            return replace(
                judged,
                reader="tifffile",
                format="OME-TIFF" if tif.is_ome else judged.format,
                levels=tuple(steps),
                mpp=found.mpp if tif.is_ome and found.mpp else mpp,
                objective_power=judged.objective_power or found.objective_power,
                associated=tuple(sorted({*judged.associated, *self._associated})),
            )
        plain = "BigTIFF" if tif.is_bigtiff else "TIFF"
        kind = "OME-TIFF" if tif.is_ome else "aperio" if tif.is_svs else plain
        return SlideInfo(
            path=str(self._path),
            reader="tifffile",
            format=kind,
            levels=tuple(steps),
            mpp=found.mpp,
            objective_power=found.objective_power,
            icc_profile=rgb_profile(found.icc_profile),
            properties=found.properties,
            associated=tuple(sorted(self._associated)),
            bits=self._bits(tif.series[index].keyframe),
        )

    def _check_colours(self, series: tifffile.TiffPageSeries) -> None:
        reason, remedy = no_colours(series.keyframe), ""
        if reason is None and series.axes.replace("S", "") != "YX":
            reason = f"holds a stack of {len(series.pages)} images (axes {series.axes})"
            if is_stack(series):
                remedy = ", or translate it with a generator that takes channels"
        if reason is not None:
            raise InputError(
                f"{self._path}: {reason}; convert it to one 8-bit RGB or grey image{remedy}."
            )

    def _check_levels(self) -> None:
        """Find errors now that would otherwise occur in the middle of a run."""
        needed = max(level.end for level in self._levels)
        if needed > self._file.size:
            raise cut_off(self._path, self._file.size, needed)
        last = len(self._levels) - 1
        if self._levels[last].has(0):
            try:
                self._tile(self._levels[last], last, 0)
            except InputError as error:
                raise self._not_read(error.__cause__ or error) from error


def open_direct(path: Path, judge: OpenSlideSlide) -> Slide:
    """A `TiffSlide`, which is faster, if it gives OpenSlide's pixels; otherwise OpenSlide's slide.

    Raises:
        InputError: the file is damaged, or its pixels are not colours.
    """
    if judge.info.format not in DIRECT_FORMATS:
        return judge
    try:
        return TiffSlide(path, judge)
    except NotForThisReaderError:
        return judge
    except BaseException:
        judge.close()
        raise


def _pixels(series: tifffile.TiffPageSeries) -> int:
    return int(series.keyframe.imagewidth) * int(series.keyframe.imagelength)


def _judged_pages(tif: tifffile.TiffFile, judged: SlideInfo) -> list[tifffile.TiffPage]:
    """The pages that OpenSlide's levels are made from."""
    pages: dict[tuple[int, int], tifffile.TiffPage] = {}
    for page in tif.pages:
        full = page.aspage()
        if full.is_tiled:
            pages.setdefault((full.imagewidth, full.imagelength), full)
    chosen = []
    for level in judged.levels:
        found = pages.get((level.width, level.height))
        if found is None or not is_plain(found):
            raise NotForThisReaderError("its levels are not plain pages of tiles")
        chosen.append(found)
    return chosen


def _other_images(tif: tifffile.TiffFile, main: int) -> dict[str, TiffLevel]:
    """The associated images of an OME-TIFF, such as label and macro, by their names."""
    found = {}
    for number, series in enumerate(tif.series):
        name = next((known for known in ASSOCIATED if known in series.name.lower()), None)
        if number != main and name is not None and _is_readable(series.keyframe):
            found[name] = make_level(series.keyframe)
    return found


def _is_readable(page: tifffile.TiffPage) -> bool:
    size = page.parent.filehandle.size
    return (
        no_colours(page) is None
        and not_decoded(page) is None
        and page.imagewidth * page.imagelength <= LARGEST_ASSOCIATED
        and piece_bytes(page) <= MAX_TILE_BYTES
        and uncompressed_end(page) <= size
    )
