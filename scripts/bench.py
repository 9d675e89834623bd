"""What the bench_*.py scripts share: options, jobs in processes of their own, medians, tables."""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

Way = TypeVar("Way")
Row = dict[str, Any]


def parser(doc: str, **numbers: Any) -> argparse.ArgumentParser:
    """A parser with --json and numbers.

    Args:
        doc: of the script; its first line is the description.
        numbers: options by name: a default, or a list of defaults, or a pair of it and its help.
    """
    made = argparse.ArgumentParser(description=doc.splitlines()[0])
    made.add_argument("--json", type=Path, help="also write the figures here")
    for name, given in numbers.items():
        default, text = given if isinstance(given, tuple) else (given, None)
        several = isinstance(default, list)
        made.add_argument(
            f"--{name.replace('_', '-')}", default=default, help=text,
            type=type(default[0] if several else default), nargs="*" if several else None,
        )  # fmt: skip
    return made


def save(path: Path | None, report: object) -> None:
    """Write a report where --json says."""
    if path:
        path.write_text(json.dumps(report, indent=1, default=str) + "\n")


def machine() -> Row:
    """What figures were measured on."""
    import torch  # here, as scripts that measure memory without torch must not load it

    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "date": date.today().isoformat(), "commit": commit,
        "cpu": next(models, platform.processor()), "gpu": gpu,
        "threads": torch.get_num_threads(), "torch": torch.__version__,
    }  # fmt: skip


def start(main: Callable[[], None], *jobs: Callable[..., Row]) -> None:
    """Run `main`, or the job that `child` has started this process for."""
    if sys.argv[1:2] == ["--job"]:
        name, arguments, options = json.loads(sys.argv[2])
        print(json.dumps({job.__name__: job for job in jobs}[name](*arguments, **options)))
    else:
        main()


def child(
    job: Callable[..., Row], *arguments: object, threads: int | None = None, **options: object
) -> Row:
    """What a job of this script returns in a process of its own, whose memory it does not share."""
    given = json.dumps([job.__name__, arguments, options], default=str)
    done = subprocess.run(
        [sys.executable, sys.argv[0], "--job", given],
        env=os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def run_here(program: Callable[[], None], command: Sequence[str]) -> None:
    """Run a command of `uhrt` in this process; it must end well.

    Args:
        program: `uhrtranslate.cli.main`, which the caller imports when it wants to.
        command: arguments.
    """
    sys.argv = ["uhrt", *command]
    try:
        program()
    except SystemExit as end:
        if end.code:
            raise


def cpu_seconds() -> float:
    """CPU time of this process so far, imports included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_bytes() -> int:
    """Peak resident memory of this process."""
    # Linux counts ru_maxrss in kB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@contextmanager
def timed() -> Iterator[Row]:
    """A row that has the seconds of the block, as wall_s and cpu_s, once it ends."""
    row: Row = {}
    wall, cpu = time.perf_counter(), time.process_time()
    yield row
    row |= {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def turns(ways: Mapping[Way, Callable[[], Row]], repeat: int) -> dict[Way, list[Row]]:
    """The rows of each way, run in turns, so that a busy machine hits all alike."""
    rows: dict[Way, list[Row]] = {name: [] for name in ways}
    for _ in range(repeat):
        for name, way in ways.items():
            rows[name].append(way())
    return rows


def medians(rows: list[Row]) -> Row:
    """The median of each figure."""
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def table(rows: Mapping[str, Row], width: int, columns: Sequence[tuple[str, str, str]]) -> None:
    """Print a table.

    Args:
        rows: by name; a figure that a row lacks is left blank.
        width: of the names.
        columns: title, key in the rows and format of each, as "8.2f".
    """
    wide = {form: int(form.split(".")[0].strip("d>")) for _, _, form in columns}
    print(" " * width + "".join(f"{title:>{wide[form]}}" for title, _, form in columns))
    for name, row in rows.items():
        cells = (f"{row[k]:{form}}" if k in row else " " * wide[form] for _, k, form in columns)
        print((f"{name:{width}}" + "".join(cells)).rstrip())
