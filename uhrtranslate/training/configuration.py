"""From the values of a configuration file to the options of a method, or to one clear sentence."""

from typing import Any, get_args

import yaml
from pydantic import ValidationError

from uhrtranslate.errors import OptionError
from uhrtranslate.options import unknown_option
from uhrtranslate.options.habits import meant
from uhrtranslate.tables import TRAINING_METHODS
from uhrtranslate.training.options import RunOptions, Section


def make_train_options(values: dict[str, Any]) -> RunOptions:
    """Validate the options of a training.

    Args:
        values: by name, as a configuration file holds them; sections are dicts.

    Raises:
        OptionError: names the first wrong option, by its dotted name, and what it may be.
    """
    name = values.get("method")
    if not isinstance(name, str) or name not in TRAINING_METHODS:
        raise OptionError(
            f"method: must be one of {', '.join(TRAINING_METHODS)}"
            + (f", not {name!r}." if name is not None else "; it is missing.")
        )
    kind: type[RunOptions] = TRAINING_METHODS[name].options_class
    try:
        return kind.model_validate(_with_method_defaults(kind, values))
    except ValidationError as error:
        raise OptionError(_sentence(kind, error)) from error


def _with_method_defaults(kind: type[RunOptions], values: dict[str, Any]) -> dict[str, Any]:
    """Fill sections that are given in part with the method's own defaults."""
    filled = dict(values)
    for name, option in kind.model_fields.items():
        if isinstance(option.default, Section) and isinstance(values.get(name), dict):
            filled[name] = {**option.default.model_dump(), **values[name]}
    return filled


def set_option(values: dict[str, Any], assignment: str) -> None:
    """Put `key=value` into nested options, as `data.patch=64`; the value is read as YAML.

    Raises:
        OptionError: it is no assignment, or goes into something that is no section.
    """
    name, equals, text = assignment.partition("=")
    if not equals or not name.strip():
        raise OptionError(f"--set {assignment}: must be KEY=VALUE, as data.patch=256.")
    *sections, last = name.strip().replace("-", "_").split(".")
    place = values
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise OptionError(f"--set {assignment}: {section} is no section with options in it.")
    try:
        place[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise OptionError(f"--set {assignment}: the value cannot be read as YAML.") from error


def _sentence(kind: type[RunOptions], error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"]) or "options"
    if first["type"] == "extra_forbidden":
        return _unknown(kind, first["loc"])
    if first["type"] == "missing":
        return f"{name}: is missing; every training needs it."
    message = first["msg"].removeprefix("Value error, ")
    shown = f" (got {first['input']!r})" if not isinstance(first["input"], dict) else ""
    return f"{name}: {message[:1].lower()}{message[1:]}{shown}."


def _unknown(kind: type[Section], place: tuple[int | str, ...]) -> str:
    name, every = str(place[-1]), option_names(kind)
    if same := meant(name, every):
        written = ".".join(map(str, place))
        return f"{written}: there is no such option; {' or '.join(same)} means that here."
    for section in place[:-1]:  # into the section that the option stands in
        inner = _section(kind.model_fields[str(section)].annotation)
        kind = inner or kind
    return unknown_option(name, kind.model_fields, "".join(f"{one}." for one in place[:-1]))


def option_names(kind: type[Section], before: str = "") -> list[str]:
    """Names of all options, those in sections with dots."""
    found = []
    for name, option in kind.model_fields.items():
        found.append(before + name)
        if inner := _section(option.annotation):
            found += option_names(inner, f"{before}{name}.")
    return found


def _section(annotation: Any) -> type[Section] | None:
    """The section that an option is, if it is one."""
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, Section):
            return one
    return None
