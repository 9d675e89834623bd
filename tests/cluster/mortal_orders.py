"""Orders for tests: some kill the worker that carries them out. Workers import this by its name."""

import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from distributed import get_worker

from uhrtranslate.errors import InputError
from uhrtranslate.runs.events import Advanced


def heard():
    """Ports that this process listens at, and for whom."""
    listening = psutil.Process().net_connections("inet")
    return {one.laddr.port: one.laddr.ip for one in listening if one.status == "LISTEN"}


@dataclass(frozen=True)
class Plain:
    """Says who has carried it out, after some time; leaves a line in a file for each beginning."""

    name: str
    folder: Path
    seconds: float = 0.0
    again: bool = False

    def repeated(self):
        return replace(self, again=True)

    def carry_out(self, tell):
        with (self.folder / self.name).open("a") as file:
            file.write(f"{os.getpid()}\n")
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            tell(Advanced(self.name, 1))
            time.sleep(0.05)
        return self.name, self.again


class Poison(Plain):
    """Kills every worker that meets it."""

    def carry_out(self, tell):
        super().carry_out(tell)
        os.kill(os.getpid(), signal.SIGKILL)


class Once(Plain):
    """Kills the first worker that meets it."""

    def carry_out(self, tell):
        answer = super().carry_out(tell)
        if not self.again:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


class Leaves(Plain):
    """The first worker that has it leaves, as at the end of its `--lifetime`."""

    def carry_out(self, tell):
        if self.again:
            return super().carry_out(tell)
        worker = get_worker()
        worker.loop.add_callback(worker.close_gracefully, reason="worker-lifetime-reached")
        while True:
            tell(Advanced(self.name, 1))
            time.sleep(0.05)


class Wrong(Plain):
    """Cannot be carried out by anybody."""

    def carry_out(self, tell):
        raise InputError(f"{self.name}: is damaged.")


class Endless(Plain):
    """Goes on until nobody wants it any more, and says so."""

    def carry_out(self, tell):
        try:
            while True:
                tell(Advanced(self.name, 1))
                (self.folder / f"{self.name}.runs").touch()
                time.sleep(0.05)
        finally:
            (self.folder / f"{self.name}.ended").touch()
