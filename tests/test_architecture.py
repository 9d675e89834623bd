"""Who may import whom: arrows of import point down, and never round in a circle."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import uhrtranslate
from uhrtranslate import tables

PACKAGE = Path(uhrtranslate.__file__).parent
# A row may import the rows below it and its own folder; `__init__` and `__main__` stand above all.
ROWS = [
    {"cli"},
    {"tasks"},
    {"cluster"},
    {"runs", "viewer"},
    {"recipes", "evaluation"},
    {"engine", "extractors", "training"},
    {
        "normalizers",
        "models",
        "io",
        "tissue",
        "metrics",
        "stain",
        "enhance",
        "registration",
        "report",
        "diffusion",
    },
    {"geometry", "options"},
    {"errors", "flag", "pixels", "replace", "tables", "threads", "version"},
]
ROW = {name: i for i, names in enumerate(ROWS) for name in names}
FORBIDDEN = {
    "stain": {"PIL", "tifffile", "openslide", "typer", "rich"},
    "enhance": {"torch", "PIL", "tifffile", "openslide", "typer", "rich"},
    "metrics": {"torch", "PIL", "tifffile", "openslide", "typer", "rich"},
    "diffusion": {"PIL", "tifffile", "openslide", "typer", "rich"},
    "registration": {"torch", "PIL", "tifffile", "openslide", "typer", "rich"},
    "extractors": {"PIL", "tifffile", "openslide", "typer", "rich"},
    "io": {"torch", "typer", "rich"},
    "geometry": {"torch", "typer", "rich", "PIL", "tifffile"},
    "tissue": {"torch", "PIL", "tifffile", "openslide", "typer", "rich"},
    "normalizers": {"PIL", "tifffile", "openslide", "typer", "rich"},
    "tasks": {"typer", "rich"},
    "cluster": {"typer", "rich"},
    "runs": {"typer", "rich"},
    "viewer": {"torch", "typer", "rich", "openslide", "tifffile"},
    "recipes": {"typer", "rich", "openslide", "tifffile"},
    "evaluation": {"typer", "rich", "openslide", "tifffile"},
    "engine": {"typer", "rich"},
    "training": {"typer", "rich", "openslide", "tifffile"},
    "models": {"typer", "rich"},
    "options": {"torch", "typer", "rich"},
}
LONGEST = 400  # lines of a file: past them, look for the second subject


def imports(path):
    """Modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            # `from package import module` imports the module.
            names = {f"{node.module}.{name.name}" for name in node.names}
            yield from names & FILES.keys() or {node.module}


def home(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.stem in ROW)
FILES = {module(path): path for path in MODULES}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_arrows_point_down(path):
    for name in imports(path):
        top, _, rest = name.partition(".")
        assert top not in FORBIDDEN.get(home(path), set()), f"{home(path)} must not know {top}"
        if top == "uhrtranslate" and rest:
            other = rest.split(".")[0]
            assert other == home(path) or ROW[other] > ROW[home(path)], f"imports {name}"


def test_no_import_goes_round_in_a_circle():
    graph = {
        name: {other for other in imports(path) if other in FILES and other != name}
        for name, path in FILES.items()
        # An `__init__` collects the names of its room; the room's files do not go through it.
        if path.stem != "__init__"
    }
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_files_of_a_room_do_not_import_the_room_itself():
    for name, path in FILES.items():
        if path.stem != "__init__":
            rooms = {name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)}
            assert not (rooms - {"uhrtranslate"}) & set(imports(path)) - {name}, name


def test_every_room_says_what_it_is_for():
    for folder in {path.parent for path in MODULES}:
        text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
        assert text, folder
        assert len(text.splitlines()[0]) > 20, folder


def test_no_file_has_two_subjects():
    lengths = {path: len(path.read_text().splitlines()) for path in MODULES}
    assert not {name: length for name, length in lengths.items() if length > LONGEST}


PAGE = PACKAGE.parent / "docs" / "architecture.md"


def test_the_page_about_the_architecture_names_what_exists():
    text = PAGE.read_text()
    paths = [s for s in re.findall(r"`([^`\s]+)`", text) if s.endswith((".py", "/"))]
    assert len(paths) > 40
    for path in paths:
        found = (PACKAGE / path).exists() or any(PACKAGE.parent.glob(path))
        assert found, f"{path} does not exist"
    names = re.findall(r"`([A-Z_]{5,})` \|$", text, re.MULTILINE)
    assert len(names) >= 6
    assert all(isinstance(getattr(tables, name), tables.Table) for name in names)


def test_the_page_about_the_architecture_has_the_rows_of_this_test():
    rows = re.findall(r"^\| \d+ \| (.*?) \|", PAGE.read_text(), re.MULTILINE)
    assert [set(re.findall(r"`(\w+)(?:/|\.py)`", row)) for row in rows] == ROWS


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
