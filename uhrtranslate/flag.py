"""How the help presents an option, and how its text is parsed."""

import math
from dataclasses import dataclass

# Headings of the help, in their order.
METHOD, GEOMETRY, IMAGE, MACHINE = "Method", "Geometry", "Image", "Machine and output"
CLUSTER = "Cluster"


@dataclass(frozen=True)
class Flag:
    """How the command line presents an option.

    Attributes:
        help: one or two sentences; the option's documentation.
        panel: heading in the help.
        metavar: stands for the value; None for the one of the option's type.
        default: shown instead of the field's default if that says nothing.
        short: another name, such as `-m`.
        switch: in place of the option's own name, such as `--class`, a word of Python's.
    """

    help: str
    panel: str = METHOD
    metavar: str | None = None
    default: str | None = None
    short: str | None = None
    switch: str | None = None


def parse_region(value: object) -> object:
    """`"X,Y,W,H"` as four integers; anything else is left to the validation."""
    if isinstance(value, str):
        try:
            return tuple(int(part) for part in value.split(","))
        except ValueError:
            raise ValueError("must be four whole numbers X,Y,W,H in level-0 pixels") from None
    return value


def parse_size(value: object) -> object:
    """`"WxH"` as two integers; anything else is left to the validation."""
    if isinstance(value, str):
        try:
            width, height = (int(part) for part in value.lower().split("x"))
        except ValueError:
            raise ValueError("must be width and height in px, as 2048x2048") from None
        return width, height
    return value


def parse_auto(value: object) -> object:
    """`"auto"` as None, text as a number."""
    if isinstance(value, str):
        return None if value == "auto" else int(value) if value.isdigit() else value
    return value


def parse_choice(value: object) -> object:
    """`"auto"` as None; anything else is left to the validation."""
    return None if value == "auto" else value


def parse_bandwidth(value: object) -> object:
    """A number of cells, micrometres (`200um`), `inf` or `auto`, as text in its shortest form."""
    text = str(value).strip().lower()
    if text == "auto":
        return text
    unit = "um" if text.endswith("um") else ""
    try:
        number = float(text.removesuffix("um"))
    except ValueError:
        number = math.nan
    if isinstance(value, bool) or not number > 0 or (unit and math.isinf(number)):
        raise ValueError("must be a number of cells, as 2, micrometres, as 500um, inf or auto")
    return f"{number:g}{unit}"


def parse_shares(value: object) -> object:
    """`"70,15,15"` as numbers; anything else is left to the validation."""
    if isinstance(value, str):
        try:
            return tuple(float(part) for part in value.split(","))
        except ValueError:
            raise ValueError("must be three numbers, as 70,15,15") from None
    return value
