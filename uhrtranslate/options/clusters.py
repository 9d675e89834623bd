"""Where work is done if not on this machine alone: options of all commands that go over slides."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from uhrtranslate.flag import CLUSTER, Flag, parse_auto

_ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:.]+\]|[^/:\s]+):(\d+)")
_KINDS = "local:N, scheduler-file:PATH, tls://HOST:PORT or slurm:CONFIG.yaml"


@dataclass(frozen=True)
class Place:
    """A cluster as the user names it.

    Attributes:
        kind: `local` (workers on this machine), `file` (a scheduler's file), `address` (of a
            scheduler), or `slurm` (workers are jobs).
        where: path or address; empty for workers on this machine.
        workers: their number, on this machine.
    """

    kind: Literal["local", "file", "address", "slurm"]
    where: str = ""
    workers: int = 0


def place_of(text: str) -> Place:
    """What the text of `--cluster` means.

    Raises:
        ValueError: nothing.
    """
    kind, _, rest = text.partition(":")
    if kind == "local" and rest.isascii() and rest.isdigit() and 1 <= int(rest) <= 256:
        return Place("local", workers=int(rest))
    if kind == "scheduler-file" and rest:
        return Place("file", rest)
    if kind == "slurm" and rest:
        return Place("slurm", rest)
    if _ADDRESS.fullmatch(text):
        return Place("address", text)
    raise ValueError(f"must be {_KINDS}")


def is_private(address: str) -> bool:
    """Whether what is sent to a scheduler's address is encrypted or never leaves this machine."""
    found = _ADDRESS.fullmatch(address)
    if found is None or found[1] == "tls":
        return found is not None
    host = found[2].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _checked(text: str) -> str:
    place_of(text)
    return text


Cluster = Annotated[
    Annotated[str, AfterValidator(_checked)] | None,
    Flag(
        "Have the work done by a Dask cluster: workers on this machine (local:N), those of a "
        "scheduler (scheduler-file:PATH, tls://HOST:PORT), or jobs (slurm:CONFIG.yaml).",
        CLUSTER,
        "WHERE",
        "this process",
    ),
]
WithoutTls = Annotated[
    bool,
    Flag(
        "Accept a scheduler that encrypts nothing and knows no passwords: whoever reaches its port "
        "can run programs as you.",
        CLUSTER,
    ),
]
Split = Annotated[
    Annotated[int, Field(ge=0, le=100_000)] | None,
    BeforeValidator(parse_auto),
    Flag(
        "Rows of cells that are one piece of work, so that several workers share a slide; 0: a "
        "slide is one piece. auto: slides of more than a gigapixel are shared, and of more than 8 "
        "megapixels if fewer slides are left than workers.",
        CLUSTER,
        "N|auto",
        "auto",
    ),
]
