"""An accelerator that is not there: a torch back end whose tensors lie in the memory of the CPU.

It computes what the CPU computes, and is as strict as a GPU about where tensors are: an operator
that is given tensors of two devices raises, numpy cannot see its tensors, and whatever makes the
host wait for a GPU is counted. So tests can tell whether code written for a GPU stays on it.

`install` cannot be undone, and must come before the first backward pass of a process (autograd
starts one thread for each device that it knows by then), so tests that use the device run in a
process of their own: see `device/test_on_simulated_device.py`.
"""

import sys
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from torch.utils import backend_registration
from torch.utils._pytree import tree_leaves, tree_map

NAME = "sim"
COUNT = 2
SETUP = getattr(backend_registration, "_setup_privateuseone_for_python_backend", None)
CPU = torch.device("cpu")
PACKAGE = str(Path(__file__).resolve().parents[1] / "uhrtranslate")

COPIES = {"aten::_to_copy", "aten::copy_"}
# Indices and masks may lie on the CPU, as torch moves them; what is indexed may not.
INDEXING = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}
# The host cannot go on before it knows the result, or how large it is.
READ_BACK = {
    "aten::_local_scalar_dense",
    "aten::nonzero",
    "aten::masked_select",
    "aten::equal",
    "aten::_unique2",
    "aten::bincount",
}
# What autocast does on CUDA to the operators of this package's networks and losses. On the CPU it
# does the same but for cosine_similarity and norm, which stay as they are there.
LOWERED = (
    "conv2d", "conv_transpose2d.input", "linear", "matmul", "mm", "bmm", "addmm", "baddbmm",
)  # fmt: skip
RAISED = ("mse_loss", "l1_loss", "binary_cross_entropy_with_logits", "nll_loss", "nll_loss_nd")


class SimTensor(Tensor):
    """A tensor on the device; `inner` holds its values, on the CPU."""

    @staticmethod
    def __new__(cls, inner, device):
        return Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=device,
        )

    def __init__(self, inner, device):
        self.inner = inner

    def __repr__(self):
        return f"SimTensor({self.inner}, device={self.device})"

    # With these two, `Module.to` swaps a parameter for its copy on the device.

    def __tensor_flatten__(self):
        return ["inner"], self.device

    @staticmethod
    def __tensor_unflatten__(parts, device, size, stride):
        return SimTensor(parts["inner"], device)

    @classmethod
    def __torch_dispatch__(cls, operator, types, args=(), kwargs=None):
        # In inference mode what is made of other operators (`to`, `item`, `linear`) comes whole.
        if torch._C._dispatch_has_kernel_for_dispatch_key(
            operator.name(), "CompositeImplicitAutograd"
        ):
            return operator.decompose(*args, **(kwargs or {}))
        return run(operator, args, kwargs or {})


class Waits(Counter):
    """How often the host waited for a device, by kind and by the line that made it wait.

    Kinds: `read` (`.cpu()`, `.item()`, `bool()`, `nonzero`, a mask as index, ...), `upload` (a copy
    to the device that is not `non_blocking`) and `between` (from device to device).
    """

    def of(self, kind):
        return sum(count for (what, _), count in self.items() if what == kind)

    def __str__(self):
        return "\n".join(f"{count} x {kind} at {place}" for (kind, place), count in self.items())


_counting: list[Waits] = []
_lock = threading.Lock()


@contextmanager
def counted_waits():
    """Count, in all threads, while in the block; blocks are not to be nested."""
    waits = Waits()
    _counting.append(waits)
    try:
        yield waits
    finally:
        _counting.remove(waits)


def _count(kind):
    with _lock:
        for waits in _counting:
            waits[kind, _place()] += 1


def _place():
    """The line of the package that is at work, innermost."""
    frame = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(PACKAGE):
            return f"{file[len(PACKAGE) + 1 :]}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back
    return "outside the package"


def _is_sim(value):
    return isinstance(value, SimTensor)


