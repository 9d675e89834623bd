#!/usr/bin/env python
"""How fast `uhrt view` shows slides, and how much memory it takes.

    scripts/bench_view.py slide.svs [--side 100000] [--clients 4] [--tiles 250]

Measured from outside, as a browser would ask: the time from the start of the command until the
page, its parts and all tiles of a first view have arrived; the time of a tile with several clients
that look around in a pyramid of `--side` px (made once from the slide, JPEG, levels a quarter of
each other as scanners write them), also the server's processor time per tile, which does not depend
on what else the machine does; and the largest resident memory after looking around in six of these.
"""

import argparse
import http.client
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import tifffile

from uhrtranslate.io import open_slide
from uhrtranslate.io.writers.tiff_codecs import JPEG

TILE, SCREEN = 512, (1280, 900)
PAGE = (
    "", "page.css", "openseadragon.min.js", "main.js", "address.js", "frames.js", "keys.js",
    "list.js", "marks.js", "pane.js", "panel.js", "icon.svg", "site.json",
)  # fmt: skip


class Client:
    """A connection that is kept."""

    def __init__(self, address):
        parts = urlsplit(address)
        self._line = http.client.HTTPConnection(parts.hostname, parts.port, timeout=120)
        self._word = parts.path

    def get(self, path):
        """The body of an answer."""
        self._line.request("GET", self._word + path)
        response = self._line.getresponse()
        body = response.read()
        if response.status != 200:
            raise SystemExit(f"{path}: {response.status} {body[:200]!r}")
        return body


@contextmanager
def viewing(*places):
    """The address of a running server, its process, and when it was started."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "uhrtranslate", "view", *map(str, places), "--no-browser"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        try:
            yield run.stderr.readline().strip(), run, began
        finally:
            run.terminate()


def tiles_of(facts, level):
    factor = 2 ** (facts["last"] - level)
    return [math.ceil(math.ceil(facts[side] / factor) / 256) for side in ("width", "height")]


def first_view(slide):
    """Seconds until everything for a first view has arrived, and of the processor until then."""
    with viewing(slide) as (address, run, began):
        client = Client(address)
        for path in PAGE:
            body = client.get(path)
        key = json.loads(body)["open"][0]
        facts = json.loads(client.get(f"images/{key}.json"))
        shrink = max(facts["width"] / SCREEN[0], facts["height"] / SCREEN[1], 1)
        level = facts["last"] - int(math.log2(shrink))
        columns, rows = tiles_of(facts, level)
        for row in range(rows):
            for column in range(columns):
                client.get(f"images/{key}_files/{level}/{column}_{row}.jpg?v=1")
        return time.perf_counter() - began, processor_seconds(run)


def make_pyramid(path, slide, side):
    """A tiled pyramid of pieces of a slide, `side` px wide and high."""
    with open_slide(slide) as opened:
        pieces = []
        for y in range(0, opened.info.height - TILE, TILE):
            for x in range(0, opened.info.width - TILE, TILE):
                pieces.append(JPEG.encode(opened.read(x, y, TILE, TILE), 60))
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for number in range(5):
            now = -(-side // 4**number)
            count = math.ceil(now / TILE) ** 2
            chosen = (pieces[(i * 7) % len(pieces)] for i in range(count))
            tiff.write(
                chosen, shape=(now, now, 3), dtype=np.uint8, tile=(TILE, TILE),
                subfiletype=bool(number), resolution=(4e4, 4e4), resolutionunit="CENTIMETER",
                **JPEG.tags,
            )  # fmt: skip


def look_around(address, keys, tiles, chance, times):
    """Views of 3 x 3 tiles at places and sizes that somebody who looks around comes by."""
    client = Client(address)
    facts = {key: json.loads(client.get(f"images/{key}.json")) for key in keys}
    while len(times) < tiles:
        key = chance.choice(keys)
        level = chance.randrange(9, facts[key]["last"] + 1)
        columns, rows = tiles_of(facts[key], level)
        x, y = chance.randrange(max(columns - 2, 1)), chance.randrange(max(rows - 2, 1))
        for row in range(y, min(y + 3, rows)):
            for column in range(x, min(x + 3, columns)):
                began = time.perf_counter()
                client.get(f"images/{key}_files/{level}/{column}_{row}.jpg?v=1")
                times.append(time.perf_counter() - began)


def with_clients(address, keys, clients, tiles, seed):
    each = [[] for _ in range(clients)]
    threads = [
        threading.Thread(
            target=look_around, args=(address, keys, tiles, random.Random(seed + i), times)
        )
        for i, times in enumerate(each)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(seconds for times in each for seconds in times)


def peak_mb(run):
    status = Path(f"/proc/{run.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1000


def processor_seconds(run):
    fields = Path(f"/proc/{run.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide", type=Path)
    parser.add_argument("--side", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--tiles", type=int, default=250, help="of each client")
    arguments = parser.parse_args()
    firsts = [first_view(arguments.slide) for _ in range(5)]
    first, busy = (statistics.median(values) for values in zip(*firsts, strict=True))
    print(
        f"first view of {arguments.slide.name}: {first:.2f} s after the start, "
        f"{busy:.2f} s of processor time"
    )
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "0.tif"
        make_pyramid(made, arguments.slide, arguments.side)
        slides = [made]
        for number in range(1, 6):
            slides.append(made.with_name(f"{number}.tif"))
            os.link(made, slides[-1])
        with viewing(*slides) as (address, run, _):
            keys = json.loads(Client(address).get("site.json"))["open"]
            for chosen, what in ((keys[:1], "one slide"), (keys, "six slides")):
                before = processor_seconds(run)
                times = with_clients(address, chosen, arguments.clients, arguments.tiles, 0)
                each = (processor_seconds(run) - before) / len(times)
                middle, late = times[len(times) // 2], times[int(len(times) * 0.95)]
                print(
                    f"{what} of {arguments.side:,} px, {arguments.clients} clients: a tile in "
                    f"{1000 * middle:.1f} ms at the median, {1000 * late:.1f} ms at the 95th "
                    f"percentile, {1000 * each:.1f} ms of processor time ({len(times)} tiles); "
                    f"peak memory {peak_mb(run):.0f} MB"
                )


if __name__ == "__main__":
    main()
