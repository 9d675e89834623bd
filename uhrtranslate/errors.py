"""Everything that `uhrt` raises on purpose.

UhrError
├── InputError        an input that is missing, broken, or does not hold what was asked of it
├── CheckpointError   weights that are no generator, or not the one that was asked for
├── OptionError       options that are wrong by themselves or do not fit each other (exit code 2)
├── OutputError       an output that exists already, or cannot be written
├── TrainingError     a training that cannot go on
└── MissingExtraError an optional package that is not installed

Messages are one sentence: which file or option, what is wrong with it, what to do.
"""

import importlib
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


class UhrError(Exception):
    """Base of all errors that `uhrt` raises on purpose; its text is fit for a user.

    Args:
        sentence: what is wrong with what, and the remedy. It may quote a damaged file, so line
            breaks become spaces, and what else would move a terminal's cursor becomes `?`.
    """

    def __init__(self, sentence: str = "") -> None:
        line = " ".join(sentence.split())
        super().__init__("".join(c if c.isprintable() else "?" for c in line))


class InputError(UhrError):
    """An input is missing, unreadable, or does not hold what was asked of it."""


class CheckpointError(UhrError):
    """A checkpoint cannot be used as a generator."""


class OptionError(UhrError):
    """Options are wrong by themselves or do not fit each other."""


class OutputError(UhrError):
    """An output exists already or cannot be written."""


class TrainingError(UhrError):
    """A training cannot go on, as when a loss is no number."""


class MissingExtraError(UhrError):
    """An optional package is needed and not installed."""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional module, or say which extra brings it.

    Args:
        module: the module's import name.
        extra: the extra of `uhrtranslate` that installs it.

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
    """Collect what libraries warn of instead of showing it; one block at a time.

    Warnings are global, so those of other threads are collected, too.
    """
    with _warnings_lock, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught
