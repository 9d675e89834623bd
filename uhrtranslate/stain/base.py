"""What a stain normalizer is: a fit of each slide's colours, and a map from one fit to another."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from uhrtranslate.errors import InputError
from uhrtranslate.pixels import GLASS

Colours = NDArray[np.uint8]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

VERSION = 1


class Fit(BaseModel):
    """What a method knows of a slide; fit for JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def stains(self) -> Doubles:
        """Directions of optical density that pictures of the fit draw, [k, 3]; none by default."""
        return np.empty((0, 3))

    def facts(self) -> dict[str, float]:
        """Its numbers by name, for tables."""
        return {}

    def distance(self, other: "Fit") -> float:
        """How far the colours of another slide are from these; 0 for the same."""
        mine, theirs = self.facts(), other.facts()
        return float(np.sqrt(np.mean([(mine[name] - theirs[name]) ** 2 for name in mine])))


F = TypeVar("F", bound=Fit)


class StainMethod(Generic[F]):
    """A way to normalize stains; each member of `tables.STAIN_METHODS` is one.

    Attributes:
        name: its name in that table.
        fit_type: what `fit` gives.
        keeps_glass: whether bare glass is to stay as it is; see `colour_map`.
    """

    name: ClassVar[str]
    fit_type: ClassVar[type[Fit]]
    keeps_glass: ClassVar[bool] = True

    def fit(self, colours: Colours) -> F:
        """Learn a slide's colours.

        Args:
            colours: of tissue pixels, [n, 3] uint8.

        Raises:
            InputError: there are too few pixels to learn from.
        """
        raise NotImplementedError

    def transform(self, colours: Colours, source: F, target: F) -> Colours:
        """Map colours of a slide to those of another, [n, 3] uint8 each."""
        raise NotImplementedError


def colour_map(method: StainMethod[F], source: F, target: F) -> Callable[[Colours], Colours]:
    """A map from colours [n, 3] uint8 of a slide to those of another; glass stays glass."""

    def mapped(colours: Colours) -> Colours:
        result = method.transform(colours, source, target)
        if not method.keeps_glass:
            return result
        return rounded(protect_white(colours, result.astype(np.float32)))

    return mapped


def dump_fit(method: StainMethod[F], fit: F) -> dict[str, Any]:
    """A fit as what JSON can hold."""
    return {"version": VERSION, "method": method.name, "fit": fit.model_dump(mode="json")}


def load_fit(content: Any, method: StainMethod[Any]) -> Fit:
    """A fit from `dump_fit`.

    Raises:
        InputError: it is damaged, or of another method; the message names no file.
    """
    if not isinstance(content, dict) or content.get("version") != VERSION or "fit" not in content:
        raise InputError("is no saved fit of this version; make it again with --save-fit")
    if content.get("method") != method.name:
        raise InputError(
            f"is a fit of {content.get('method')}, not of {method.name}; choose that --method"
        )
    try:
        return method.fit_type.model_validate(content["fit"])
    except ValidationError as error:
        raise InputError(
            f"is a damaged fit ({error.errors()[0]['msg']}); make it again with --save-fit"
        ) from error


def pooled(samples: Sequence[Colours]) -> Colours:
    """Colours of several images as one, each with the same weight, [n, 3] uint8."""
    fewest = min(len(sample) for sample in samples)
    parts = [sample[:: max(len(sample) // max(fewest, 1), 1)][:fewest] for sample in samples]
    return np.concatenate(parts)


def protect_white(colours: NDArray[Any], mapped: Floats) -> Floats:
    """Keep bare glass as it is, and change pixels that are nearly glass only in part.

    Args:
        colours: [n, 3] in 0..255, before.
        mapped: [n, 3] in 0..255, after.
    """
    low, high = GLASS
    glass = ((colours.min(axis=1).astype(np.float32) - low) / (high - low)).clip(0, 1)[:, None]
    glass = glass * glass * (3 - 2 * glass)
    kept: Floats = mapped + (colours - mapped) * glass
    return kept


def rounded(values: NDArray[Any]) -> Colours:
    """[n, 3] in any range as uint8, half up."""
    return (values + 0.5).clip(0, 255).astype(np.uint8)


def enough(colours: Colours, least: int = 100) -> Colours:
    """The colours, if there are at least so many.

    Raises:
        InputError: there are fewer.
    """
    if len(colours) < least:
        raise InputError(f"has only {len(colours)} pixels of tissue, and {least} are needed")
    return colours
