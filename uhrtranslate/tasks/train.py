"""Train generators on folders of slides or images."""

import copy
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from uhrtranslate.engine import choose_device
from uhrtranslate.errors import InputError, OptionError
from uhrtranslate.io import open_slide, open_view, stated_by
from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.models import Generator
from uhrtranslate.models.load import digest_state
from uhrtranslate.options import read_config
from uhrtranslate.recipes.drawn_pairs import drawn_pairs
from uhrtranslate.runs.pairs import read_pairs
from uhrtranslate.tables import TRAINING_METHODS
from uhrtranslate.tasks.translate import translate
from uhrtranslate.training.configuration import make_train_options, set_option
from uhrtranslate.training.data.drawn import Drawn
from uhrtranslate.training.data.patches import Patches
from uhrtranslate.training.data.tables import is_table, names_slides
from uhrtranslate.training.methods.base import GeneratorMethod, Method
from uhrtranslate.training.options import DataOptions, RunOptions, TrainOptions
from uhrtranslate.training.run.checkpoint import go_back_to, load_state
from uhrtranslate.training.run.folder import check_data, check_free, create_run, find_run
from uhrtranslate.training.run.learner import Learner
from uhrtranslate.training.run.loop import OnProgress, Training
from uhrtranslate.training.run.parallel import Workgroup, join_workgroup

OnNote = Callable[[str], None]
"""Called with a sentence about the work that begins."""


@dataclass(frozen=True)
class TrainResult:
    """What a training made.

    Attributes:
        run: its folder.
        generators: paths of the generators, by direction.
        steps: number of steps, counted from the very start.
        losses: those of the last line of the log.
    """

    run: str
    generators: dict[str, str]
    steps: int
    losses: dict[str, float]


def read_train_options(config: Path, assignments: list[str] | None = None) -> RunOptions:
    """Read the options of a training from a YAML file, and replace some of them.

    Args:
        config: the file; or the name of a method, for its own defaults.
        assignments: such as `data.patch=256`.

    Raises:
        OptionError: the file cannot be read, or an option is wrong; names it.
    """
    named = str(config) in TRAINING_METHODS and not config.exists()
    values = {"method": str(config)} if named else read_config(config)
    for assignment in assignments or []:
        set_option(values, assignment)
    return make_train_options(values)


def train(
    options: RunOptions,
    run: str | Path,
    on_progress: OnProgress = lambda progress: None,
    on_note: OnNote = lambda note: None,
) -> TrainResult:
    """Train from the start.

    Args:
        options: see `read_train_options`.
        run: the folder to make for the results.
        on_progress: called at each line of the log.
        on_note: called with a sentence when something begins.

    Raises:
        UhrError: one sentence that says what is wrong with which file or option.
    """
    run = Path(run)
    check_free(run)
    group, device = _place(options)
    with _patches(options) as patches:
        _check_validation(options)
        learner = Learner(options, device, group)
        group.wait()  # no process makes the folder before all have checked that it is free
        if group.leads:
            create_run(run, options, patches.manifest(), str(device))
        return _go(Training(learner, patches, run), on_progress, on_note)


def resume_training(
    place: str | Path,
    on_progress: OnProgress = lambda progress: None,
    on_note: OnNote = lambda note: None,
) -> TrainResult:
    """Resume a run from its last checkpoint, or from a given one; without any, from the start.

    Args:
        place: folder of the run, or of one of its checkpoints, whose successors are then removed.
        on_progress, on_note: see `train`.

    Raises:
        UhrError: one sentence that says what is wrong with which file.
    """
    run, options, checkpoint = find_run(Path(place))
    group, device = _place(options)
    with _patches(options) as patches:
        check_data(run, patches.manifest())
        state = load_state(checkpoint) if checkpoint is not None else None
        training = Training(Learner(options, device, group), patches, run, state)
        if group.leads and checkpoint is not None:
            go_back_to(run, checkpoint)
        return _go(training, on_progress, on_note)


def check_training(options: RunOptions) -> str:
    """Check all images, build the networks, and say in one sentence what would be trained.

    Raises:
        UhrError: as in `train`.
    """
    with _patches(options) as patches:
        _check_validation(options)
        learner = Learner(options, torch.device("cpu"))
        return _in_words(Training(learner, patches, Path()))


