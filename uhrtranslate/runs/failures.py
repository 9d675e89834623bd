"""Errors as sentences for users."""

import torch

from uhrtranslate.errors import UhrError


def in_a_sentence(name: str, error: Exception) -> str:
    """Describe an error of any kind in a sentence; `name` says what failed."""
    if isinstance(error, UhrError):
        return str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return f"{name}: memory is not enough; use a smaller --tile or --batch."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or name}: cannot be read or written ({error.strerror})."
    reason = f"{type(error).__name__}: {error}"
    return f"{name}: failed unexpectedly ({reason}); --debug tells more."
