"""Read a generator from a checkpoint without running any code in it."""

import dataclasses
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from uhrtranslate.errors import CheckpointError, warnings_kept
from uhrtranslate.models.family import Arguments, Family
from uhrtranslate.models.info import GeneratorInfo
from uhrtranslate.models.parametrized import folded
from uhrtranslate.models.pickle_size import called, check_pickle
from uhrtranslate.models.unwrap import State, first_mismatches, show, unwrap

# Stored by norm layers of PyTorch before 0.4, or on demand; instance norm does not use them.
_RUNNING = ("running_mean", "running_var", "num_batches_tracked")

# Before PyTorch 1.6: magic number, protocol, machine, the content, and the keys of its storages.
_OLD_PICKLES = 5

# Modules of the functions that build tensors, and of values that are stored with them.
_OF_WEIGHTS = ("torch.", "collections.", "numpy.", "_codecs.")


def load_checkpoint(path: Path, part: str | None = None) -> tuple[nn.Module, GeneratorInfo]:
    """Build the generator that a `.pth`, `.pt`, `.ckpt` or `.safetensors` file holds.

    Args:
        path: the file.
        part: which generator, if the file holds several, such as `G_B`.

    Returns: the network on the CPU in float32, in eval mode, without gradients; and its facts.

    Raises:
        CheckpointError: the file cannot be read or has no generator, or not all of its keys fit.
    """
    tree = read_tree(path)
    try:
        found = unwrap(tree, part)
        size = sum(t.numel() * t.element_size() for t in found.state.values())
        if size > path.stat().st_size:  # tensors that repeat a few bytes
            raise CheckpointError("its tensors claim more bytes than the file has; it is damaged")
        module = fit(found.family, found.arguments, found.state)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error.__cause__
    facts = info_of(found.family, found.arguments)
    return module, dataclasses.replace(facts, description=found.note)


def info_of(family: Family, arguments: Arguments) -> GeneratorInfo:
    """The facts of a generator whose state dict has no metadata."""
    return GeneratorInfo(
        architecture=family.name,
        arguments=arguments,
        in_channels=arguments.get("in_channels", 3),
        out_channels=arguments.get("out_channels", 3),
        stride=family.stride(arguments),
        cell=family.cell,
        covariant=family.covariant,
        value_range=family.value_range,
        period=family.period_of(arguments),
    )


def read_tree(path: Path) -> object:
    """Read a checkpoint's nested dicts and tensors; no code in the file can run.

    Raises:
        CheckpointError: the file is missing, empty, damaged or too large, or it holds objects.
    """
    kind = sniff(path)
    if kind == "safetensors":
        return read_safetensors(path)[0]
    if kind == "zip":
        _check_zip(path)
    with warnings_kept():  # of odd escapes and old storages, which do not concern the user
        try:
            for file in _pickles(path, kind):
                check_pickle(file)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=kind == "zip")
        except Exception as error:  # on hostile bytes, the unpickler raises any exception
            raise CheckpointError(f"{path}: {_why_unreadable(path, kind, error)}") from error


def read_safetensors(path: Path) -> tuple[State, dict[str, str]]:
    """Read the tensors and the metadata of a safetensors file.

    Raises:
        CheckpointError: the file is damaged.
    """
    with opened_safetensors(path) as file:
        metadata = dict(file.metadata() or {})
        return {key: file.get_tensor(key) for key in file.keys()}, metadata  # noqa: SIM118


@contextmanager
def opened_safetensors(path: Path) -> Iterator[Any]:
    """Open a safetensors file for the block; errors as in `read_safetensors`."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError) as error:
        raise CheckpointError(
            f"{path}: the safetensors file is damaged ({show(error)}); copy it again"
        ) from error


def has_metadata(path: Path, key: str) -> bool:
    """Whether a file is a safetensors file with such an entry in its metadata.

    Raises:
        CheckpointError: the file cannot be read, or is no checkpoint.
    """
    if sniff(path) != "safetensors":
        return False
    with opened_safetensors(path) as file:
        return key in (file.metadata() or {})


def sniff(path: Path) -> str:
    """The kind of a file by its first bytes: "zip" (PyTorch since 1.6), "pickle" or "safetensors".

    Raises:
        CheckpointError: the file is missing, unreadable, empty, of another kind, or larger than
            the memory of this machine.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(9)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no such file; check the path") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    if size == 0:
        raise CheckpointError(f"{path}: the file is empty; copy it again")
    if size > _memory():
        raise CheckpointError(
            f"{path}: has {size / 1e9:.1f} GB, more than this machine's memory; save only the "
            "generator's state_dict"
        )
    # First, as the length of its header, which comes first, may begin like any other kind.
    if head[8:] == b"{" and int.from_bytes(head[:8], "little") <= size - 8:
        return "safetensors"
    if head[:2] == b"PK":
        return "zip"
    if head[:1] == b"\x80":
        return "pickle"
    if head[8:] == b"{":  # its end is missing
        return "safetensors"
    raise CheckpointError(
        f"{path}: is not a checkpoint; give a .pth, .pt, .ckpt or .safetensors file of weights"
    )


