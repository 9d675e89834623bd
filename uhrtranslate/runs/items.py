"""The inputs of a run, with the options and the output of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uhrtranslate.io import Found, Missing
from uhrtranslate.options import ImageOptions


@dataclass(frozen=True)
class Item:
    """One input of a run.

    Attributes:
        input: what was found, or what is missing.
        output: of this input, if the user named one; None if it follows from the run's output. A
            relative one lies below the run's output folder.
        base: what a relative output lies below if the run has no output folder.
        options: of this input alone, from its row in a manifest.
    """

    input: Found | Missing
    output: Path | None = None
    options: Mapping[str, Any] | None = None
    base: Path = Path()

    def target(self, output: Path | None) -> Path | None:
        """Its output, if the user named one.

        Args:
            output: the run's, if that is a folder.
        """
        return None if self.output is None else (output or self.base) / self.output

    @property
    def name(self) -> str:
        """The input as text."""
        return self.input.name if isinstance(self.input, Found) else self.input.item


@dataclass(frozen=True)
class Task:
    """An item, its options, and its output (None if the input is missing)."""

    item: Item
    options: ImageOptions
    target: Path | None
