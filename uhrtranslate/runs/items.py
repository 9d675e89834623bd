"""The inputs of a run, and what each is made with."""

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
        output: where its result goes, if the user named that; None: where the run's results go.
        options: those of this input alone, from its row of a manifest.
    """

    input: Found | Missing
    output: Path | None = None
    options: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """The input, for people."""
        return str(self.input.path) if isinstance(self.input, Found) else self.input.item


@dataclass(frozen=True)
class Task:
    """An item, how to work on it, and where its result goes (None: it is missing)."""

    item: Item
    options: ImageOptions
    target: Path | None
