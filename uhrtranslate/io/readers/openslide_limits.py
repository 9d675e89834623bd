"""What OpenSlide is trusted with, and a program that tries files out.

OpenSlide takes memory for a whole tile or associated image at once. As a program, this reads paths
from stdin, one JSON string a line, reads a little of each slide, and answers with an empty line;
a file that ends the process ends this one. It imports nothing else of the package, so that it
starts in a few hundredths of a second.
"""

import json
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress

import openslide

# Px of a tile; those of real slides have a million at most.
LARGEST_TILE = 1 << 26
# Px of an associated image, which is read as a whole.
LARGEST_ASSOCIATED = 1 << 26
# Side of what is read on trial, in px.
_SIDE = 64


def properties_of(slide: openslide.OpenSlide) -> dict[str, str]:
    """The properties; of a damaged file, OpenSlide names some that it then does not have."""
    properties = {}
    for name in slide.properties:
        with suppress(KeyError):
            properties[name] = slide.properties[name]
    return properties


def tile_size(properties: Mapping[str, str], level: int) -> tuple[int, int]:
    """Width and height in px of a level's tiles, as OpenSlide states them, or a usual size."""
    key = f"openslide.level[{level}].tile-"
    return int(properties.get(key + "width", 256)), int(properties.get(key + "height", 256))


def associated_size(properties: Mapping[str, str], name: str) -> tuple[int, int]:
    """Width and height in px of an associated image; 0 where OpenSlide does not state them."""
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


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that asks
    for line in sys.stdin:
        with suppress(Exception):  # what is raised here is raised there, too, and told
            _try_out(json.loads(line))
        sys.stdout.write("\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
