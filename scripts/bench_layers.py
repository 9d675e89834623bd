#!/usr/bin/env python3
"""Where the CPU time of a translation goes, by kind of layer.

    python scripts/bench_layers.py --layout kaminyou --norm dn

One command of `uhrt`, in this process and with one thread, over a generator with random weights:
CPU seconds of each kind of layer and of each kernel, without what they call, in the forwards that
give statistics, in those of tiles, and in what is measured beforehand (the halo). The rest is
imports, reading, encoding and writing. Further options of `uhrt translate` go behind `--`.
"""

import functools
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import Row, machine, parser, run_here, save, table

BEFORE, STATISTICS, TILES = "before", "statistics", "tiles"
# Forwards of a runner, by what they are for.
FORWARDS = {"record": STATISTICS, "plain": TILES, "normalize": TILES, "normalize_part": TILES}
REST = "imports, reading, writing"


class Times:
    """CPU seconds of this thread by phase and kind, each without what it calls.

    Attributes:
        seconds: by phase and kind.
        phase: what is done now.
    """

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, str], float] = defaultdict(float)
        self.phase = BEFORE
        self._open: list[list[float]] = []  # when begun, and seconds of what was called

    def begin(self) -> None:
        """Something begins."""
        self._open.append([time.thread_time(), 0.0])

    def end(self, kind: str) -> None:
        """It ends; it was of this kind."""
        began, inside = self._open.pop()
        took = time.thread_time() - began
        self.seconds[self.phase, kind] += took - inside
        if self._open:
            self._open[-1][1] += took

    @contextmanager
    def timing(self, kind: str) -> Iterator[None]:
        """The block is of a kind."""
        self.begin()
        try:
            yield
        finally:
            self.end(kind)

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """The block belongs to a phase."""
        before, self.phase = self.phase, phase
        try:
            with self.timing("between layers"):
                yield
        finally:
            self.phase = before


def kind_of(layer: Any) -> str:
    """What the table calls a layer: its class, and its channels and size if it convolves."""
    name, weight = type(layer).__name__, getattr(layer, "weight", None)
    if weight is None or weight.ndim != 4:
        return name
    first, second, high, wide = weight.shape
    ends = (first, second) if "Transpose" in name else (second, first)
    stride = getattr(layer, "stride", (1, 1))[0]
    return f"{name} {high}x{wide}, {ends[0]} to {ends[1]}{f', stride {stride}' * (stride != 1)}"


def watch(times: Times) -> None:
    """Have all layers, kernels and forwards of this process timed."""
    from torch.nn.modules import module

    from uhrtranslate.engine import GeneratorRunner
    from uhrtranslate.engine.native import operations
    from uhrtranslate.recipes import generator_pool

    def ends(layer: Any, *_: object) -> None:
        if not next(layer.children(), None):
            times.end(kind_of(layer))

    def begins(layer: Any, _: object) -> None:
        if not next(layer.children(), None):
            times.begin()

    def within(phase: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(forward)
        def wrapped(*arguments: Any, **options: Any) -> Any:
            with times.during(phase):
                return forward(*arguments, **options)

        return wrapped

    def kernel(name: str, *arguments: Any) -> Any:
        with times.timing(f"kernel {name}"):
            return call(name, *arguments)

    module.register_module_forward_pre_hook(begins)
    module.register_module_forward_hook(ends)
    call, operations._call = operations._call, kernel
    for runner in (GeneratorRunner, *GeneratorRunner.__subclasses__()):
        for name, phase in FORWARDS.items():
            if name in vars(runner):
                setattr(runner, name, within(phase, vars(runner)[name]))
    for name in ("measure_halo", "choose_tile"):
        setattr(generator_pool, name, within(BEFORE, getattr(generator_pool, name)))


def profiled(command: Sequence[str]) -> dict[str, Row]:
    """Run a command of `uhrt` here; CPU seconds by kind, in the columns of the phases."""
    from uhrtranslate.cli import main

    times = Times()
    watch(times)
    run_here(main, command)
    whole = time.process_time()
    rows: dict[str, Row] = defaultdict(dict)
    for (phase, kind), seconds in times.seconds.items():
        rows[kind][phase] = seconds
    for row in rows.values():
        row["sum"] = sum(row.values())
    rows[REST]["sum"] = whole - sum(row["sum"] for row in rows.values())
    for row in rows.values():
        row["share"] = row["sum"] / whole
    return dict(sorted(rows.items(), key=lambda item: -item[1]["sum"]))


def main() -> None:
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as the command line does
    import torch
    from bench_process import LAYOUTS, save_weights
    from PIL import Image
    from stand_ins import stained

    options = parser(__doc__, side=(1024, "of the image in px"), blocks=9, ngf=64, norm="dn")
    options.add_argument("--layout", choices=LAYOUTS, default="kaminyou")
    options.add_argument("further", nargs="*", help="options of uhrt translate")
    given = options.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        source, weights = Path(name, "in.png"), Path(name, "net.pth")
        save_weights(weights, given.layout, given.blocks, given.ngf)
        Image.fromarray(stained(given.side, given.side)).save(source)
        rows = profiled([
            "translate", str(source), "-q", "-o", f"{name}/out.tif", "--model", str(weights),
            "--norm", given.norm, "--cell", "512", *given.further,
        ])  # fmt: skip
    table(rows, 46, [
        *((phase, phase, "11.2f") for phase in (BEFORE, STATISTICS, TILES, "sum")),
        ("share", "share", "8.1%"),
    ])  # fmt: skip
    save(given.json, {"machine": machine(), "given": vars(given), "rows": rows})


if __name__ == "__main__":
    main()
