"""The program as such: help, version, options that agree with the library's."""

import inspect
import json
import subprocess
import sys

import pytest
import typer
from typer.main import get_command

from uhrtranslate import __version__
from uhrtranslate.cli.app import app
from uhrtranslate.cli.translate import translate
from uhrtranslate.options import TranslateOptions

NOT_OPTIONS = {"inputs", "output", "config", "as_json", "quiet", "debug", "manifest", "dry_run"}


def test_help_does_not_load_torch():
    code = "import sys, uhrtranslate.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    "command", [[], ["translate"], ["info"], ["models"], ["models", "show"], ["models", "convert"]]
)
def test_every_command_has_help(uhrt, command):
    run = uhrt(*command, "--help")
    assert run.returncode == 0
    assert "Usage: uhrt" in run.stdout
    if command:
        assert "Examples" in run.stdout or command[-1] in ("show", "convert")


def test_version(uhrt):
    assert uhrt("--version").stdout == f"uhrt {__version__}\n"


def test_the_command_has_the_options_of_the_library():
    parameters = set(inspect.signature(translate).parameters) - NOT_OPTIONS
    assert parameters == set(TranslateOptions.model_fields)


def test_defaults_shown_are_those_of_the_library():
    command = get_command(app).commands["translate"]
    for parameter in command.params:
        if parameter.name not in TranslateOptions.model_fields:
            continue
        default = TranslateOptions.model_fields[parameter.name].default
        assert parameter.default is None, "flags that were not given must not hide a config file"
        shown = parameter.show_default
        if default is not None and not isinstance(default, bool):
            assert shown == str(default), parameter.name


def test_info_in_json(uhrt):
    run = uhrt("info", "slide.tif", "nowhere.tif", "--json")
    assert run.returncode == 1
    (line,) = run.stdout.splitlines()
    facts = json.loads(line)
    assert (facts["width"], facts["height"]) == (512, 700)
    assert facts["mpp"] == pytest.approx([0.5, 0.5], rel=1e-3)
    assert "nowhere.tif" in run.stderr


def test_info_as_a_table(uhrt):
    run = uhrt("info", "slide.tif")
    assert run.returncode == 0
    assert "512 x 700 px" in run.stdout


def test_models_lists_what_ships(uhrt):
    run = uhrt("models")
    assert run.returncode == 0, run.stderr
    for text in ("he2ihc", "ihc2he", "not for diagnosis", "H&E -> IHC (DAB)"):
        assert text in " ".join(run.stdout.split())


@pytest.mark.slow
def test_models_converts_a_checkpoint(uhrt, folder, tmp_path):
    target = tmp_path / "mine.safetensors"
    run = uhrt(
        *("models", "convert", "tiny.safetensors", target),
        *("--cell", 256, "--mpp", 0.5, "--domains", "H&E,IHC", "--description", "mine"),
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == str(target)
    shown = json.loads(uhrt("models", "show", target, "--json").stdout)
    assert (shown["cell"], shown["mpp"], shown["domains"]) == (256, 0.5, ["H&E", "IHC"])
    again = uhrt("models", "convert", "tiny.safetensors", target)
    assert again.returncode == 1
    assert "exists" in again.stderr


def test_only_the_command_line_knows_typer():
    assert typer.__name__ not in inspect.getsource(__import__("uhrtranslate.options").options)
