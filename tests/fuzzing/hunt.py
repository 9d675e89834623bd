"""Feeds damaged files to a process that may die of them, and keeps account."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fuzzing.mutations import mutated

VICTIM = Path(__file__).with_name("victim.py")


@dataclass
class Account:
    """What became of the files.

    Attributes:
        outcomes: how many were read, refused, or failed.
        failures: seed, name of the file that was damaged, and what happened, of each failure.
        slowest: seconds.
        largest: bytes of memory beyond what the process had.
    """

    outcomes: Counter = field(default_factory=Counter)
    failures: list = field(default_factory=list)
    slowest: float = 0.0
    largest: int = 0


class Victim:
    """A process that may die of what it is asked; a new one then takes its place."""

    def __init__(self):
        self.process = None

    def ask(self, job):
        """Its answer, or None if the job was its death."""
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
        self.code = self.process.wait()
        self.close()
        return None

    def close(self):
        if self.process is not None:
            for pipe in (self.process.stdin, self.process.stdout):
                with suppress(BrokenPipeError):
                    pipe.close()
            self.process.wait(30)
            self.process = None


def death(code):
    """In words: signals are negative codes."""
    if code == -signal.SIGALRM:
        return "it hung, and was ended after ten seconds"
    return f"the process died, exit code {code}"


def hunt(kind, files, folder, seeds, keep=None):
    """Open damaged copies of files.

    Args:
        kind: image or checkpoint.
        files: to be damaged.
        folder: for the damaged ones.
        seeds: one for each damaged file.
        keep: folder for those that failed.
    """
    files = sorted(files)
    contents = [path.read_bytes() for path in files]
    account, victim = Account(), Victim()
    try:
        for seed in seeds:
            number = seed % len(files)
            path = folder / f"damaged-{files[number].name}"
            path.write_bytes(mutated(contents[number], contents, seed))
            answer = victim.ask({"kind": kind, "path": str(path)}) or {
                "outcome": "FAILED",
                "detail": death(victim.code),
                "seconds": 0,
                "bytes": 0,
            }
            account.outcomes[answer["outcome"]] += 1
            account.slowest = max(account.slowest, answer["seconds"])
            account.largest = max(account.largest, answer["bytes"])
            if answer["outcome"] == "FAILED":
                account.failures.append((seed, files[number].name, answer["detail"]))
                if keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{seed}-{files[number].name}").write_bytes(path.read_bytes())
            path.unlink()
    finally:
        victim.close()
    return account
