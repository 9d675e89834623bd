"""Devices and precisions."""

import torch

from uhrtranslate.errors import OptionError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_devices(names: str) -> list[torch.device]:
    """The devices in a list such as `cuda:0,cuda:1`; see `choose_device`.

    Raises:
        OptionError: one of them does not exist, or they are of different kinds.
    """
    devices = [choose_device(name.strip()) for name in names.split(",")]
    if len({device.type for device in devices}) > 1:
        raise OptionError(f"--device {names}: devices that share the work must be of one kind.")
    return devices


def fast_precisions(device: torch.device) -> tuple[str, ...]:
    """Precisions that a device supports in hardware, and so is faster with than with float32."""
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        return ("bf16", "fp16") if major >= 8 else ("fp16",)
    facts = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    known = (getattr(torch.cpu, name, None) for name in facts)
    return ("bf16",) if any(ask is not None and ask() for ask in known) else ()


def choose_device(name: str) -> torch.device:
    """The device that `auto`, `cpu`, `cuda` or `cuda:N` means on this machine.

    Raises:
        OptionError: there is no such device.
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
