"""The program as such: help, version, options that agree with the library's."""

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
import torch
import typer
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from typer.main import get_command
from typer.testing import CliRunner

from uhrtranslate import __version__
from uhrtranslate.cli.app import app
from uhrtranslate.cli.from_options import Given, takes
from uhrtranslate.cli.translate import translate
from uhrtranslate.evaluation.options import EvaluateOptions
from uhrtranslate.flag import Flag, parse_auto
from uhrtranslate.models.unet import UnetGenerator
from uhrtranslate.options import EnhanceOptions, StainOptions, TranslateOptions

Tile = Annotated[int | None, BeforeValidator(parse_auto)]
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


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("translate", TranslateOptions),
        ("stain-normalize", StainOptions),
        ("enhance", EnhanceOptions),
        ("evaluate", EvaluateOptions),
    ],
)
def test_defaults_shown_are_those_of_the_library(command, options):
    for parameter in get_command(app).commands[command].params:
        if parameter.name not in options.model_fields:
            continue
        default = options.model_fields[parameter.name].default
        assert parameter.default is None, "flags that were not given must not hide a config file"
        shown = parameter.show_default
        if default is not None and not isinstance(default, bool):
            assert shown == str(default), parameter.name


class Kitchen(BaseModel):
    """One option of each kind."""

    model_config = ConfigDict(extra="forbid")

    salt: Annotated[int, Field(ge=0), Flag("Grams.", "Taste", "G")] = 3
    bread: Annotated[Literal["white", "rye"] | None, Flag("Kind.", short="-b")] = None
    toast: Annotated[bool, Flag("Toast it.")] = True
    size: Annotated[Tile, Flag("Size.", metavar="PX|auto")] = None
    pair: Annotated[tuple[Path, Path] | None, Flag("Two files.")] = None
    bits: Annotated[Literal[8, 16], Flag("Bits.")] = 8


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ("", {}),
        ("--salt 0 -b rye --no-toast", {"salt": 0, "bread": "rye", "toast": False}),
        ("--size auto --bits 16", {"size": "auto", "bits": 16}),
        ("--pair a b --toast", {"pair": (Path("a"), Path("b")), "toast": True}),
    ],
)
def test_flags_are_made_of_options(arguments, given):
    heard = []

    @takes(Kitchen, leave_out={"nothing"})
    def cook(given: Given, name: str = "") -> None:
        heard.append(given | {"name": name})

    kitchen = typer.Typer()
    kitchen.command()(cook)
    done = CliRunner().invoke(kitchen, [*arguments.split(), "--name", "soup"])
    assert done.exit_code == 0, done.output
    assert heard == [given | {"name": "soup"}]


def test_help_of_flags_is_that_of_options():
    @takes(Kitchen, leave_out={"pair"}, shown={"salt": "a pinch"})
    def cook(given: Given) -> None:
        pass

    kitchen = typer.Typer()
    kitchen.command()(cook)
    text = CliRunner().invoke(kitchen, ["--help"], env={"COLUMNS": "100"}).output
    for word in ("Taste", "Grams. [default: (a pinch)]", "--toast", "--no-toast", "PX|auto", "-b"):
        assert word in text
    assert "--pair" not in text


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


def test_models_show_says_which_norm_layers_follow(uhrt, tmp_path):
    unet = UnetGenerator(ngf=1, n_downs=5)
    torch.save({"netG": unet.state_dict(), "netG_ema": unet.state_dict()}, tmp_path / "u.pth")
    for model, texts in (
        ("tiny.safetensors", ["instance (follow --norm)"]),
        (
            tmp_path / "u.pth",
            [
                "7 batch (running statistics; kept, unless --batch-statistics is given)",
                "Averaged weights, netG_ema; the file also holds netG.",
            ],
        ),
    ):
        run = uhrt("models", "show", model)
        assert run.returncode == 0, run.stderr
        for text in texts:
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
