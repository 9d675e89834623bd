"""The folder of a training: how it was started, and everything needed to resume it."""

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import yaml

from uhrtranslate.errors import InputError, OutputError
from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.options import read_config
from uhrtranslate.replace import replace_file
from uhrtranslate.training.configuration import make_train_options
from uhrtranslate.training.options import RunOptions
from uhrtranslate.training.run.checkpoint import FOLDER, list_checkpoints
from uhrtranslate.version import versions

CONFIG, RECORD, DATA = "config.yaml", "run.json", "data.json"


def create_run(run: Path, options: RunOptions, data: dict[str, Any], device: str) -> None:
    """Make the folder of a new run, with a record of how it was started.

    Args:
        run: the folder; it must be empty or not exist.
        options: of the training.
        data: manifest of the images.
        device: in words.

    Raises:
        OutputError: there is a run already, or the folder cannot be written.
    """
    check_free(run)
    with output_errors(run):
        run.mkdir(parents=True, exist_ok=True)
        replace_file(run / DATA, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
        record = {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "seed": options.seed,
            "device": device,
            "threads": torch.get_num_threads(),
            "commit": git_commit(),
            "versions": versions(),
        }
        replace_file(run / RECORD, json.dumps(record, indent=1) + "\n")
        replace_file(run / CONFIG, dump_options(options))


def check_free(run: Path) -> None:
    """Refuse a folder that is in use.

    Raises:
        OutputError: it is a file, or has something in it.
    """
    if run.is_dir() and (run / CONFIG).exists():
        raise OutputError(
            f"{run}: has a run already; resume it with uhrt train --resume {run}, or choose "
            "another folder with -o."
        )
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise OutputError(f"{run}: exists already and is not a run; choose another folder with -o.")


def find_run(place: Path) -> tuple[Path, RunOptions, Path | None]:
    """Find the run to resume, given its folder or one of its checkpoints.

    Returns: its folder, the options it was started with, and the folder of the checkpoint; None if
    the run ended before its first one.

    Raises:
        InputError: it is not a run, or has no such checkpoint.
        OptionError: its configuration is wrong.
    """
    run, checkpoint = place, None
    if place.parent.name == FOLDER:
        run, checkpoint = place.parent.parent, place
        if not checkpoint.is_dir():
            raise InputError(f"{place}: does not exist; choose a checkpoint in {run / FOLDER}.")
    if not (run / CONFIG).is_file():
        raise InputError(f"{place}: is not a run of uhrt train; name the folder with {CONFIG}.")
    options = make_train_options(read_config(run / CONFIG))
    saved = list_checkpoints(run)
    return run, options, checkpoint or (saved[-1] if saved else None)


def check_data(run: Path, data: dict[str, Any]) -> None:
    """Check that the images are those that the run began with.

    Raises:
        InputError: one has changed, is new or is missing.
    """
    try:
        before = json.loads((run / DATA).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{run / DATA}: cannot be read; start a new run.") from error
    for domain, pictures in data.items():
        old = {one["path"]: one for one in before.get(domain, [])}
        new = {one["path"]: one for one in pictures}
        changed = [path for path in {**old, **new} if old.get(path) != new.get(path)]
        if changed:
            raise InputError(
                f"{changed[0]}: was changed, added or removed since the run began; undo that, or "
                "start a new run."
            )


def dump_options(options: RunOptions) -> str:
    """The options as YAML, all of them, with absolute paths."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items()}
        if isinstance(value, tuple | list):
            return [plain(one) for one in value]
        # Not resolved, as it may be a pattern.
        return str(Path(os.path.abspath(value))) if isinstance(value, Path) else value

    text: str = yaml.safe_dump(plain(options.model_dump()), sort_keys=False, allow_unicode=True)
    return text


def git_commit() -> str | None:
    """Commit of the source tree in use; None if there is none."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
