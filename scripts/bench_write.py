"""CPU time and memory of writing a pyramid, beside pyvips, both fed with the same pixels.

Each run is a process of its own: ours gets 2048 px tiles as the engine makes them, pyvips the same
pixels as whole rows, which is what it can stream. The CPU time of only making the pixels, measured
the same way for each, is subtracted; imports are counted.

    python scripts/bench_write.py --size 20000 --repeat 3 --json write.json
"""

import argparse
import importlib.util
import json
import os
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path

import numpy as np

BAND = 2048
ROWS = 128  # at a time for pyvips, so that what feeds it adds little to its memory


def texture(side: int) -> np.ndarray:
    """Pixels with the colours, blobs and grain of an H&E slide: periodic, [side, side, 3] uint8."""
    rng = np.random.default_rng(0)
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])

    def noise(scale: float) -> np.ndarray:
        spectrum = np.fft.fft2(rng.normal(size=(side, side))) * np.exp(-((radius * scale) ** 2))
        values = np.fft.ifft2(spectrum).real
        return values / values.std()

    nuclei = np.clip(noise(30) - 0.9, 0, 1)
    stroma = np.clip(0.25 + 0.2 * noise(100) + 0.08 * noise(10), 0, 1)
    density = nuclei[..., None] * (1.2, 1.5, 0.6) + stroma[..., None] * (0.2, 0.9, 0.4)
    pixels = 242 * np.exp(-density) + rng.normal(scale=1.0, size=(side, side, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


class Pixels:
    """An image whose pixels cost next to nothing: a texture, repeated."""

    def __init__(self, size: int, folder: Path) -> None:
        self.size = size
        self._texture = np.load(folder / "texture.npy")

    def tiles(self):
        """All tiles, as our engine makes them."""
        for y in range(0, self.size, BAND):
            for x in range(0, self.size, BAND):
                yield x, y, self._tile(x, y)

    def bands(self):
        """The same pixels, a few rows at a time over the whole width; valid until the next."""
        band = np.empty((ROWS, self.size, 3), np.uint8)
        for y in range(0, self.size, ROWS):
            rows = min(ROWS, self.size - y)
            for x in range(0, self.size, BAND):
                band[:rows, x : x + BAND] = self._tile(x, y)[:rows]
            yield band[:rows]

    def _tile(self, x: int, y: int) -> np.ndarray:
        return self._texture[y % BAND :, : self.size - x][: self.size - y]


def write_uhrt(pixels: Pixels, path: Path, args: argparse.Namespace) -> None:
    from uhrtranslate.io.writers.output_spec import OutputSpec
    from uhrtranslate.io.writers.pyramid import PyramidWriter

    spec = OutputSpec(
        pixels.size,
        pixels.size,
        mpp=(0.25, 0.25),
        quality=args.quality,
        compression=args.compression,
        tile=args.tile,
        smallest=args.tile,  # where libvips ends
    )
    with PyramidWriter(path, spec, workers=args.workers) as writer:
        for x, y, tile in pixels.tiles():
            writer.write(x, y, tile)


class VirtualTiff:
    """The image as an uncompressed TIFF that exists only while it is read, from top to bottom.

    The one way to stream pixels into pyvips' binary wheel, which reads no PPM.
    """

    STRIP = 16  # rows

    def __init__(self, pixels: Pixels) -> None:
        size, rows = pixels.size, self.STRIP
        strips = -(-size // rows)
        entries = 10
        start = 16 + 8 + 20 * entries + 8  # header, number of tags, tags, end of the chain
        self._data = start + 16 * strips
        lengths = [min(rows, size - row) * size * 3 for row in range(0, size, rows)]
        offsets = [self._data + row * size * 3 for row in range(0, size, rows)]

        def tag(code: int, kind: int, count: int, value: int) -> bytes:
            return struct.pack("<HHQQ", code, kind, count, value)

        self._head = b"".join(
            (
                struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, entries),
                tag(256, 4, 1, size),
                tag(257, 4, 1, size),
                tag(258, 3, 3, 8 | 8 << 16 | 8 << 32),
                tag(259, 3, 1, 1),
                tag(262, 3, 1, 2),
                tag(273, 16, strips, start),
                tag(277, 3, 1, 3),
                tag(278, 4, 1, rows),
                tag(279, 16, strips, start + 8 * strips),
                tag(284, 3, 1, 1),
                struct.pack("<Q", 0),
                struct.pack(f"<{2 * strips}Q", *offsets, *lengths),
            )
        )
        self._length = self._data + 3 * size * size
        self._position = 0
        self._bands = pixels.bands()
        self._band, self._start, self._stop = memoryview(b""), self._data, self._data

    def read(self, length: int) -> bytes:
        """The next bytes, `length` at most."""
        if self._position < self._data:
            piece = self._head[self._position : self._position + length]
        else:
            while self._stop <= self._position < self._length:
                self._band = memoryview(next(self._bands).reshape(-1))
                self._start, self._stop = self._stop, self._stop + len(self._band)
            first = self._position - self._start
            piece = bytes(self._band[first : first + length])
        self._position += len(piece)
        return piece

    def seek(self, offset: int, whence: int) -> int:
        """Move, as a file does."""
        self._position = (0, self._position, self._length)[whence] + offset
        return self._position


def write_pyvips(pixels: Pixels, path: Path, args: argparse.Namespace) -> None:
    import pyvips

    stream, source = VirtualTiff(pixels), pyvips.SourceCustom()
    source.on_read(stream.read)
    source.on_seek(stream.seek)
    image = pyvips.Image.new_from_source(source, "", access="sequential")
    image.tiffsave(
        str(path),
        tile=True,
        pyramid=True,
        bigtiff=True,
        compression=args.compression,
        predictor="horizontal",
        Q=args.quality,
        tile_width=args.tile,
        tile_height=args.tile,
        depth="onetile",
        subifd=False,
        xres=4000,
        yres=4000,
    )


WRITERS = {
    "uhrt": write_uhrt,
    "pyvips": write_pyvips,
    "tiles only": lambda pixels, path, args: deque(pixels.tiles(), maxlen=0),
    "bands only": lambda pixels, path, args: deque(pixels.bands(), maxlen=0),
}
BASELINE = {"uhrt": "tiles only", "pyvips": "bands only"}


def child(name: str, args: argparse.Namespace) -> None:
    """Run one writer in this process and print what it took."""
    path = args.folder / "bench.tif"
    WRITERS[name](Pixels(args.size, args.folder), path, args)
    size = path.stat().st_size if path.exists() else 0
    path.unlink(missing_ok=True)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    # Linux counts ru_maxrss in kB, macOS in bytes.
    rss = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"cpu_s": usage.ru_utime + usage.ru_stime, "rss": rss, "size": size}))