def run(operator, args, kwargs):
    """One operator, on the CPU, after what a GPU would object to."""
    name = operator._schema.name
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    ours = [tensor for tensor in tensors if _is_sim(tensor)]
    device = torch.device(kwargs.get("device") or ours[0].device)
    if device.type == NAME and device.index is None:
        device = torch.device(NAME, 0)
    _refuse_mixtures(name, args, tensors)
    _note_waits(name, args, kwargs, device)
    inner = {id(tensor.inner): tensor for tensor in ours}

    def unwrapped(value):
        if isinstance(value, torch.device):
            return CPU
        return value.inner if _is_sim(value) else value

    def wrapped(value):
        # What an operator changed in place is the tensor that came in.
        if id(value) in inner:
            return inner[id(value)]
        return SimTensor(value, device) if isinstance(value, Tensor) and device != CPU else value

    # Tensors made in inference mode have no version, and a wrapper needs one to be viewed.
    with torch.inference_mode(False):
        result = operator(*tree_map(unwrapped, args), **tree_map(unwrapped, kwargs))
        return tree_map(wrapped, result)


def _refuse_mixtures(name, args, tensors):
    if name in COPIES:
        return
    if name in INDEXING:
        tensors = [part for part in (args[0], *args[2:3]) if isinstance(part, Tensor)]
    # A number in a tensor on the CPU is welcome everywhere.
    devices = {str(t.device) for t in tensors if _is_sim(t) or t.ndim}
    if len(devices) > 1:
        raise RuntimeError(
            f"{name}: expected all tensors to be on the same device, found {sorted(devices)}"
        )


def _note_waits(name, args, kwargs, device):
    if name in READ_BACK:
        _count("read")
    elif name in INDEXING:
        for index in args[1]:
            if index is not None and index.device == CPU and _is_sim(args[0]):
                _count("upload")
            elif index is not None and index.dtype == torch.bool:
                _count("read")  # how many there are
    elif name in COPIES:
        into = name == "aten::copy_"
        source, target = (args[1].device, args[0].device) if into else (args[0].device, device)
        if source == target:
            return
        if target == CPU:
            _count("read")
        elif source != CPU:
            _count("between")
        elif not (kwargs.get("non_blocking") or (into and len(args) > 2 and args[2])):
            _count("upload")


class _Backend:
    """What torch asks a back end's module, here `torch.sim`."""

    is_available = is_initialized = staticmethod(lambda: True)
    _is_in_bad_fork = staticmethod(lambda: False)
    current_device = staticmethod(lambda: 0)
    device_count = staticmethod(lambda: COUNT)
    manual_seed_all = staticmethod(lambda seed: None)
    get_amp_supported_dtype = staticmethod(lambda: [torch.bfloat16, torch.float16])


def _casting(operator, wanted):
    """An operator under autocast: its tensors are cast first, to what `wanted` says."""
    autocast = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def cast(value):
        reducible = _is_sim(value) and value.dtype.is_floating_point
        return value.to(wanted()) if reducible and value.dtype != torch.float64 else value

    def kernel(*args, **kwargs):
        with torch._C._ExcludeDispatchKeyGuard(autocast):
            return operator(*tree_map(cast, args), **tree_map(cast, kwargs))

    return kernel


_libraries: list[torch.library.Library] = []


def install():
    """Make the device known to torch, as `sim:0` and `sim:1`, for the rest of the process."""
    if _libraries:
        return

    class Guard(torch._C._acc.DeviceGuard):
        def type_(self):
            return torch._C._autograd.DeviceType.PrivateUse1

    SETUP(NAME, backend_module=_Backend, device_guard=Guard())
    every, aten = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
    # What makes tensors is given none that could say where: it comes by the device's key.
    every.fallback(lambda operator, *args, **kwargs: run(operator, args, kwargs), "PrivateUse1")
    # `torch.tensor` copies without asking tensors what they are.
    aten.impl(
        "copy_",
        lambda target, source, non_blocking=False: run(
            torch.ops.aten.copy_.default, (target, source), {"non_blocking": non_blocking}
        ),
        "PrivateUse1",
    )
    every.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    for names, wanted in (
        (LOWERED, lambda: torch.get_autocast_dtype(NAME)),
        (RAISED, lambda: torch.float32),
    ):
        for name in names:
            packet, _, overload = name.partition(".")
            operator = getattr(getattr(torch.ops.aten, packet), overload or "default")
            aten.impl(name, _casting(operator, wanted), "AutocastPrivateUse1")
    _libraries.extend([every, aten])
