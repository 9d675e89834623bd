"""What the command line says about an option; kept beside the option, and known to no library."""

from dataclasses import dataclass

# Under which headings the help lists options, in this order.
METHOD, GEOMETRY, IMAGE, MACHINE = "Method", "Geometry", "Image", "Machine and output"


@dataclass(frozen=True)
class Flag:
    """What the command line says about an option.

    Attributes:
        help: one or two sentences; the option's documentation.
        panel: heading in the help.
        metavar: stands for the value; None: by the option's type.
        default: what is shown where the field's default would say nothing.
        short: another name, such as `-m`.
    """

    help: str
    panel: str = METHOD
    metavar: str | None = None
    default: str | None = None
    short: str | None = None
