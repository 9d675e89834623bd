"""Bytes of orders and receipts, which can be of plain values and our own types only.

Reading a pickle calls whatever it names. Dask reads tasks so, which is why workers, scheduler and
client must trust each other (docs/cluster.md); what we send in them names nothing but our own
types, arrays and paths, and is read in this way on both sides.
"""

import builtins
import io
import pickle
from typing import Any

# Packages all of whose types may be read; whatever else may be, by module and name.
ROOTS = {"uhrtranslate"}
_OTHERS = {
    "builtins": {"set", "frozenset", "bytearray", "complex", "range", "slice", "object"},
    "collections": {"OrderedDict", "deque", "defaultdict", "Counter"},
    "copyreg": {"_reconstructor"},
    "pathlib": {"Path", "PurePath", "PosixPath", "PurePosixPath", "WindowsPath"},
    "numpy": {"dtype", "ndarray"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.numeric": {"_frombuffer"},
    "numpy.core.numeric": {"_frombuffer"},
    "torch": {"OutOfMemoryError"},
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name in _OTHERS.get(module, ()) or _is_error(module, name):
            return super().find_class(module, name)
        if _is_ours(module):
            found = super().find_class(module, name)
            # Not what one of our modules has imported, as `subprocess.Popen`.
            if isinstance(found, type) and _is_ours(found.__module__):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no type that uhrt sends")


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ROOTS


def _is_error(module: str, name: str) -> bool:
    """Whether it is one of Python's own exceptions."""
    found = getattr(builtins, name, None) if module == "builtins" else None
    return isinstance(found, type) and issubclass(found, Exception)


def dumps(value: Any) -> bytes:
    """A value as bytes; errors without the tracebacks that Dask has them carry."""
    file = io.BytesIO()
    writer = pickle.Pickler(file)
    writer.dispatch_table = {}
    writer.dump(value)
    return file.getvalue()


def loads(data: bytes) -> Any:
    """The value of bytes.

    Raises:
        pickle.UnpicklingError: something in them is neither a plain value nor of our own types.
    """
    return _Reader(io.BytesIO(data)).load()
