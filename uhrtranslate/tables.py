"""All that there are several of, by name: a new one is a file of its own and one line here.

Members are named as `room.file:name` and imported when they are asked for, so that the command line
knows every name without loading torch.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar

Member = TypeVar("Member")


class Table(Mapping[str, Member], Generic[Member]):
    """Members of one kind by the names that users give them.

    Args:
        places: where each member is: its file inside the package, a colon, its name in the file.
    """

    def __init__(self, places: dict[str, str]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> Member:
        file, _, attribute = self._places[name].partition(":")
        member: Member = getattr(import_module(f"uhrtranslate.{file}"), attribute)
        return member

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


# From a table of statistics to a field: `--norm`.
NORMALIZERS: Table[Any] = Table(
    {
        "dn": "normalizers.dn:DN",
        "kin": "normalizers.kin:KIN",
        "tin": "normalizers.tin:TIN",
        "in": "normalizers.patch_in:PatchIN",
    }
)
# From the colours of one slide to those of another: `uhrt stain-normalize --method`.
STAIN_METHODS: Table[Any] = Table(
    {
        "macenko": "stain.macenko:Macenko",
        "vahadane": "stain.vahadane:Vahadane",
        "reinhard": "stain.reinhard:Reinhard",
        "reinhard-plain": "stain.reinhard:ReinhardPlain",
        "histogram": "stain.histogram:Histogram",
    }
)
# What names of results end with, before the format's ending, where no member of a table gave it.
STAINNET, ENHANCED, SYNTHESIZED = "stainnet", "enhanced", "dark"
RESULT_SUFFIXES = (*NORMALIZERS, *STAIN_METHODS, STAINNET, ENHANCED, SYNTHESIZED)
