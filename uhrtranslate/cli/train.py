"""`uhrt train`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.printing import print_json, print_line
from uhrtranslate.cli.report import Stopped, errors_as_sentences
from uhrtranslate.cli.stopping import patient
from uhrtranslate.cli.times import duration
from uhrtranslate.errors import OptionError
from uhrtranslate.tables import TRAINING_METHODS

if TYPE_CHECKING:
    from uhrtranslate.training.run.loop import TrainingProgress

EXAMPLES = """[bold]Examples[/bold]

uhrt train cut.yaml -o runs/he2ihc

uhrt train cut.yaml -o runs/small --set generator.ngf=8 --set data.epoch=4

uhrt train dstgan --set source=trainA/ --set target=trainB/ -o runs/look --check

uhrt train cut.yaml --check

uhrt train --resume runs/he2ihc
"""
CONFIG = (
    "Options, with the method; or the method alone, all else by --set: "
    f"{', '.join(TRAINING_METHODS)}."
)
SECONDS_BETWEEN_LINES = 10.0
# Seconds that a step and a checkpoint may take after a signal.
PATIENCE = 600.0


def train(
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG.yaml|METHOD]", help=CONFIG)
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="RUN", help="New folder for the run.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Replace an option, for example data.patch=256."
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Continue a run from its newest checkpoint, or from RUN/checkpoints/step-N. Takes "
            "no CONFIG.",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only check the options and the images.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of paths.")
    ] = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Train a generator for uhrt translate, or a model for uhrt synthesize and uhrt upscale.

    Patches are read from slides as needed. The run's folder gets losses, pictures and checkpoints
    (every checkpoint: 5 epochs, or every checkpoint_steps: N steps). The newest one's generator is
    A2B.safetensors there, for uhrt translate. Ctrl-C saves a checkpoint, too.
    """
    with errors_as_sentences(debug):
        if (config is None) == (resume is None):
            raise OptionError("give either a CONFIG.yaml, or --resume RUN.")
        if resume is not None and (output or assignments or check):
            raise OptionError("--resume needs nothing else; leave out -o, --set and --check.")

        from uhrtranslate.tasks import train as task

        progress = _Lines(quiet)
        if resume is not None:
            with _told_how_to_go_on(resume):
                result = task.resume_training(resume, progress.show, progress.note)
        else:
            assert config is not None
            options = task.read_train_options(config, assignments)
            run = output or Path("runs") / config.stem
            if check:
                print(task.check_training(options))
                return
            with _told_how_to_go_on(run):
                result = task.train(options, run, progress.show, progress.note)
        if not task.leads():
            return
        if as_json:
            print_json(result)
        else:
            for path in result.generators.values():
                print(path)


@contextmanager
def _told_how_to_go_on(run: Path) -> Iterator[None]:
    """Have a signal in the block wait for the step in hand, and say how to continue the run."""
    try:
        with patient(PATIENCE, "stopping: the step in hand is finished, and a checkpoint is saved"):
            yield
    except Stopped as stop:
        from uhrtranslate.training.run.checkpoint import FOLDER, list_checkpoints, step_of

        if run.parent.name == FOLDER:
            run = run.parent.parent
        if saved := list_checkpoints(run):
            files = (path.name for path in saved[-1].glob("*.safetensors"))
            made = min(files, default="A2B.safetensors")
            kind = "generator" if made == "A2B.safetensors" else "model"
            stop.sentence = (
                f"stopped; uhrt train --resume {run} goes on from step {step_of(saved[-1]):,}, and "
                f"{run / made} is the {kind} so far."
            )
        elif run.exists():
            stop.sentence = f"stopped before the first step; uhrt train --resume {run} starts it."
        else:
            stop.sentence = "stopped before the training began; the same command starts it."
        raise


class _Lines:
    """Progress as lines on stderr, one every ten seconds at most; none if quiet."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._told = -SECONDS_BETWEEN_LINES

    def note(self, text: str) -> None:
        """Print what begins."""
        if not self._quiet:
            print_line(text)

    def show(self, progress: "TrainingProgress") -> None:
        """Print how far the training is, unless a line was printed just before."""
        now = time.monotonic()
        last = progress.step == progress.steps
        if self._quiet or (now - self._told < SECONDS_BETWEEN_LINES and not last):
            return
        self._told = now
        losses = ", ".join(f"{name} {value:.3f}" for name, value in progress.losses.items())
        left = duration(progress.seconds_left or 0)
        stage = f"{progress.stage}: " if progress.stage else ""
        print_line(
            f"{stage}epoch {progress.epoch}/{progress.epochs}, step {progress.step:,}/"
            f"{progress.steps:,}: {losses}; {left} left"
        )
