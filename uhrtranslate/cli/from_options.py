"""Flags made from options: each option is declared once, as a field of an options class."""

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from uhrtranslate.flag import CLUSTER, GEOMETRY, IMAGE, MACHINE, METHOD, Flag

PANELS = (METHOD, GEOMETRY, IMAGE, MACHINE, CLUSTER)

Given = dict[str, Any]
"""Options that the user gave, by name."""


def takes(
    kind: type[BaseModel], leave_out: Collection[str] = (), shown: Mapping[str, str] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command a flag for each option of a class.

    The command's first parameter receives the options that the user gave, as `Given`, before
    validation. All flags default to None, "not given", so that a configuration file can fill them
    in; the help shows the defaults of the class.

    Args:
        kind: the options.
        leave_out: names of options that the command does not have.
        shown: defaults of this command that differ from those of the class, by name.
    """
    names = [name for name in _in_order(kind) if name not in leave_out]
    flags = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=_annotation(name, kind.model_fields[name], (shown or {}).get(name)),
        )
        for name in names
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**arguments: Any) -> None:
            given = {name: arguments.pop(name) for name in names}
            command({n: value for n, value in given.items() if value is not None}, **arguments)

        _, *own = inspect.signature(command).parameters.values()
        run.__signature__ = inspect.Signature([*own, *flags])  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in (*own, *flags)}
        return run

    return decorate


def _in_order(kind: type[BaseModel]) -> list[str]:
    """Names of options by panel; in each panel, the class's own before inherited ones."""
    inherited = {name for base in kind.__bases__ for name in getattr(base, "model_fields", ())}

    def place(name: str) -> tuple[int, bool]:
        panel = _flag(kind.model_fields[name]).panel
        return PANELS.index(panel) if panel in PANELS else len(PANELS), name in inherited

    return sorted(kind.model_fields, key=place)


def _annotation(name: str, field: FieldInfo, shown: str | None) -> Any:
    """The annotation from which typer makes a flag."""
    flag = _flag(field)
    switch = flag.switch or f"--{name.replace('_', '-')}"
    default: str | bool | None = shown or flag.default
    undecided = field.annotation == bool | None
    parsed = bool if undecided else _parsed_as(field.annotation, field.metadata)
    if field.default is True or undecided:
        default = default or name
        switch = f"{switch}/--no-{switch[2:]}"
    elif default is None:
        nothing = field.default is None or field.default is False
        default = False if nothing else str(field.default)
    option = typer.Option(
        *([switch, flag.short] if flag.short else [switch]),
        help=flag.help,
        metavar=flag.metavar,
        show_default=default,
        rich_help_panel=flag.panel,
    )
    return Annotated[parsed | None, option]


def _flag(field: FieldInfo) -> Flag:
    return next(one for one in field.metadata if isinstance(one, Flag))


def _parsed_as(annotation: Any, metadata: Collection[Any] = ()) -> Any:
    """The type that typer parses; text if the class parses text itself."""
    if any(isinstance(one, BeforeValidator) for one in metadata):
        return str
    if get_origin(annotation) is Annotated:
        return _parsed_as(annotation.__origin__, annotation.__metadata__)
    if get_origin(annotation) in (Union, UnionType):
        return _parsed_as(*(part for part in get_args(annotation) if part is not NoneType))
    if get_origin(annotation) is Literal and not isinstance(get_args(annotation)[0], str):
        return type(get_args(annotation)[0])
    return annotation
