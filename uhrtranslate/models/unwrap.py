"""Find the generators in whatever a training program saved: a pure function on nested dicts.

No list of wrapper names is kept. Every group of keys with a common prefix, in every dict of the
file, is shown to all families; what one of them recognises is a generator. So `state_dict`,
`params_ema`, `G_A`, `module.`, `_orig_mod.` and Lightning's `netG.` need no special case.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from uhrtranslate.errors import CheckpointError
from uhrtranslate.models.family import Arguments, Family
from uhrtranslate.models.parametrized import whole_shapes
from uhrtranslate.tables import GENERATOR_FAMILIES

State = dict[str, Tensor]

_DEPTH = 5  # wrappers around wrappers, and parts of a prefix: more than any public program makes
_MAX_DICTS = 500  # an optimizer's state is a dict per parameter, but not under string keys
_MAX_KEYS = 50_000  # a 9-block ResNet has 50 to 200
_EMA = re.compile(r"(^|[._])(ema|swa|averaged|shadow)([._]|$)", re.IGNORECASE)
# Keys of networks of which a part is not in the file, or has code that is not here.
_ELSEWHERE = (
    (
        # As timm names the layers of UNI, H-Optimus and Swin.
        re.compile(r"(^|\.)blocks\.\d+\.attn\.qkv\."),
        "holds a transformer ({key}), a backbone whose code is not here",
    ),
    (
        re.compile(r"(^|\.)(convstream\.convs|fusion_blks)\.\d+\."),
        "holds only the decoder of MIPHEI ({key}), which needs the features of its backbone",
    ),
    (
        re.compile(r"(^|\.)segmentation_head(_\d+)?\."),
        "looks like a U-Net of segmentation_models_pytorch ({key}), whose encoder is a classifier "
        "with code of its own",
    ),
    (
        re.compile(r"(^|\.)feature_integration\."),
        "looks like HistoPlexer's generator with features of another network ({key}), which no "
        "image holds",
    ),
)
_NO_NAME = {"", "module", "_orig_mod"}


@dataclass(frozen=True)
class Found:
    """A generator in a checkpoint.

    Attributes:
        part: where it was, in words that a user can give back as `part`; "" for a bare state.
        state: its weights under bare keys; the tensors are those of the file.
        family: which recognised it.
        arguments: what the family read.
        note: a sentence about the choice, if the file holds averaged weights besides others.
    """

    part: str
    state: State
    family: Family
    arguments: Arguments
    note: str = ""


def show(text: object, length: int = 80) -> str:
    """Text from a file, made safe for a terminal: one line, printable, not long."""
    safe = "".join(c if c.isprintable() else "?" for c in str(text)[: length + 1])
    return safe if len(safe) <= length else safe[:length] + "..."


def recognise(state: Mapping[str, Tensor]) -> tuple[Family, Arguments] | None:
    """The family that knows a state dict with bare keys, and what it reads; None if none does.

    Weights may be stored in parts (spectral norm, weight norm).
    """
    shapes = whole_shapes(state)
    for family in GENERATOR_FAMILIES.values():
        arguments = family.recognise(shapes)
        if arguments is not None:
            return family, arguments
    return None


def unwrap(tree: object, part: str | None = None) -> Found:
    """Find one generator in the content of a checkpoint.

    Averaged weights (a name with `ema`) are preferred to the ones they average.

    Args:
        tree: what was in the file; it is not changed.
        part: the name of the wanted generator, such as `G_B`, where there are several.

    Raises:
        CheckpointError: no generator, or several and `part` names none or more than one of them.
    """
    states = list(_states(tree, "", {}))
    if not states:
        raise CheckpointError("it holds no weights under names (a state dict)")
    if sum(len(state) for _, state in states) > _MAX_KEYS:
        raise CheckpointError(f"it holds more than {_MAX_KEYS} tensors, which no generator has")
    found = [f for name, state in states for f in _generators(name, state)]
    if not found:
        raise CheckpointError(_why_none(max((state for _, state in states), key=len)))
    names = ", ".join(f.part or "(the file itself)" for f in found)
    if part is not None:
        wanted = [f for f in found if f.part == part] or [
            f for f in found if f.part.endswith(f".{part}")
        ]
        if len(wanted) != 1:
            raise CheckpointError(
                f"it holds {'no' if not wanted else 'several'} {part}, "
                f"but these generators: {show(names, 300)}"
            )
        return wanted[0]
    averaged = [f for f in found if _EMA.search(f.part)]
    others = [f for f in found if f not in averaged]
    if len(averaged) * 2 >= len(found):
        found = averaged
    if len(found) > 1:
        raise CheckpointError(
            f"it holds several generators: {show(names, 300)}; name one, "
            f"as in checkpoint.pth:{show(found[0].part)}"
        )
    if averaged and others:
        left = show(", ".join(f.part or "(the file itself)" for f in others), 200)
        note = f"Averaged weights, {show(found[0].part)}; the file also holds {left}."
        return replace(found[0], note=note)
    return found[0]


def _states(tree: object, name: str, seen: dict[int, object]) -> Iterator[tuple[str, State]]:
    """All dicts that hold tensors themselves, with their dotted place in the tree."""
    if not isinstance(tree, Mapping) or id(tree) in seen or len(seen) > _MAX_DICTS:
        return
    seen[id(tree)] = tree  # a hostile file may refer to itself, or nest without end
    tensors = {k: v for k, v in tree.items() if isinstance(k, str) and isinstance(v, Tensor)}
    if tensors:
        yield name, tensors
    for key, value in tree.items():
        if isinstance(key, str) and isinstance(value, Mapping):
            yield from _states(value, f"{name}.{key}" if name else key, seen)


def _generators(name: str, state: State) -> list[Found]:
    """All groups of keys in a state dict that a family recognises, outermost first."""
    groups: dict[str, State] = {}
    for key, tensor in state.items():
        # torch.compile may wrap the network or any layer in it
        words = [word for word in key.split(".") if word != "_orig_mod"]
        for depth in range(min(_DEPTH, len(words))):
            prefix = "".join(f"{word}." for word in words[:depth])
            groups.setdefault(prefix, {})[".".join(words[depth:])] = tensor
    found: dict[str, Found] = {}
    for prefix in sorted(groups, key=len):
        if any(prefix.startswith(outer) for outer in found):
            continue
        known = recognise(groups[prefix])
        if known is not None:
            words = [w for w in f"{name}.{prefix}".split(".") if w not in _NO_NAME]
            found[prefix] = Found(".".join(words), groups[prefix], *known)
    return list(found.values())


def _why_none(state: State) -> str:
    """Say what a state dict without generator may be, and name its first keys."""
    convs = [tuple(t.shape) for t in state.values() if t.ndim == 4]
    keys = show(", ".join(list(state)[:4]), 200)
    if convs and convs[-1][0] == 1 and convs[-1][2:] in ((4, 4), (3, 3), (1, 1)):
        return f"it looks like a discriminator (its keys begin {keys}); give the generator's file"
    if any(re.search(r"(^|\.)mlp_\d+\.", key) for key in state):
        return f"it looks like CUT's feature network (its keys begin {keys}); give net_G's file"
    for pattern, why in _ELSEWHERE:
        key = next((key for key in state if pattern.search(key)), None)
        if key is not None:
            return (
                f"it {why.format(key=show(key))}; give the whole network as a function, "
                "--model package.module:factory"
            )
    names = ", ".join(GENERATOR_FAMILIES)
    return f"its keys fit no known generator ({names}); they begin {keys}"


def first_mismatches(want: Mapping[str, Any], have: Mapping[str, Any]) -> str:
    """Name the first keys that are missing, superfluous or of another shape; "" if all fit.

    Args:
        want: the tensors of the network.
        have: the tensors of the file.
    """
    missing = [k for k in want if k not in have]
    extra = [k for k in have if k not in want]
    wrong = [
        f"{k} {tuple(have[k].shape)} instead of {tuple(want[k].shape)}"
        for k in want
        if k in have and have[k].shape != want[k].shape
    ]
    kinds = {"missing": missing, "not expected": extra, "of another shape": wrong}
    return "; ".join(
        f"{len(keys)} {kind}: {show(', '.join(keys[:3]), 240)}"
        for kind, keys in kinds.items()
        if keys
    )
