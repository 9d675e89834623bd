"""From values of a command line, a YAML file or a manifest to options, or to one clear sentence."""

import difflib
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from uhrtranslate.errors import OptionError
from uhrtranslate.options.habits import meant
from uhrtranslate.options.images import TranslateOptions

Options = TypeVar("Options", bound=BaseModel)


def make_options(values: dict[str, Any]) -> TranslateOptions:
    """Validate the options of a translation; see `validated`."""
    return validated(TranslateOptions, values)


def validated(kind: type[Options], values: dict[str, Any]) -> Options:
    """Make options of a class from values by name.

    Raises:
        OptionError: an option is wrong; names the first one and what it may be.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            raise OptionError(unknown_option(str(first["loc"][0]), kind.model_fields)) from error
        name = ".".join(str(part) for part in first["loc"][:1]) or "options"
        # Of an option that may be one thing or another, there is an error for each.
        same = [one["msg"] for one in error.errors() if one["loc"][:1] == first["loc"][:1]]
        others = [text.removeprefix("Input should be ") for text in same[1:] if first["loc"]]
        message = " or ".join([same[0].removeprefix("Value error, "), *others])
        shown = f" (got {first['input']!r})" if first["loc"] else ""
        raise OptionError(f"{name}: {message[:1].lower()}{message[1:]}{shown}.") from error


def unknown_option(name: str, offered: Collection[str], place: str = "") -> str:
    """One sentence about a name that is no option, with those that it may stand for.

    Args:
        name: as written.
        offered: names of the options that there are.
        place: what stands before the names, such as `data.`.
    """
    same = meant(name, offered)
    near = difflib.get_close_matches(name, list(offered), 1)
    if same:
        told = f"; {' or '.join(same)} means that here"
    elif near:
        told = f"; {place}{near[0]} is near"
    else:
        told = f"; there are {', '.join(offered)}"
    return f"{place}{name}: there is no such option{told}."


def read_config(path: Path) -> dict[str, Any]:
    """Read options from a YAML file, a mapping whose keys may be written with - or _.

    Raises:
        OptionError: the file cannot be read or is not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise OptionError(f"{path}: cannot be read as YAML ({reason}).") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise OptionError(f"{path}: must be a mapping of options, as 'norm: dn'.")
    return {str(key).replace("-", "_"): value for key, value in content.items()}
