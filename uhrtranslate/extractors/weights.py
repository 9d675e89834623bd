"""Read weights that the user gives by path, without running anything that is in them."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from uhrtranslate.errors import CheckpointError
from uhrtranslate.models.checkpoint import read_tree
from uhrtranslate.models.load import digest_file
from uhrtranslate.models.unwrap import first_mismatches


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict of tensors, from `.safetensors` or what `torch.save` wrote.

    Raises:
        CheckpointError: the file is missing, damaged, or holds anything but named tensors.
    """
    tree = read_tree(path)
    if isinstance(tree, Mapping) and set(tree) == {"state_dict"}:
        tree = tree["state_dict"]
    if not isinstance(tree, Mapping) or not tree:
        raise CheckpointError(f"{path}: holds no state dict; save the model's state_dict() alone")
    if not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in tree.items()):
        raise CheckpointError(f"{path}: holds more than tensors; save the state_dict() alone")
    return dict(tree)


def fit_weights(module: nn.Module, state: Mapping[str, Tensor], path: Path, what: str) -> nn.Module:
    """Give a module its weights; keys and shapes have to fit.

    Counters of batch norms may be missing, as old files have none.

    Args:
        module: as built.
        state: its weights, without keys of parts that the module does not have.
        path, what: of the file, and what it should hold, for the message.

    Returns: the module in float32 and eval mode, without gradients.

    Raises:
        CheckpointError: keys are missing or unknown, shapes differ, or numbers are not finite.
    """
    want = module.state_dict()
    counters = {k: v for k, v in want.items() if k.endswith("num_batches_tracked")}
    problems = first_mismatches(want, counters | dict(state))
    if problems:
        raise CheckpointError(f"{path}: is no file of {what}: {problems}")
    odd = [k for k in want if k in state and not torch.isfinite(state[k].float()).all()]
    if odd:
        raise CheckpointError(f"{path}: {odd[0]} has values that are not finite; copy it again")
    module.load_state_dict({k: state.get(k, want[k]) for k in want})
    return module.float().eval().requires_grad_(False)


def digest(path: Path) -> str:
    """The first eight letters of a file's SHA-256, as public weights carry them in their names."""
    return digest_file(path)[:8]
