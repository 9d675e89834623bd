"""How long whole commands take, as users run them: `bench_speed.py --process`."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench import Row, medians, table, turns
from PIL import Image

from uhrtranslate.models import ResnetGenerator
from uhrtranslate.models.kaminyou import KaminyouGenerator

LAYOUTS: dict[str, Callable[[int], torch.nn.Module]] = {
    "cyclegan": lambda blocks: ResnetGenerator(ngf=64, n_blocks=blocks),
    "cut": lambda blocks: ResnetGenerator(
        ngf=64, n_blocks=blocks, antialias=True, antialias_up=True
    ),
    "kaminyou": lambda blocks: KaminyouGenerator(ngf=64, n_blocks=blocks),
}  # fmt: skip
METHODS = {"patch-IN": ("--norm", "in", "--pad", "reflect"), "DN": ("--norm", "dn")}
MODES = {"eager": ("--no-compile",), "default": (), "bf16": ("--precision", "bf16")}
PEER = "the authors' code"


def measure(
    image: np.ndarray, layout: str, blocks: int, threads: int, repeat: int, peer: Path | None
) -> dict[str, Row]:
    """Medians of the ways to run a generator over an image, each in a process of its own.

    Cold runs have an empty cache, as the first on a machine; the others find what those compiled.
    All ways take turns. `peer` is a script of the user's that is called with the paths of the image
    and of the weights; it is timed as a whole, too.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, weights = Path(folder, "in.png"), Path(folder, "net.pth")
        Image.fromarray(image).save(source)
        torch.manual_seed(0)
        torch.save(LAYOUTS[layout](blocks).state_dict(), weights)
        command = [
            sys.executable, "-P", "-m", "uhrtranslate", "translate", str(source), "-q",
            "--model", str(weights), "--cell", "512", "--overwrite", "-o", f"{folder}/out.tif",
        ]  # fmt: skip
        warm, cold = Path(folder, "cache"), Path(folder, "none")
        ways = {
            f"{method}, {mode}": _timed([*command, *how, *which], threads, warm)
            for method, how in METHODS.items()
            for mode, which in MODES.items()
        }
        first = _timed([*command, *METHODS["DN"]], threads, cold, fresh=True)
        ways["DN, default, cold cache"] = first
        if peer:
            ways[PEER] = _timed([sys.executable, str(peer), str(source), str(weights)], threads)
        _timed([*command, *METHODS["patch-IN"]], threads, warm)()  # fills the cache
        rows = {name: medians(taken) for name, taken in turns(ways, repeat).items()}
    for name, row in rows.items():
        method, _, mode = name.partition(", ")
        if method == "DN" and f"patch-IN, {mode}" in rows:
            row["of_patch_in"] = row["wall_s"] / rows[f"patch-IN, {mode}"]["wall_s"]
        if peer and name != PEER:
            row["faster"] = rows[PEER]["wall_s"] / row["wall_s"]
    return rows


def show(rows: dict[str, Row]) -> None:
    """Print the medians."""
    columns = [
        ("wall s", "wall_s", "8.1f"), ("CPU s", "cpu_s", "8.1f"), ("MB", "mb", "8.0f"),
        ("x IN", "of_patch_in", "6.2f"), ("faster", "faster", "8.2f"),
    ]  # fmt: skip
    table(rows, 28, [one for one in columns if any(one[1] in row for row in rows.values())])


def _timed(
    command: Sequence[str], threads: int, cache: Path | None = None, fresh: bool = False
) -> Callable[[], Row]:
    environment: dict[str, Any] = os.environ | {"OMP_NUM_THREADS": str(threads)}
    if cache:
        environment["XDG_CACHE_HOME"] = str(cache)

    def run() -> Row:
        if fresh and cache:
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

    return run
