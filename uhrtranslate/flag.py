"""How the command line presents an option; kept with the option, and independent of typer."""

from dataclasses import dataclass

# Headings of the help, in their order.
METHOD, GEOMETRY, IMAGE, MACHINE = "Method", "Geometry", "Image", "Machine and output"


@dataclass(frozen=True)
class Flag:
    """How the command line presents an option.

    Attributes:
        help: one or two sentences; the option's documentation.
        panel: heading in the help.
        metavar: stands for the value; None for the one of the option's type.
        default: shown instead of the field's default if that says nothing.
        short: another name, such as `-m`.
    """

    help: str
    panel: str = METHOD
    metavar: str | None = None
    default: str | None = None
    short: str | None = None
