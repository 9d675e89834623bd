"""Conditions on figures, for pipelines: `seam_ratio>1.02`."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from uhrtranslate.errors import OptionError

_FORM = re.compile(
    r"\s*([A-Za-z][\w.]*)\s*(<=|>=|==|<|>)\s*([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*"
)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}


@dataclass(frozen=True)
class Condition:
    """A figure compared with a number.

    Attributes:
        text: as the user wrote it.
        name: of the figure, `seam.ratio` or `seam_ratio`.
        sign: <, <=, ==, >= or >.
        limit: the number.
    """

    text: str
    name: str
    sign: str
    limit: float


def parse_condition(text: str) -> Condition:
    """Parse a condition.

    Raises:
        OptionError: the text is not a condition.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise OptionError(
            f"fail-if: {text!r} is no condition; write a figure, <, <=, ==, >= or >, and a number, "
            'as "seam_ratio>1.02".'
        )
    name, sign, limit = found.groups()
    return Condition(text.strip(), name, sign, float(limit))


def holds(condition: Condition, figures: Mapping[str, Any]) -> bool | None:
    """Whether a condition holds, given figures by full name (`seam.ratio`); None if not measured.

    Seams that were looked for in vain (no grid found) are measured: no condition on them holds.

    Raises:
        OptionError: there is no such figure.
    """
    names = {name.replace(".", "_"): name for name in figures}
    name = names.get(condition.name.replace(".", "_"))
    if name is None:
        raise OptionError(
            f"fail-if: {condition.name} was not measured; there are {', '.join(sorted(names))}."
        )
    value = figures[name]
    if not isinstance(value, int | float):
        in_vain = (
            name.startswith(("seam.", "tiles.")) and figures.get("seam.verdict") == "no grid found"
        )
        return False if in_vain else None
    return _COMPARE[condition.sign](value, condition.limit)