def leads() -> bool:
    """Whether this process, under torchrun, is the one that reports results."""
    return join_workgroup().leads


def _in_words(training: Training) -> str:
    options, pictures = training.options, training.patches.pictures
    counts = " and ".join(f"{len(ones)} of {name}" for name, ones in pictures.items())
    return (
        f"{options.method} on {training.learner.device}: {counts} images, patches of "
        f"{options.data.patch} px, {training.epochs} epochs of {training.epoch_steps} steps"
    )


def _patches(options: RunOptions) -> closing[Patches]:
    method: type[Method] = TRAINING_METHODS[options.method]
    drawn = None
    if isinstance(options, TrainOptions):
        drawn = _drawn(options.data, method.paired, options.method)
    return closing(method.open_patches(options, drawn))


def _drawn(options: DataOptions, paired: bool, method: str) -> Drawn | None:
    """The slides of a table of pairs of slides, if the data are one.

    Raises:
        InputError: one cannot be read, or none of them is to be used.
        OptionError: the method does not learn from pairs, or the table is wrong.
    """
    if not is_table(options.a) or not names_slides(options.a):
        return None
    if not paired:
        raise OptionError(
            f"data.a: {options.a} names pairs of slides, and {method} does not learn from pairs; "
            "name a folder of each domain."
        )
    slides, left_out = [], []
    for pair in read_pairs(options.a):
        if pair.split not in ("", options.split):
            continue
        if pair.verdict in ("", "good") and pair.transform is not None:
            slides.append((Path(pair.moving), Path(pair.fixed), pair.transform))
        else:
            left_out.append(
                f"{pair.moving}: is left out, as its registration is {pair.verdict or 'missing'}."
            )
    if not slides:
        raise InputError(
            f"{options.a}: has no registered pair that is good and for {options.split}; register "
            "them with uhrt register."
        )
    return replace(drawn_pairs(slides, options), left_out=left_out)


def _place(options: RunOptions) -> tuple[Workgroup, torch.device]:
    group = join_workgroup()
    if group.size > 1 and torch.cuda.is_available() and options.device in ("auto", "cuda"):
        device = torch.device("cuda", group.local)
        torch.cuda.set_device(device)
        return group, device
    return group, choose_device(options.device)


def _go(training: Training, on_progress: OnProgress, on_note: OnNote) -> TrainResult:
    on_note(f"{_in_words(training)}, from step {training.step}")
    for sentence in training.patches.doubts():
        on_note(f"warning: {sentence}")
    losses = training.go(on_progress, lambda epoch: _validate(training, epoch, on_note))
    names = training.learner.exports()
    written = {name: str(training.run / f"{name}.safetensors") for name in names}
    return TrainResult(str(training.run), written, training.step, losses)


def _check_validation(options: RunOptions) -> None:
    """Open the validation image, so that an error comes at the start."""
    if isinstance(options, TrainOptions) and options.validation is not None:
        with open_slide(options.validation.image, stated=stated_by(options.data)) as slide:
            open_view(slide, options.data.level, options.data.mpp, options.validation.region)


def _validate(training: Training, epoch: int, on_note: OnNote) -> None:
    """Translate the validation image with the engine, as a user would."""
    options, method = training.options, training.learner.method
    if not (isinstance(options, TrainOptions) and isinstance(method, GeneratorMethod)):
        return
    wanted = options.validation
    if wanted is None or epoch % wanted.every:
        return
    network = training.learner.exports()["A2B"]
    module = copy.deepcopy(network).cpu().float().eval().requires_grad_(False)
    facts = method.facts("A2B", training.patches.mpp())
    frozen = Generator(module, facts, "A2B", digest_state(module))
    folder = training.run / "validation"
    target = folder / f"epoch-{epoch:04d}.tif"
    with output_errors(target):
        folder.mkdir(exist_ok=True)
    translate(
        wanted.image,
        target,
        generator=frozen,
        level=options.data.level,
        mpp=options.data.mpp,
        source_mpp=options.data.source_mpp,
        source_power=options.data.source_power,
        region=wanted.region,
        device=options.device,
        preview=True,
        overwrite=True,
    )
    on_note(f"epoch {epoch}: validation image -> {target}")
