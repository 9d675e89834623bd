"""Everything that `uhrt` raises on purpose.

UhrError
├── InputError        an input is missing, damaged, or lacks what was asked for
├── CheckpointError   weights are not a generator, or not the one that was asked for
├── OptionError       options are wrong or do not fit each other (exit code 2)
├── OutputError       an output exists already or cannot be written
├── TrainingError     a training cannot continue
├── ClusterError      a cluster cannot be reached, or has gone
└── MissingExtraError an optional package is not installed

A message is one sentence: which file or option, what is wrong with it, what to do.
"""

import importlib
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


class UhrError(Exception):
    """Base of all errors that `uhrt` raises on purpose; its text is meant for users.

    Args:
        sentence: what is wrong with what, and the remedy. As it may quote a damaged file, line
            breaks become spaces, and other control characters become `?`.
    """

    def __init__(self, sentence: str = "") -> None:
        line = " ".join(sentence.split())
        super().__init__("".join(c if c.isprintable() else "?" for c in line))


class InputError(UhrError):
    """An input is missing, unreadable, or lacks what was asked for."""


class CheckpointError(UhrError):
    """A checkpoint cannot be used as a generator."""


class OptionError(UhrError):
    """Options are wrong or do not fit each other."""


class OutputError(UhrError):
    """An output exists already or cannot be written."""


class TrainingError(UhrError):
    """A training cannot continue, for example because a loss is not a number."""


class ClusterError(UhrError):
    """A cluster cannot be reached, or has gone."""


class MissingExtraError(UhrError):
    """An optional package is needed but not installed."""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional module, which an extra of `uhrtranslate` installs.

    Raises:
        MissingExtraError: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{module} is not installed; run: pip install 'uhrtranslate[{extra}]'"
        ) from error


_warnings_lock = threading.Lock()


@contextmanager
def warnings_kept() -> Iterator[list[warnings.WarningMessage]]:
    """Collect the warnings of libraries instead of showing them; one block at a time.

    Warnings are global, so those of other threads are collected too.
    """
    with _warnings_lock, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught
