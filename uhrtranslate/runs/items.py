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
        output: as the user named it for this input alone; None: by the run's.
        options: that this input has of its own, as a row of a manifest gives them.
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
    """An item with all that is needed to work on it."""

    item: Item
    options: ImageOptions
    target: Path | None
