"""Which forwards a generator gets: as torch runs them, or compiled.

The choice follows from the machine, the device and the generator alone. It is not timed, and does
not look at the images, so the same job gives the same bytes each time, and a resumed one goes on
alike.
"""

import torch

from uhrtranslate.engine.forward.runner import GeneratorRunner
from uhrtranslate.engine.gpu import runner as gpu
from uhrtranslate.engine.native.build import available
from uhrtranslate.engine.native.runner import NativeRunner


def choose_runner(
    device: torch.device, wanted: bool | None, opaque: bool
) -> tuple[type[GeneratorRunner], str]:
    """The kind of runner, and what to tell the user of it.

    Args:
        device: where the generator runs.
        wanted: as the user says; None: compiled where that never costs more than it saves.
        opaque: whether nobody sees the generator's layers.
    """
    if wanted is not None:
        kind = NativeRunner if device.type == "cpu" else gpu.GpuRunner
        return (kind, "compiled") if wanted else (GeneratorRunner, "not compiled")
    if opaque:
        return GeneratorRunner, "not compiled (TorchScript)"
    if device.type != "cpu":
        if (why := gpu.trouble(device)) is not None:
            return GeneratorRunner, f"not compiled ({why})"
        return gpu.GpuRunner, "compiled"
    if not available():
        return GeneratorRunner, "not compiled (no C++ compiler)"
    return NativeRunner, "compiled"
