"""Devices and precisions."""

import torch

from uhrtranslate.errors import OptionError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str) -> torch.device:
    """The device that a user's `auto`, `cpu`, `cuda` or `cuda:N` means here.

    Raises:
        OptionError: no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise OptionError(f"--device {name}: not a device; use auto, cpu or cuda:N.") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise OptionError(
            f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices "
            "that torch can use; use --device cpu."
        )
    if device.type not in ("cpu", "cuda"):
        raise OptionError(f"--device {name}: only cpu and cuda are supported.")
    return device