def run(name: str, folder: str) -> str:
    command = [sys.executable, __file__, *sys.argv[1:], "--folder", folder, "--child", name]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=20_000, help="px a side")
    parser.add_argument("--tile", type=int, default=512)
    # At 90 and above libvips drops chroma subsampling: another file, and another amount of work.
    parser.add_argument("--quality", type=int, default=88)
    parser.add_argument("--compression", default="jpeg")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write; the system's temporary folder")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child == "texture":
        np.save(args.folder / "texture.npy", texture(BAND))
        return
    if args.child:
        child(args.child, args)
        return
    names = list(WRITERS)
    if importlib.util.find_spec("pyvips") is None:
        print("without pyvips; run: pip install 'uhrtranslate[bench]'", file=sys.stderr)
        names = ["uhrt", "tiles only"]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        # In a process of its own: a child's peak memory starts at what its parent has.
        run("texture", folder)
        for _ in range(args.repeat):  # interleaved, so that a busy machine hits all alike
            for name in names:
                runs[name].append(json.loads(run(name, folder)))
    median = {
        name: {key: statistics.median(run[key] for run in runs[name]) for key in runs[name][0]}
        for name in names
    }
    results = {
        name: {
            "cpu_s": median[name]["cpu_s"] - median[BASELINE[name]]["cpu_s"],
            "peak_rss_mb": median[name]["rss"] / 1e6,
            "file_mb": median[name]["size"] / 1e6,
        }
        for name in names
        if name in BASELINE
    }
    print(f"{args.size} x {args.size} px, {args.compression} Q{args.quality}, {args.tile} px tiles")
    print(f"{'':8}{'CPU s':>8}{'x':>7}{'peak MB':>9}{'x':>7}{'file MB':>9}")
    for name, row in results.items():
        cpu = row["cpu_s"] / results["uhrt"]["cpu_s"]
        rss = row["peak_rss_mb"] / results["uhrt"]["peak_rss_mb"]
        print(
            f"{name:8}{row['cpu_s']:8.2f}{cpu:7.2f}{row['peak_rss_mb']:9.0f}{rss:7.2f}"
            f"{row['file_mb']:9.1f}"
        )
    if args.json:
        report = {"arguments": vars(args) | {"json": None, "folder": None}, "results": results}
        args.json.write_text(json.dumps(report | {"runs": runs}, indent=2) + "\n")


if __name__ == "__main__":
    main()
