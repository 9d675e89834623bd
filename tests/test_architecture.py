"""Who may import whom: arrows of import point down."""

import ast
from pathlib import Path

import pytest

import uhrtranslate

PACKAGE = Path(uhrtranslate.__file__).parent
# A row may import the rows below it and its own folder; `__init__` and `__main__` stand above all.
ROWS = [
    {"cli"},
    {"tasks"},
    {"engine", "extractors", "training"},
    {
        "normalizers",
        "models",
        "io",
        "tissue",
        "metrics",
        "stain",
        "enhance",
        "report",
    },
    {"geometry", "options"},
    {"errors"},
]
ROW = {name: i for i, names in enumerate(ROWS) for name in names}
FORBIDDEN = {
    "stain": {"PIL", "tifffile", "openslide", "typer", "rich"},
    "enhance": {"torch", "PIL", "tifffile", "openslide", "typer", "rich"},
    "metrics": {"torch", "PIL", "tifffile", "openslide", "typer", "rich"},
    "extractors": {"PIL", "tifffile", "openslide", "typer", "rich"},
    "io": {"torch", "typer", "rich"},
    "geometry": {"torch", "typer", "rich", "PIL", "tifffile"},
    "tissue": {"torch", "PIL", "tifffile", "openslide", "typer", "rich"},
    "normalizers": {"PIL", "tifffile", "openslide", "typer", "rich"},
    "tasks": {"typer", "rich"},
    "engine": {"typer", "rich"},
    "training": {"typer", "rich", "openslide", "tifffile"},
    "models": {"typer", "rich"},
    "options": {"torch", "typer", "rich"},
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module


MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.stem in ROW)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_arrows_point_down(path):
    home = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for name in imports(path):
        top, _, rest = name.partition(".")
        assert top not in FORBIDDEN.get(home, set()), f"{home} must not know {top}"
        if top == "uhrtranslate" and rest:
            other = rest.split(".")[0]
            assert other == home or ROW[other] > ROW[home], f"{home} imports {other}"


def test_only_the_command_line_prints():
    for path in MODULES:
        if path.relative_to(PACKAGE).parts[0] != "cli":
            calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
            assert not any(getattr(call.func, "id", "") == "print" for call in calls), path


def test_public_names_are_there_and_sorted():
    assert uhrtranslate.__all__ == sorted(uhrtranslate.__all__, key=lambda n: (n.islower(), n))
    for name in uhrtranslate.__all__:
        assert getattr(uhrtranslate, name) is not None
    with pytest.raises(AttributeError):
        uhrtranslate.nothing  # noqa: B018
