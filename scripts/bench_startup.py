"""How long a command takes until it computes, by configuration: `bench_speed.py --startup`.

    python scripts/bench_speed.py --startup --json startup.json

The time from the start of the process until the first forward of the image begins, and until it
has ended, over one small cell, for each layout of generators, 6 and 9 blocks, fp32 and bf16: once
with an empty cache (`cold`, as the first run on a machine) and once more with what that one left
(`warm`). CPU time too, that of the C++ compiler included: on a busy machine it is what counts.
"""

import argparse
import functools
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import Row, machine, medians, parser, run_here, save, table

PRECISIONS = ("fp32", "bf16")
FORWARDS = ("record", "plain", "normalize", "normalize_part")
SIDE = 128  # px of the image


def measured(
    source: Path, weights: Path, precision: str, threads: int, cache: Path, *how: str
) -> Row:
    """Seconds until the first forward, of a command in a process of its own.

    Returns:
        begun_s, ended_s: of the first forward, since the process was started.
        begun_cpu_s, ended_cpu_s: CPU time that the process and its children had taken then.
    """
    command = [
        "translate", str(source), "-q", "--model", str(weights), "--norm", "dn", "--cell",
        str(SIDE), "--precision", precision, "--overwrite", "-o", str(source.with_suffix(".tif")),
        *how,
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "XDG_CACHE_HOME": str(cache)}
    environment.pop("THP_MEM_ALLOC_ENABLE", None)
    done = subprocess.run(
        [sys.executable, __file__, str(time.monotonic()), *command],
        env=environment, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def child(started: float, command: Sequence[str]) -> None:
    """Run a command of `uhrt` in this process, and print when its first forward began and ended.

    Args:
        started: when the process was started, by `time.monotonic`.
        command: arguments.
    """
    from uhrtranslate.cli import main  # first, as it sets how torch takes memory
    from uhrtranslate.engine import GeneratorRunner

    found: Row = {}

    def note(what: str) -> None:
        if f"{what}_s" not in found:
            used = [resource.getrusage(resource.RUSAGE_SELF)]
            used.append(resource.getrusage(resource.RUSAGE_CHILDREN))
            found[f"{what}_s"] = time.monotonic() - started
            found[f"{what}_cpu_s"] = sum(one.ru_utime + one.ru_stime for one in used)

    def noting(forward: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(forward)
        def wrapped(*arguments: Any, **options: Any) -> Any:
            note("begun")
            result = forward(*arguments, **options)
            note("ended")
            return result

        return wrapped

    for kind in (GeneratorRunner, *GeneratorRunner.__subclasses__()):
        for name in FORWARDS:
            if name in vars(kind):
                setattr(kind, name, noting(vars(kind)[name]))
    run_here(main, command)
    print(json.dumps(found))


def main(arguments: Sequence[str] | None = None) -> None:
    """What `bench_speed.py --startup` does."""
    from bench_process import LAYOUTS, save_weights
    from PIL import Image
    from stand_ins import stained

    options = parser(
        __doc__, threads=os.cpu_count(), repeat=3, ngf=(64, "channels of the generators"),
        blocks=([6, 9], "numbers of residual blocks"),
    )  # fmt: skip
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    options.description = __doc__
    options.add_argument("--layouts", nargs="*", choices=LAYOUTS, default=list(LAYOUTS))
    given = options.parse_args(arguments)
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, weights = folder / "in.png", folder / "net.pth"
        Image.fromarray(stained(SIDE, SIDE)).save(source)
        for layout, blocks in itertools.product(given.layouts, given.blocks):
            save_weights(weights, layout, blocks, given.ngf)
            for precision in PRECISIONS:
                taken: dict[str, list[Row]] = {"cold": [], "warm": []}
                for turn in range(given.repeat):
                    for kind in taken:  # the second finds what the first has left
                        cache = folder / f"{layout}-{blocks}-{precision}-{turn}"
                        how = source, weights, precision, given.threads, cache
                        taken[kind].append(measured(*how))
                row = {
                    f"{kind}_{key}": value
                    for kind, each in taken.items()
                    for key, value in medians(each).items()
                }
                rows[f"{layout}, {blocks} blocks, {precision}"] = row
                begun = (f"{kind} {row[f'{kind}_begun_cpu_s']:.1f}" for kind in taken)
                print(
                    f"{layout}, {blocks} blocks, {precision}: {', '.join(begun)} s of CPU",
                    flush=True,
                )
    table(rows, 34, [
        (f"{kind} {title}", f"{kind}_{key}", "16.1f")
        for kind in ("cold", "warm")
        for title, key in (
            ("begins", "begun_s"), ("CPU", "begun_cpu_s"), ("ends", "ended_s"),
        )
    ])  # fmt: skip
    for kind in ("cold", "warm"):
        last = max(rows, key=lambda row: rows[row][f"{kind}_begun_s"])
        print(f"{kind}, the last to begin: {rows[last][f'{kind}_begun_s']:.1f} s, {last}")
    save(given.json, {"machine": machine(), "given": vars(given), "rows": rows})


if __name__ == "__main__":
    child(float(sys.argv[1]), sys.argv[2:])
