"""What a cluster costs: beside one process on this machine, and with many workers.

    scripts/bench_cluster.py slides      # 20 slides: --cluster local:2 beside --at-once 2
    scripts/bench_cluster.py bands       # one slide in bands, beside the same alone
    scripts/bench_cluster.py scaling     # workers that sleep as long as a GPU would compute

Wall time depends on what else the machine does, so processor time of all processes is told, too.
Starting (importing torch, loading the generator) is measured by an empty run and told apart.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

HERE = Path(__file__).resolve().parents[1]


def make(folder, count, side):
    """Slides of noise at the scale of nuclei, in tiles, so that any part can be read."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        small = rng.integers(60, 256, (side // 16, side // 16, 3), np.uint8)
        image = Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)
        tifffile.imwrite(
            folder / f"{number:02}.tif", np.asarray(image), tile=(256, 256),
            photometric="rgb", compression="deflate",
        )  # fmt: skip


def measured(folder, *arguments):
    """Wall and processor seconds of a command."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-P", "-m", "uhrtranslate", "translate", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    subprocess.run(
        [*command, "--quiet", "--format", "tiff", "--overwrite"],
        check=True, cwd=folder, env=environment, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return time.perf_counter() - began, spent


def compare(name, folder, few, many, ways, repeats):
    """Print what ways cost with many slides, without what they cost with few."""
    found = {}
    for way, arguments in ways.items():
        start = min(measured(folder, *few, *arguments) for _ in range(repeats))
        whole = min(measured(folder, *many, *arguments) for _ in range(repeats))
        net = [one - other for one, other in zip(whole, start, strict=True)]
        found[way] = net
        print(
            f"{name}, {way}: {whole[0]:.1f} s, processor {whole[1]:.1f} s; without starting "
            f"({start[0]:.1f} s) {net[0]:.1f} s, processor {net[1]:.1f} s", flush=True,
        )  # fmt: skip
    first, second = found.values()
    wall, spent = (100 * (b / a - 1) for a, b in zip(first, second, strict=True))
    print(f"{name}: the cluster takes {wall:+.1f} % wall time, {spent:+.1f} % processor time")


def slides(given):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "one", 2, 256)
        make(folder / "all", 20, given.side)
        common = ["-o", "out", "--cell", 256, "--norm", "dn", "--tile", 512]
        ways = {"--at-once 2": ["--at-once", 2], "--cluster local:2": ["--cluster", "local:2"]}
        compare("20 slides", folder, ["one", *common], ["all", *common], ways, given.repeats)


def bands(given):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "one", 2, 256)  # so that both workers load the generator
        make(folder / "all", 1, 4 * given.side)
        for norm in ("dn", "pooled"):
            common = ["-o", "out", "--cell", 256, "--norm", norm, "--tile", given.tile]
            shared = ["--cluster", "local:2", "--split", given.split]
            ways = {"alone": [], " ".join(map(str, shared)): shared}
            few, many = ["one", *common], ["all", *common]
            compare(f"one slide, {norm}", folder, few, many, ways, given.repeats)


@dataclass(frozen=True)
class Sleep:
    """An order that takes as long as a GPU would, and reports as it would."""

    seconds: float

    def repeated(self):
        """See `Order`."""
        return self

    def carry_out(self, tell):
        """See `Order`."""
        from uhrtranslate.runs.events import Advanced

        end = time.monotonic() + self.seconds
        while (left := end - time.monotonic()) > 0:
            tell(Advanced("slide", 1 << 20))
            time.sleep(min(0.25, left))
        return self.seconds


def scaling(given):
    """All workers live in this process, as sleeping needs no processor."""
    import dask

    dask.config.set({"logging.distributed": "critical"})
    from distributed import Client, Scheduler, SpecCluster, Worker

    from uhrtranslate.cluster import plain
    from uhrtranslate.cluster.crew import Crew, Done, Ordered
    from uhrtranslate.cluster.local import SETTINGS
    from uhrtranslate.cluster.reached import Reached

    plain.ROOTS.add("__main__")  # of `Sleep`
    host = {"host": "127.0.0.1"}
    for workers in given.workers:
        # Workers of their own processes would not look at one process 128 times a second.
        alone = {"distributed.admin.system-monitor.interval": f"{workers / 2}s"}
        with dask.config.set({**SETTINGS, **alone}):
            worker = {"cls": Worker, "options": {**host, "nthreads": 1, "memory_limit": 0}}
            scheduler = {
                "cls": Scheduler,
                "options": {**host, "dashboard": False, "dashboard_address": "127.0.0.1:0"},
            }
            with (
                SpecCluster(dict.fromkeys(range(workers), worker), scheduler) as cluster,
                Client(cluster, set_as_default=False) as client,
                Crew(Reached(client)) as crew,
            ):
                began, spent = time.perf_counter(), time.process_time()
                crew.add(
                    Ordered(Sleep(given.seconds), number) for number in range(workers * given.each)
                )
                events = sum(not isinstance(news, Done) for news in crew.work())
                wall, spent = time.perf_counter() - began, time.process_time() - spent
        ideal = given.each * given.seconds
        print(
            f"{workers} workers, {workers * given.each} pieces of {given.seconds:g} s: "
            f"{wall:.1f} s, {ideal / wall:.1%} of what is possible; {events / wall:.0f} events a "
            f"second, {spent / wall:.0%} of a core for scheduler, workers and client", flush=True,
        )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["slides", "bands", "scaling"])
    parser.add_argument("--side", type=int, default=768, help="px of a slide")
    parser.add_argument("--repeats", type=int, default=1, help="of which the best counts")
    parser.add_argument("--tile", default="auto", help="px of the tiles of a slide in bands")
    parser.add_argument("--split", default="auto", help="rows of cells in a band")
    parser.add_argument("--workers", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--seconds", type=float, default=20.0, help="that a piece takes")
    parser.add_argument("--each", type=int, default=3, help="pieces per worker")
    options = parser.parse_args()
    {"slides": slides, "bands": bands, "scaling": scaling}[options.what](options)
