"""Feeds damaged files to a process that may die of them, and keeps account."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fuzzing.mutations import mutated

VICTIM = Path(__file__).with_name("victim.py")
JOBS = {"image": "image by all", "checkpoint": "checkpoint"}


@dataclass
class Account:
    """What became of the files.

    Attributes:
        outcomes: how many were read, refused, or failed.
        failures: name of the file that was damaged, number of the damage, what happened.
        contained: name and number of those at which OpenSlide ended the process that tries.
        slowest: seconds of work.
        largest: bytes of memory beyond what the process had.
    """

    outcomes: Counter = field(default_factory=Counter)
    failures: list = field(default_factory=list)
    contained: list = field(default_factory=list)
    slowest: float = 0.0
    largest: int = 0

    def __add__(self, other):
        return Account(
            self.outcomes + other.outcomes,
            self.failures + other.failures,
            self.contained + other.contained,
            max(self.slowest, other.slowest),
            max(self.largest, other.largest),
        )


class Victim:
    """A process that may die of what it is asked; a new one then takes its place."""

    def __init__(self):
        self.process = None

    def ask(self, job):
        """Its answer, or how it died of the job."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, VICTIM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        code = self.process.wait()
        self.close()
        return {"outcome": "FAILED", "detail": death(code), "seconds": 0, "bytes": 0}

    def close(self):
        if self.process is not None:
            for pipe in (self.process.stdin, self.process.stdout):
                with suppress(BrokenPipeError):
                    pipe.close()
            self.process.wait(30)
            self.process = None


def death(code):
    """In words: signals are negative codes."""
    if code in (-signal.SIGPROF, -signal.SIGALRM):
        return "it hung, and was ended"
    return f"the process died, exit code {code}"


def hunt(kind, files, folder, cases, keep=None):
    """Open damaged copies of files.

    Args:
        kind: image or checkpoint.
        files: to be damaged; of a folder, one of its files is, another one with each case.
        folder: for the damaged ones.
        cases: numbers of the damages done to each file.
        keep: folder for those that failed.
    """
    account, victim = Account(), Victim()
    try:
        for case, file in itertools.product(cases, files):
            path = folder / f"damaged-{file.name}"
            write_damaged(file, path, case)
            answer = victim.ask({"kind": JOBS[kind], "path": str(path)})
            account.outcomes[answer["outcome"]] += 1
            account.slowest = max(account.slowest, answer["seconds"])
            account.largest = max(account.largest, answer["bytes"])
            if "OpenSlide crashes on it" in answer["detail"]:
                account.contained.append((file.name, case))
            if answer["outcome"] == "FAILED":
                account.failures.append((file.name, case, answer["detail"]))
                if keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    write_damaged(file, keep / f"{case}-{file.name}", case)
            _remove(path)
    finally:
        victim.close()
    return account


def write_damaged(file, path, case):
    """A damaged copy of a file; of a folder, a copy in which one file is damaged."""
    _remove(path)
    if file.is_dir():
        shutil.copytree(file, path)
        parts = sorted(part for part in file.rglob("*") if part.is_file())
        part = parts[case % len(parts)].relative_to(file)
        file, path = file / part, path / part
    path.write_bytes(mutated(file.read_bytes(), file.name, case))


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
