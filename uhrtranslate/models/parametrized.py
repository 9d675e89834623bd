"""Weights that a checkpoint stores in parts (spectral norm, weight norm, pruning), made whole.

Training programs may store a layer's weight as something that it is computed from before each
forward. PyTorch has two spellings: hooks (`weight_orig`, `weight_u`, `weight_v`; `weight_g`,
`weight_v`; `weight_orig`, `weight_mask`) and parametrizations (`parametrizations.weight.original`
and so on). What a layer computes with in eval mode is a constant, so it is computed once, here, and
a family of generators never sees the parts.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from uhrtranslate.errors import CheckpointError

State = Mapping[str, Tensor]

# One stored part: the layer's name with a dot (or nothing), the parameter, the part.
_PARAMETRIZED = re.compile(r"((?:.*\.)?)parametrizations\.(\w+)\.(.+)")
_HOOKED = re.compile(r"((?:.*\.)?)(\w+)_(orig|u|v|g|mask)")
# The names that the parts of each spelling get here.
_SPELLINGS = (
    {"orig": "orig", "u": "u", "v": "v"},
    {"g": "g", "v": "v"},
    {"orig": "orig", "mask": "mask"},
    {"original": "orig", "0._u": "u", "0._v": "v"},
    {"original0": "g", "original1": "v"},
)


def parametrizations(state: State) -> dict[str, dict[str, str]]:
    """The weights that a state dict stores in parts: for each, the keys of its parts.

    Args:
        state: with any keys; no values are read.

    Returns:
        By the key of the whole weight (`model.1.weight`): part (`orig`, `u`, `v` of spectral norm;
        `g`, `v` of weight norm; `orig`, `mask` of pruning; otherwise as the file names it) to key.
    """
    found: dict[str, dict[str, str]] = {}
    for key in state:
        if match := _PARAMETRIZED.fullmatch(key):
            found.setdefault(match[1] + match[2], {})[match[3]] = key
    hooked: dict[str, dict[str, str]] = {}
    for key in state:
        if match := _HOOKED.fullmatch(key):
            hooked.setdefault(match[1] + match[2], {})[match[3]] = key
    # Other layers may have names that end so, such as `net_g`.
    found |= {w: parts for w, parts in hooked.items() if "orig" in parts or {*parts} == {"g", "v"}}
    for whole, parts in found.items():
        for spelling in _SPELLINGS:
            if set(parts) == set(spelling):
                found[whole] = {spelling[part]: key for part, key in parts.items()}
    return found


def whole_shapes(state: State) -> dict[str, Tensor]:
    """The state under the keys of whole weights, for reading shapes: parts stand for the whole."""
    stored = parametrizations(state)
    if not stored:
        return dict(state)
    parts = {key for keys in stored.values() for key in keys.values()}
    shapes = {key: tensor for key, tensor in state.items() if key not in parts}
    for whole, keys in stored.items():
        # Of the shape of the weight is what spectral norm divides, and what weight norm scales.
        like = [keys[part] for part in ("orig", "original", "v") if part in keys]
        if like:
            shapes.setdefault(whole, state[like[0]])
    return shapes


def folded(state: State, network: nn.Module) -> dict[str, Tensor]:
    """The state with every weight whole, as the layers compute it in eval mode.

    Args:
        state: not changed.
        network: tells which weights belong to transposed convolutions, whose outputs are the second
            axis; it may be on the meta device.

    Raises:
        CheckpointError: a parametrization is not known here, or its parts do not fit together.
    """
    stored = parametrizations(state)
    parts = {key for keys in stored.values() for key in keys.values()}
    whole = {key: tensor for key, tensor in state.items() if key not in parts}
    layers = dict(network.named_modules())
    for name, keys in stored.items():
        if name in whole:  # PyTorch before 1.0 also stored the result
            continue
        tensors = {part: state[key].detach().float() for part, key in keys.items()}
        axis = int(isinstance(layers.get(name.rpartition(".")[0]), _TRANSPOSED))
        if set(tensors) == {"orig", "u", "v"}:
            whole[name] = _divided(name, tensors["orig"], tensors["u"], tensors["v"], axis)
        elif set(tensors) == {"g", "v"}:
            whole[name] = _scaled(name, tensors["g"], tensors["v"])
        elif set(tensors) == {"orig", "mask"} and tensors["orig"].shape == tensors["mask"].shape:
            whole[name] = tensors["orig"] * tensors["mask"]
        else:
            raise CheckpointError(
                f"{name[:80]} is stored as {', '.join(keys.values())[:200]}, a parametrization "
                "that is not known here (only spectral norm, weight norm and pruning are); make "
                "the weights plain with torch.nn.utils.parametrize.remove_parametrizations, and "
                "save the state_dict again"
            )
    return whole


_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def _divided(name: str, weight: Tensor, u: Tensor, v: Tensor, axis: int) -> Tensor:
    """Spectral norm: weight / (u W v), W being the weight with one row per output."""
    matrix = weight.movedim(axis, 0).flatten(1) if weight.ndim > 1 else weight
    if matrix.ndim != 2 or u.shape != matrix.shape[:1] or v.shape != matrix.shape[1:]:
        raise _unfitting(name, "spectral", weight, u, v)
    return weight / torch.dot(u, torch.mv(matrix, v))


def _scaled(name: str, length: Tensor, direction: Tensor) -> Tensor:
    """Weight norm: the direction with the given length, for each output or over all."""
    axes = [i for i, n in enumerate(length.shape) if n == 1] if length.ndim else None
    fits = not length.ndim or (
        length.ndim == direction.ndim
        and all(n in (1, m) for n, m in zip(length.shape, direction.shape, strict=True))
    )
    if not fits:
        raise _unfitting(name, "weight", length, direction)
    norm: Tensor = torch.linalg.vector_norm(direction, dim=axes, keepdim=True)
    return direction * (length / norm)


def _unfitting(name: str, kind: str, *parts: Tensor) -> CheckpointError:
    shapes = ", ".join(str(tuple(part.shape)) for part in parts)
    return CheckpointError(
        f"{name[:80]} is stored with {kind} norm, but its parts ({shapes}) do not fit together; "
        "the file is damaged"
    )
