"""Networks stored as TorchScript: programs that are run as they are, without a look inside.

A TorchScript file holds code, unlike other checkpoints. It is a language of its own, compiled and
run by torch: it knows tensors, numbers and texts, and cannot import Python. What it could do to
this machine is use operations that read or write files, so code that names one of them is refused,
as are operations that torch itself does not have. It may still compute for ever, or fill memory.
"""

import dataclasses
import io
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from uhrtranslate.errors import CheckpointError, warnings_kept
from uhrtranslate.models.info import GeneratorInfo
from uhrtranslate.models.measure import measure_info
from uhrtranslate.models.native import check_info, dump_facts, parse_facts
from uhrtranslate.models.pickle_size import check_pickle
from uhrtranslate.models.public import write_whole
from uhrtranslate.models.unwrap import show

ARCHITECTURE = "torchscript"
ENDING = ".pt"
# The extra file with what people have said of the network.
FACTS = "uhrt-facts.json"
# What trials show, and so nobody needs to say.
_FOUND = ("architecture", "in_channels", "out_channels", "stride", "halo", "covariant", "period")

# Code is compressed, and so could be of any size; that of public networks has less than a megabyte.
_MOST_CODE = 64 << 20
_OF_FILES = re.compile(r"\b(?:torch|aten)\.(?:from_file|save|load\w*)\s*\(")
_FOREIGN = re.compile(r"\bops\.(?!aten\b|prim\b|quantized\b)(\w+\.\w+)")
# As many as images have.
_MOST_CHANNELS = 64
_WANTED = re.compile(r"\bto have (\d+) channels")
_ON_GPU = re.compile(r"torch\.device\(\s*[\"']cuda")


class Scripted(nn.Module):
    """A scripted network as an ordinary module, which can be copied, moved and watched."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Any:
        """Whatever the network gives."""
        return self.network(x)


def is_script(path: Path) -> bool:
    """Whether a file is a TorchScript archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def load_script(path: Path) -> tuple[nn.Module, GeneratorInfo]:
    """Load a TorchScript file as an opaque generator, after a check of sizes and code.

    Returns: the network on the CPU in float32, in eval mode, without gradients; and its facts as
        far as trials show them, or as `save_script` stored them.

    Raises:
        CheckpointError: the file is damaged, its code is refused or needs a GPU, or it is not a
            network that turns images into images of the same size.
    """
    _check(path)
    extra: dict[str, Any] = {FACTS: ""}
    with warnings_kept():  # that TorchScript is deprecated
        try:
            network = torch.jit.load(path, "cpu", extra)  # type: ignore[no-untyped-call]
            module = Scripted(network).float().eval().requires_grad_(False)
        except Exception as error:  # on hostile bytes, torch raises any exception
            raise CheckpointError(
                f"{path}: this torch cannot load the TorchScript file ({show(error, 200)}); export "
                "the network again, or save its state_dict"
            ) from error
        try:
            found = _measured(module)
            info = _joined(found, extra[FACTS]) if extra[FACTS] else found
        except CheckpointError as error:
            why = str(error).removeprefix(f"{ARCHITECTURE}: ")
            raise CheckpointError(f"{path}: {why}") from error
    return module, dataclasses.replace(info, opaque=True)


def save_script(path: Path, module: nn.Module, info: GeneratorInfo) -> None:
    """Write a network of `load_script` with facts; an existing file is replaced, in one step.

    Raises:
        OptionError: a fact is out of bounds.
        OutputError: the file cannot be written.
    """
    check_info(info)
    content = io.BytesIO()
    with warnings_kept():
        torch.jit.save(module.network, content, {FACTS: dump_facts(info)})
    write_whole(path, content.getvalue())


def _measured(module: nn.Module) -> GeneratorInfo:
    # The inputs of the first convolution; a frozen network has no weights that can be seen, but
    # says which channels it misses.
    kernels = [t for t in module.state_dict().values() if t.ndim == 4]
    channels = kernels[0].shape[1] if kernels else 3
    try:
        return measure_info(module, ARCHITECTURE, channels)
    except CheckpointError as error:
        wanted = _WANTED.search(str(error))
        if wanted is None or not 1 <= int(wanted[1]) <= _MOST_CHANNELS:
            raise
        return measure_info(module, ARCHITECTURE, int(wanted[1]))


def _joined(found: GeneratorInfo, stated: str | bytes) -> GeneratorInfo:
    """What trials show, and what people said."""
    text = stated.decode(errors="replace") if isinstance(stated, bytes) else stated
    try:
        said = parse_facts(text, (ARCHITECTURE,))
    except ValueError as error:
        raise CheckpointError(show(error, 400)) from error
    return dataclasses.replace(said, **{name: getattr(found, name) for name in _FOUND})


def _check(path: Path) -> None:
    """Refuse archives that claim more than they hold, and code that does more than compute."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            code = [entry for entry in entries if "/code/" in entry.filename]
            rest = sum(entry.file_size for entry in entries if entry not in code)
            if sum(entry.file_size for entry in code) > _MOST_CODE or rest > path.stat().st_size:
                raise CheckpointError(f"{path}: its content claims more bytes than the file has")
            for entry in entries:
                if entry.filename.endswith(("/data.pkl", "/constants.pkl")):
                    with archive.open(entry) as file:
                        check_pickle(file)
            texts = [
                archive.read(entry).decode(errors="replace")
                for entry in code
                if entry.filename.endswith(".py")
            ]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise CheckpointError(
            f"{path}: the TorchScript file is damaged ({show(error)}); copy it again"
        ) from error
    for text in texts:
        if match := _OF_FILES.search(text) or _FOREIGN.search(text):
            raise CheckpointError(
                f"{path}: is refused, as its TorchScript calls {show(match[0])}, which could touch "
                "files or is not of torch; save the network's state_dict instead"
            )
        if _ON_GPU.search(text):
            raise CheckpointError(
                f"{path}: its TorchScript was made on a GPU and works on no other device; move "
                "the network to the CPU and trace it again: "
                "torch.jit.trace(model.cpu().eval(), example)"
            )
