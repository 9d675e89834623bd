"""How long whole commands take, as users run them: `bench_speed.py --process`.

    python scripts/bench_speed.py --process --layout kaminyou --peer peer.py --json process.json

From a PNG to a pyramid: imports, loading, compiling, reading and writing included. All rows take
turns, medians; `--only` picks rows by shell patterns (`--only "DN, *" "peer, DN"`), so that a table
can be filled piece by piece. `cold cache` has an empty cache, as the first run on a machine.

`--peer` is a Python script of yours that does the same work by other code, such as the DN authors';
it is timed as a whole, too, as `peer, DN` and `peer, patch-IN`. It is called with

    WEIGHTS INPUT.png OUTPUT.png NORM

where the weights are a state dict as torch saves it, NORM is `dn` or `in`, cells have 512 px, and
the output has the input's size. Afterwards its output is compared with that of `--pad reflect`, our
form of the published geometry, so that nobody times another work: more than `MOST_GREY` grey levels
apart on average is an error. It runs without the large pages that `uhrt` asks for by itself. `peer
/ ours` is its time by ours, wall and CPU; on a machine that does other work, only CPU says much.
"""

import argparse
import fnmatch
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench import Row, machine, medians, parser, save, table, turns
from PIL import Image
from stand_ins import stained

from uhrtranslate.models import ResnetGenerator
from uhrtranslate.models.kaminyou import KaminyouGenerator

# By the names of their makers; both kinds with learned or fixed filters, and with strides alone.
LAYOUTS: dict[str, Callable[..., torch.nn.Module]] = {
    "kaminyou": KaminyouGenerator,
    "kaminyou-strided": lambda **how: KaminyouGenerator(**how, antialias=False, antialias_up=False),
    "cut": lambda **how: ResnetGenerator(**how, antialias=True, antialias_up=True),
    "cyclegan": ResnetGenerator,
}
METHODS = {"patch-IN": "in", "DN": "dn"}
MODES = {"eager": ("--no-compile",), "default": (), "bf16": ("--precision", "bf16")}
COLD = "DN, default, cold cache"
# Mean difference of a peer's result, in grey levels, that still is the same work.
MOST_GREY = 3.0


def save_weights(path: Path, layout: str, blocks: int, ngf: int = 64) -> None:
    """The state dict of a generator with random weights: always the same."""
    torch.manual_seed(0)
    torch.save(LAYOUTS[layout](ngf=ngf, n_blocks=blocks).state_dict(), path)


class Commands:
    """The rows as commands, over one image and one generator.

    Args:
        folder: for the image, weights, results and caches.
        image: [height, width, 3] uint8.
        threads: of each process.
        peer: see above, or None.
    """

    def __init__(
        self, folder: Path, image: np.ndarray, threads: int, peer: Path | None = None
    ) -> None:
        self.folder, self.threads, self.peer = folder, threads, peer
        self.source, self.weights = folder / "in.png", folder / "net.pth"
        Image.fromarray(image).save(self.source)

    def rows(self) -> dict[str, Callable[[], Row]]:
        """What can be timed, by name."""
        warm, cold = self.folder / "cache", self.folder / "none"
        rows = {
            f"{method}, {mode}": self._row(self.ours(method, *how), warm)
            for method in METHODS
            for mode, how in MODES.items()
        }
        rows[COLD] = self._row(self.ours("DN"), cold, fresh=True)
        if self.peer:
            rows |= {f"peer, {method}": self._row(self.theirs(method)) for method in METHODS}
        return rows

    def warm(self) -> None:
        """Fill the cache that warm runs find."""
        small = self.folder / "small.png"
        Image.new("RGB", (64, 64)).save(small)
        run(self.ours("patch-IN", source=small), self.threads, self.folder / "cache")

    def ours(
        self, method: str, *how: str, published: bool = False, source: Path | None = None
    ) -> list[str]:
        """Our command; results in the published geometry are PNGs, others pyramids."""
        # Bare cells are patch-IN; only DN has a geometry of ours.
        alone = ("--pad", "reflect") if published or method == "patch-IN" else ()
        result = self._result("ours", method) if published else self.folder / "out.tif"
        return [
            sys.executable, "-P", "-m", "uhrtranslate", "translate",
            str(source or self.source), "-q", "--model", str(self.weights), "--cell", "512",
            "--overwrite", "-o", str(result), "--norm", METHODS[method], *alone, *how,
        ]  # fmt: skip

    def theirs(self, method: str) -> list[str]:
        """The peer's command."""
        assert self.peer
        files = str(self.weights), str(self.source), str(self._result("peer", method))
        return [sys.executable, str(self.peer), *files, METHODS[method]]

    def grey(self, method: str) -> float:
        """Mean difference in grey levels of the peer's result, once it ran, from ours.

        Raises:
            SystemExit: it is not the same work.
        """
        self._row(self.ours(method, published=True), self.folder / "cache")()
        theirs, ours = self._result("peer", method), self._result("ours", method)
        with Image.open(theirs) as one, Image.open(ours) as other:
            return same_work(np.asarray(one.convert("RGB")), np.asarray(other), theirs)

    def _result(self, whose: str, method: str) -> Path:
        return self.folder / f"{whose}-{METHODS[method]}.png"

    def _row(
        self, command: Sequence[str], cache: Path | None = None, fresh: bool = False
    ) -> Callable[[], Row]:
        return lambda: run(command, self.threads, cache, fresh)


