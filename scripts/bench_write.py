"""CPU time and memory of writing a pyramid, beside pyvips, both fed with the same pixels.

Each run is a process of its own: ours gets 2048 px tiles as the engine makes them, pyvips the same
pixels as whole rows, which is what it can stream. The CPU time of only making the pixels, measured
the same way for each, is subtracted; imports are counted.

    python scripts/bench_write.py --size 20000 --repeat 3 --json write.json
"""

import importlib.util
import sys
import tempfile
from collections import deque
from functools import partial
from pathlib import Path

import numpy as np
from bench import child, cpu_seconds, medians, parser, peak_bytes, save, start, table, turns

BAND = 2048
ROWS = 128  # at a time for pyvips, so that what feeds it adds little to its memory


def prepare(folder: str, size: int) -> dict[str, float]:
    """Save periodic pixels with the colours, blobs and grain of an H&E slide, and a TIFF's head."""
    # Here, as the import would count for pyvips.
    import tifffile

    side = BAND
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
    np.save(Path(folder, "texture.npy"), np.clip(pixels, 0, 255).astype(np.uint8))
    path = Path(folder, "head.tif")
    tifffile.imwrite(
        path, shape=(size, size, 3), dtype=np.uint8, photometric="rgb", bigtiff=True,
        rowsperstrip=16, metadata=None,
    )  # fmt: skip
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages[0].dataoffsets[0]
    with path.open("r+b") as file:
        file.truncate(start)  # without its pixels, which were holes
    return {}


class Pixels:
    """An image whose pixels cost next to nothing: a texture, repeated."""

    def __init__(self, size: int, folder: Path) -> None:
        self.size = size
        self.head = (folder / "head.tif").read_bytes()
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


def write_uhrt(pixels: Pixels, path: Path, quality: int, compression: str, tile: int, workers: int):
    from uhrtranslate.io.writers.output_spec import OutputSpec
    from uhrtranslate.io.writers.pyramid import PyramidWriter

    spec = OutputSpec(
        pixels.size,
        pixels.size,
        mpp=(0.25, 0.25),
        quality=quality,
        compression=compression,
        tile=tile,
        smallest=tile,  # where libvips ends
    )
    with PyramidWriter(path, spec, workers=workers) as writer:
        for x, y, square in pixels.tiles():
            writer.write(x, y, square)


class VirtualTiff:
    """The image as an uncompressed TIFF that exists only while it is read, from top to bottom.

    The one way to stream pixels into pyvips' binary wheel, which reads no PPM.
    """

    def __init__(self, pixels: Pixels) -> None:
        self._head, self._data = pixels.head, len(pixels.head)
        self._length = self._data + 3 * pixels.size**2
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


def write_pyvips(
    pixels: Pixels, path: Path, quality: int, compression: str, tile: int, workers: int
):
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
        compression=compression,
        predictor="horizontal",
        Q=quality,
        tile_width=tile,
        tile_height=tile,
        depth="onetile",
        subifd=False,
        xres=4000,
        yres=4000,
    )


WRITERS = {
    "uhrt": write_uhrt,
    "pyvips": write_pyvips,
    "tiles only": lambda pixels, *_: deque(pixels.tiles(), maxlen=0),
    "bands only": lambda pixels, *_: deque(pixels.bands(), maxlen=0),
}
BASELINE = {"uhrt": "tiles only", "pyvips": "bands only"}


def run(name: str, folder: str, size: int, *how: object) -> dict[str, float]:
    """Run one writer in this process; what it took."""
    path = Path(folder, "bench.tif")
    WRITERS[name](Pixels(size, Path(folder)), path, *how)
    size = path.stat().st_size if path.exists() else 0
    path.unlink(missing_ok=True)
    return {"cpu_s": cpu_seconds(), "rss": peak_bytes(), "size": size}


def main() -> None:
    options = parser(
        __doc__, size=(20_000, "px a side"), tile=512,
        # At 90 and above libvips drops chroma subsampling: another file, another amount of work.
        quality=88, compression="jpeg", workers=2, repeat=3,
    )  # fmt: skip
    options.add_argument(
        "--folder", type=Path, help="where to write; the system's temporary folder"
    )
    args = options.parse_args()
    how = (args.quality, args.compression, args.tile, args.workers)
    names = list(WRITERS)
    if importlib.util.find_spec("pyvips") is None:
        print("without pyvips; run: pip install 'uhrtranslate[bench]'", file=sys.stderr)
        names = ["uhrt", "tiles only"]
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        # In a process of its own: a child's peak memory starts at what its parent has.
        child(prepare, folder, args.size)
        ways = {name: partial(child, run, name, folder, args.size, *how) for name in names}
        runs = turns(ways, args.repeat)
    median = {name: medians(rows) for name, rows in runs.items()}
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
    for row in results.values():
        row["cpu"] = row["cpu_s"] / results["uhrt"]["cpu_s"]
        row["rss"] = row["peak_rss_mb"] / results["uhrt"]["peak_rss_mb"]
    columns = [
        ("CPU s", "cpu_s", "8.2f"), ("x", "cpu", "7.2f"), ("peak MB", "peak_rss_mb", "9.0f"),
        ("x", "rss", "7.2f"), ("file MB", "file_mb", "9.1f"),
    ]  # fmt: skip
    table(results, 8, columns)
    report = {"arguments": vars(args) | {"json": None, "folder": None}, "results": results}
    save(args.json, report | {"runs": runs})


start(main, prepare, run)
