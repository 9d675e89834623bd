"""What OpenSlide is trusted with, and a program that tries files out.

OpenSlide takes memory for a whole tile or associated image at once. Run as a program, this module
reads paths from stdin, one JSON string a line, reads a little of each slide, and answers with an
empty line; a file that makes OpenSlide end the process ends this one. At the end of stdin it ends
at once, whatever OpenSlide does. It imports nothing else of the package, so that it starts in a few
hundredths of a second.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from queue import SimpleQueue

import openslide

# In px; tiles of real slides have a million at most.
LARGEST_TILE = 1 << 26
# In px; associated images are read whole.
LARGEST_ASSOCIATED = 1 << 26
# Side in px of the squares that are read on trial.
_SIDE = 64


def properties_of(slide: openslide.OpenSlide) -> dict[str, str]:
    """A slide's properties. For damaged files OpenSlide lists names for which it has no value."""
    properties = {}
    for name in slide.properties:
        with suppress(KeyError):
            properties[name] = slide.properties[name]
    return properties


def tile_size(properties: Mapping[str, str], level: int) -> tuple[int, int]:
    """Width and height in px of a level's tiles, as OpenSlide states them, or a common size."""
    key = f"openslide.level[{level}].tile-"
    return int(properties.get(key + "width", 256)), int(properties.get(key + "height", 256))


def associated_size(properties: Mapping[str, str], name: str) -> tuple[int, int]:
    """Width and height in px of an associated image; 0 if OpenSlide does not state them."""
    key = f"openslide.associated.{name}."
    return int(properties.get(key + "width", 0)), int(properties.get(key + "height", 0))


def _try_out(path: str) -> None:
    with openslide.OpenSlide(path) as slide:
        properties = properties_of(slide)
        for level, (width, height) in enumerate(slide.level_dimensions):
            across, down = tile_size(properties, level)
            downsample = slide.level_downsamples[level]
            if across * down > LARGEST_TILE:
                continue
            last = max(width - _SIDE, 0), max(height - _SIDE, 0)
            for x, y in ((0, 0), (width // 2, height // 2), last):
                place = round(x * downsample), round(y * downsample)
                slide.read_region(place, level, (_SIDE, _SIDE))
        for name in slide.associated_images:
            width, height = associated_size(properties, name)
            if width * height <= LARGEST_ASSOCIATED:
                slide.associated_images[name].close()


def _take(lines: SimpleQueue[str]) -> None:
    """Pass lines on until the parent has ended, however it did; then nobody needs an answer."""
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


def _main() -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # meant for the parent, whose end ends this too
        if hasattr(signal, name):  # Windows knows no SIGHUP
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    lines: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_take, args=(lines,), daemon=True).start()
    while True:
        line = lines.get()
        with suppress(Exception):  # the parent will run into the same exception, and report it
            _try_out(json.loads(line))
        sys.stdout.write("\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