def told(name: str, row: Callable[[], Row]) -> Callable[[], Row]:
    """A row that says what it took, so that a bench that is stopped has told something."""

    def telling() -> Row:
        found = row()
        print(f"{name}: {found['wall_s']:.1f} s, {found['cpu_s']:.1f} s of CPU", flush=True)
        return found

    return telling


def same_work(theirs: np.ndarray, ours: np.ndarray, name: object) -> float:
    """Mean difference in grey levels.

    Raises:
        SystemExit: so large, or of another size, that it is not the same work.
    """
    if theirs.shape != ours.shape:
        raise SystemExit(f"{name}: has the shape {theirs.shape}, not {ours.shape}")
    grey = float(np.abs(theirs.astype(np.int16) - ours).mean())
    if grey > MOST_GREY:
        raise SystemExit(f"{name}: is {grey:.1f} grey levels off, so the peer does other work")
    return grey


def run(
    command: Sequence[str], threads: int, cache: Path | None = None, fresh: bool = False
) -> Row:
    """Run a command to its end: seconds of wall and CPU, and MB at the peak.

    Args:
        command: what to run.
        threads: of it.
        cache: folder for what it keeps; None: the user's.
        fresh: empty that folder before.
    """
    environment: dict[str, Any] = os.environ | {"OMP_NUM_THREADS": str(threads)}
    environment.pop("THP_MEM_ALLOC_ENABLE", None)  # the command line asks for it itself
    if cache:
        environment["XDG_CACHE_HOME"] = str(cache)
        if fresh:
            subprocess.run(["rm", "-rf", str(cache)], check=True)
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    return {
        "wall_s": time.perf_counter() - started,
        "cpu_s": used.ru_utime + used.ru_stime,
        "mb": used.ru_maxrss / 1024,
    }


def picked(
    rows: Mapping[str, Callable[[], Row]], patterns: Sequence[str]
) -> dict[str, Callable[[], Row]]:
    """The rows that match a pattern; all if there are none.

    Raises:
        SystemExit: a pattern fits no row.
    """
    for pattern in patterns:
        if not fnmatch.filter(rows, pattern):
            raise SystemExit(f"--only {pattern!r}: no such row; there are {', '.join(rows)}")
    wanted = {name for pattern in patterns for name in fnmatch.filter(rows, pattern)}
    return {name: row for name, row in rows.items() if name in wanted or not patterns}


def compared(rows: dict[str, Row]) -> None:
    """Add to the rows what they are beside patch-IN in the same mode, and beside the peer."""
    for name, row in rows.items():
        method, _, mode = name.partition(", ")
        alike, peer = rows.get(f"patch-IN, {mode}"), rows.get(f"peer, {method}")
        if method == "DN" and alike:
            row["of_patch_in"] = row["wall_s"] / alike["wall_s"]
        if peer:
            row["faster"] = peer["wall_s"] / row["wall_s"]
            row["faster_cpu"] = peer["cpu_s"] / row["cpu_s"]


def show(rows: dict[str, Row]) -> None:
    """Print the medians."""
    columns = [
        ("wall s", "wall_s", "8.1f"), ("CPU s", "cpu_s", "8.1f"), ("MB", "mb", "8.0f"),
        ("x IN", "of_patch_in", "6.2f"), ("peer / ours", "faster", "13.2f"),
        ("by CPU", "faster_cpu", "8.2f"), ("grey", "grey", "8.4f"),
    ]  # fmt: skip
    table(rows, 28, [one for one in columns if any(one[1] in row for row in rows.values())])


def main(arguments: Sequence[str] | None = None) -> None:
    """What `bench_speed.py --process` does."""
    options = parser(
        __doc__, side=(1536, "of the image in px"), height=(0, "of the image; 0: as its side"),
        blocks=(9, "residual blocks of the generator"), ngf=(64, "its channels"),
        threads=os.cpu_count(), repeat=3,
    )  # fmt: skip
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    options.description = __doc__
    options.add_argument("--layout", choices=LAYOUTS, default="kaminyou")
    options.add_argument("--peer", type=Path, help="script that does the same by other code")
    options.add_argument("--only", nargs="*", default=[], help="patterns of rows")
    given = options.parse_args(arguments)
    image = stained(given.side, given.height or given.side)
    with tempfile.TemporaryDirectory() as name:
        commands = Commands(Path(name), image, given.threads, given.peer and given.peer.resolve())
        rows = picked(commands.rows(), given.only)
        save_weights(commands.weights, given.layout, given.blocks, given.ngf)
        commands.warm()
        taken = turns({row: told(row, how) for row, how in rows.items()}, given.repeat)
        found = {row: medians(each) for row, each in taken.items()}
        for method in METHODS:
            if f"peer, {method}" in found:
                found[f"peer, {method}"]["grey"] = commands.grey(method)
    compared(found)
    print(f"{given.layout}, {given.blocks} blocks, {image.shape[1]} x {image.shape[0]} px")
    show(found)
    save(given.json, {"machine": machine(), "given": vars(given), "rows": found, "each": taken})
