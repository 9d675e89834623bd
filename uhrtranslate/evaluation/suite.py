"""A benchmark as people write it: methods, slides and seeds in a YAML file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from uhrtranslate.errors import OptionError
from uhrtranslate.evaluation.options import EvaluateOptions
from uhrtranslate.options import read_config, validated

SEED = "{seed}"
_STRICT = ConfigDict(frozen=True, extra="forbid")


class Method(BaseModel):
    """How one method makes its results; one of the three.

    Attributes:
        translate: options of `uhrt translate`, such as norm and model.
        stain: options of `uhrt stain-normalize`, and its target.
        folder: of results that another tool made, named like the slides; or of the slides
            themselves, as a yardstick.
    """

    model_config = _STRICT

    translate: dict[str, Any] | None = None
    stain: dict[str, Any] | None = None
    folder: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(one is not None for one in (self.translate, self.stain, self.folder)) != 1:
            raise ValueError("a method has one of translate, stain and folder")
        return self


class Suite(BaseModel):
    """What a benchmark compares.

    Attributes:
        slides: files, folders or patterns.
        methods: by name.
        seeds: of crops and of evaluations; `{seed}` in a path stands for one.
        crop: side in px of a square that each seed draws in each slide, the same for all methods;
            None for whole slides.
        evaluate: options of `uhrt evaluate`; the source is the slide.
        baseline: the method that others are compared with on the page; the first one if not given.
        base: the folder that paths are relative to.
    """

    model_config = _STRICT

    slides: Annotated[list[str], Field(min_length=1)]
    methods: Annotated[dict[str, Method], Field(min_length=1)]
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1)] = [0]
    crop: Annotated[int, Field(ge=64, le=65536)] | None = None
    evaluate: dict[str, Any] = {}
    baseline: str | None = None
    base: Path = Path()

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.baseline is not None and self.baseline not in self.methods:
            raise ValueError(f"the baseline {self.baseline} is none of the methods")
        for name in self.methods:
            if not name or Path(name).name != name or name.startswith("."):
                raise ValueError(f"{name!r} is no name for a method, as it names a folder")
        for name in ("source", "seed", "region"):
            if name in self.evaluate:
                raise ValueError(f"evaluate: {name} follows from slides, seeds and crop")
        return self

    @property
    def against(self) -> str:
        """The baseline's name."""
        return self.baseline or next(iter(self.methods))


def read_suite(path: Path) -> Suite:
    """Read a suite.

    Raises:
        OptionError: it cannot be read, or says what cannot be done.
    """
    try:
        suite = validated(Suite, {**read_config(path), "base": path.parent.absolute()})
        evaluation_options(suite, suite.seeds[0])
    except OptionError as error:
        text = str(error)
        raise OptionError(text if str(path) in text else f"{path}: {text}") from None
    return suite


def placed(value: Any, base: Path, seed: int) -> Any:
    """A value of a suite for one seed; text that names a file beside the suite is its path."""
    if isinstance(value, Mapping):
        return {key.replace("-", "_"): placed(one, base, seed) for key, one in value.items()}
    if isinstance(value, list):
        return [placed(one, base, seed) for one in value]
    if not isinstance(value, str):
        return value
    text = value.replace(SEED, str(seed))
    return str(base / text) if (base / text).exists() else text


def evaluation_options(suite: Suite, seed: int, **more: Any) -> EvaluateOptions:
    """How results are evaluated for a seed.

    Raises:
        OptionError: an option is wrong.
    """
    given = placed(suite.evaluate, suite.base, seed)
    needs_source = {name: "-" for name in ("source",) if name not in more}
    return validated(EvaluateOptions, {**given, "seed": seed, **needs_source, **more})