def fit(family: Family, arguments: Arguments, state: Mapping[str, Tensor]) -> nn.Module:
    """Build a network and load weights into it; every key must fit.

    Running statistics of instance norms are left out, and affine weights of shape [1, c, 1, 1], as
    in the KIN authors' layers, become [c]. Spectral norm and weight norm are folded in.

    Returns: the network on the CPU in float32, in eval mode, without gradients; its weights are
        copies.

    Raises:
        CheckpointError: keys or shapes differ, or weights are not finite numbers.
    """
    try:
        with torch.device("meta"):  # takes no memory until the shapes are known to fit
            module = family.build(**arguments)
    except (RuntimeError, TypeError, ValueError) as error:  # huge sizes, unknown arguments
        raise CheckpointError(
            f"does not describe a {family.name} generator ({show(error, 200)})"
        ) from error
    want = module.state_dict()
    have: State = {}
    for key, tensor in folded(state, module).items():
        if key not in want and key.endswith(_RUNNING):
            continue
        if key in want and tensor.ndim == 4 and tuple(tensor.shape) == (1, *want[key].shape, 1, 1):
            tensor = tensor.flatten()
        have[key] = tensor
    for key in want:  # batch norm before PyTorch 0.4.1 has no counter
        if key.endswith("num_batches_tracked"):
            have.setdefault(key, torch.zeros((), dtype=torch.long))
    problems = first_mismatches(want, have)
    if problems:
        raise CheckpointError(
            f"looks like a {family.name} generator, but not all keys fit: {problems}"
        )
    module.load_state_dict({k: _weights(k, t, want[k]) for k, t in have.items()}, assign=True)
    return module.eval().requires_grad_(False)


def _weights(key: str, tensor: Tensor, want: Tensor) -> Tensor:
    """A copy in the network's dtype, after a check that all numbers are finite."""
    plain = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_meta
    if not plain or want.is_floating_point() != tensor.is_floating_point():
        raise CheckpointError(
            f"{show(key)} ({tensor.dtype}) is not a plain float tensor; save unquantised weights"
        )
    copy = tensor.detach().to(want.dtype, copy=True).contiguous()
    if not bool(torch.isfinite(copy).all()):
        raise CheckpointError(f"{show(key)} holds NaN or infinity; the training diverged")
    return copy


def _check_zip(path: Path) -> None:
    """Refuse what torch.save never writes: scripted modules, and compressed content of any size."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointError(
            f"{path}: the file is damaged or ends too early; copy it again"
        ) from error
    names = [entry.filename for entry in entries]
    if any(name.endswith("constants.pkl") for name in names):
        raise CheckpointError(
            f"{path}: is a TorchScript archive, which holds code; save the state_dict of the "
            "network instead: torch.save(model.state_dict(), 'generator.pth')"
        )
    if not any(name.endswith("data.pkl") for name in names):
        raise CheckpointError(f"{path}: is a zip file, but not a checkpoint")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise CheckpointError(f"{path}: has compressed content, which torch.save never writes")


def _pickles(path: Path, kind: str) -> Iterator[IO[bytes]]:
    """The pickles of a checkpoint, one after the other, as files positioned at their first byte."""
    if kind == "zip":
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename.endswith("data.pkl"):
                    with archive.open(entry) as file:
                        yield file
    else:
        with path.open("rb") as file:
            for _ in range(_OLD_PICKLES):
                yield file


def _why_unreadable(path: Path, kind: str, error: Exception) -> str:
    refused = re.search(r"(?:GLOBAL|global|class) ([\w.]+\.\w+)", str(error))
    if "Weights only load failed" in str(error) and refused:
        objects = [refused[1]]
    else:
        objects = [name for name in _called(path, kind) if not name.startswith(_OF_WEIGHTS)]
    if objects:
        return (
            f"is refused, as it holds pickled Python objects ({show(objects[0])}), which could run "
            "code; if you trust it, save only the weights: torch.save(model.state_dict(), "
            "'generator.pth')"
        )
    return f"the file is damaged or not a checkpoint ({show(error)}); copy it again"


def _called(path: Path, kind: str) -> list[str]:
    """Names that the pickles of a checkpoint refer to, as far as they can be read."""
    names: list[str] = []
    with suppress(Exception):  # hostile bytes raise any exception
        for file in _pickles(path, kind):
            names += called(file)
    return names


def _memory() -> float:
    """Bytes of physical memory; infinite if the system does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return float("inf")
