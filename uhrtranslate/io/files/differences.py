"""What an unfinished run was made with otherwise than the one that is to go on with it, in words.

A job holds options and facts by their short names; see `journal.State`.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic.fields import FieldInfo

from uhrtranslate.flag import Flag
from uhrtranslate.options import (
    EnhanceOptions,
    StainOptions,
    SynthesizeOptions,
    TranslateOptions,
    UpscaleOptions,
)

_OPTIONS = (TranslateOptions, StainOptions, EnhanceOptions, SynthesizeOptions, UpscaleOptions)
# Facts that are told by what they have become, as their values say nothing; and what to do.
_CHANGED = {
    "input's size": ("its input has changed since then", "use the old input"),
    "input's time": ("its input has been written again since then", "use the old input"),
    "input's hash": ("its input has changed since then", "use the old input"),
    "model_sha256": ("its model has other weights now", "use the old weights"),
    "mask": ("its mask of tissue is another one now", "use the old mask"),
    "reference_sha256": ("its reference is another one now", "use the old reference"),
    "transform_sha256": ("its transform is another one now", "use the old transform"),
    "layout_hash": ("its layout is another one now", "use the old layout"),
    "pool": ("the histogram of all inputs is another one now", "use the old inputs"),
    "most_unexplained": (
        "the run's other inputs, which say whose stains are doubted, are others now",
        "use the old inputs",
    ),
}
# Facts that are or are not: what to say and to do if it was so and now is not, and otherwise.
_SWITCHED = {
    "compiled": (
        ("it was computed by compiled code, and now would be without it", "add --compile"),
        ("it was computed without compiled code, and now would be by it", "add --no-compile"),
    ),
    "batch_statistics": (
        (
            "its batch norms followed --norm, and now would use their running statistics",
            "add --batch-statistics",
        ),
        (
            "its batch norms used their running statistics, and now would follow --norm",
            "leave out --batch-statistics",
        ),
    ),
    "pooled": (
        ("it followed the histogram of all inputs, and now would follow its own", "add --pool"),
        ("it followed its own histogram, and now would follow that of all inputs", "add --no-pool"),
    ),
}
# Other facts that are no options, where their names are not what one would say.
_CALLED = {
    "uhrt": "version of uhrt",
    "model": "model",  # without its path
    "domains": "pair of domains",
    "inputs": "list of planes that the generator takes",
    "channels": "list of channels",
    "fixed": "slide in whose frame it is",
    "decoding": "way to decode tiles",
    "overview": "size of the overview",
}


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first difference between two jobs, in words, and what to do so that there is none.

    Args:
        before: an unfinished run's job, as JSON returns it.
        now: that of the run that is to go on with it, as JSON returns it.
    """
    # What is made up follows from options, and is told to have changed with them.
    for name in sorted((*now, *before), key=lambda name: name.startswith("input's ")):
        old, new = before.get(name), now.get(name)
        if old != new:
            return _in_words(name, old, new)
    return None


def _in_words(name: str, old: Any, new: Any) -> tuple[str, str]:
    if name in _CHANGED:
        return _CHANGED[name]
    if name in _SWITCHED:
        return _SWITCHED[name][0 if old else 1]
    noun, remedy = _CALLED.get(name, name.replace("_", " ")), "use the old one"
    before, after = _shown(name, old), _shown(name, new)
    if name not in _CALLED and name in _switches():
        noun, deniable = _switches()[name]
        remedy = _remedy(noun, deniable, old, before)
    return f"its {noun} was {before} and is now {after}", remedy


@cache
def _switches() -> dict[str, tuple[str, bool]]:
    """Of each option, how the command line calls it, and whether it can be denied (`--no-...`)."""
    return {
        known: (_switch(name, field), field.default is True or field.annotation == bool | None)
        for kind in _OPTIONS
        for name, field in kind.model_fields.items()
        for known in (name, _switch(name, field)[2:])  # `prompt` is --class
    }


def _switch(name: str, field: FieldInfo) -> str:
    flag = next(one for one in field.metadata if isinstance(one, Flag))
    return flag.switch or f"--{name.replace('_', '-')}"


def _remedy(switch: str, deniable: bool, old: Any, shown: str) -> str:
    if old is False and deniable:
        return f"add --no-{switch[2:]}"
    if old is None or old is False:
        return f"leave out {switch}"
    return f"add {switch}" if old is True else f"add {switch} {shown}"


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ("x" if name == "size" else ",").join(map(str, value))
    text = str(value)
    # Nobody compares 64 digits.
    return f"{text[:12]}..." if re.fullmatch("[0-9a-f]{40,}", text) else text
