"""Checkpoints of a run: what was trained in its own format, and the state to resume from.

`checkpoints/step-00001200/` holds `A2B.safetensors`, for `uhrt translate`, and `state.pt`: plain
tensors, numbers and strings in lists and dicts, read with `weights_only=True`. The folder gets its
final name only when everything in it is on the disk. The newest one's networks also have names in
the run's folder.
"""

import io
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from uhrtranslate.errors import InputError
from uhrtranslate.io.files.disk import output_errors

FOLDER = "checkpoints"
STATE = "state.pt"
FORMAT = 1
_NAME = re.compile(r"step-(\d{8})")

Writers = Mapping[str, Callable[[Path], None]]
"""What writes each network to its file, by the file's name without suffix."""


def save_checkpoint(
    run: Path, step: int, state: dict[str, Any], writers: Writers, keep: int
) -> Path:
    """Write a checkpoint, publish its networks, and remove all but the newest `keep`.

    Returns: its folder.

    Raises:
        OutputError: it cannot be written; older ones are unchanged.
    """
    folder = run / FOLDER / f"step-{step:08d}"
    new = folder.with_name(f".{folder.name}.uhrt-partial")
    with output_errors(folder):
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        try:
            content = io.BytesIO()
            torch.save({"format": FORMAT, **state}, content)
            (new / STATE).write_bytes(content.getbuffer())
            for name, write in writers.items():
                write(new / f"{name}.safetensors")
            if folder.exists():  # of a run that was resumed from before it
                shutil.rmtree(folder)
            new.rename(folder)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        publish(run, folder)
        for old in list_checkpoints(run)[:-keep]:
            shutil.rmtree(old)
    return folder


def publish(run: Path, folder: Path) -> None:
    """Give a checkpoint's networks their names in the run's folder: `run/A2B.safetensors`.

    They are links to the same files where the disk has links; so they cost no room.

    Raises:
        OutputError: they cannot be written; older ones are unchanged.
    """
    for path in folder.glob("*.safetensors"):
        target = run / path.name
        new = run / f".{path.name}.uhrt-partial"
        with output_errors(target):
            try:
                new.unlink(missing_ok=True)
                try:
                    os.link(path, new)
                except OSError:  # a disk without links
                    shutil.copyfile(path, new)
                os.replace(new, target)
            finally:
                new.unlink(missing_ok=True)  # renaming one link to another leaves both


def list_checkpoints(run: Path) -> list[Path]:
    """Folders of the complete checkpoints of a run, oldest first."""
    folder = run / FOLDER
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def load_state(folder: Path) -> dict[str, Any]:
    """The state that a checkpoint holds, on the CPU.

    Raises:
        InputError: it cannot be read, or is of a newer format.
    """
    path = folder / STATE
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
        version = state["format"]
    except Exception as error:  # torch raises many kinds for a damaged file
        raise InputError(
            f"{path}: cannot be read; resume from another checkpoint of the run."
        ) from error
    if version != FORMAT:
        raise InputError(f"{path}: its format is {version}, not {FORMAT}; update uhrtranslate.")
    return dict(state)


def step_of(folder: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(folder.name.removeprefix("step-"))


def go_back_to(run: Path, folder: Path) -> None:
    """Remove what is newer than the checkpoint from which a run is resumed."""
    publish(run, folder)
    for other in list_checkpoints(run):
        if other.name > folder.name:
            with output_errors(other):
                shutil.rmtree(other)
