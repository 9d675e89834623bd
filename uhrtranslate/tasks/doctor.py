"""A check of the installation: versions, devices, codecs, and what is missing."""

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import imagecodecs
import numpy as np
import openslide
import tifffile
import torch
from PIL import features

from uhrtranslate.engine import choose_runner
from uhrtranslate.engine.native.build import Built, built
from uhrtranslate.io import OutputSpec, open_writer
from uhrtranslate.io.files.memory import available_memory
from uhrtranslate.models import bundled_generators
from uhrtranslate.tables import COMPRESSIONS
from uhrtranslate.version import PACKAGES as DECISIVE
from uhrtranslate.version import versions

PACKAGES = (*DECISIVE, "pillow", "scikit-image", "safetensors", "pydantic", "typer")
# Package to import, the extra that installs it, and what it is for.
EXTRAS = (
    ("zarr", "zarr", "--format ome-zarr"),
    ("aiohttp", "remote", "inputs by URL"),
    ("s3fs", "remote", "inputs by URL"),
    ("onnx", "export", "uhrt models export to ONNX"),
    ("onnxruntime", "export", "uhrt models export to ONNX"),
    ("distributed", "cluster", "--cluster"),
    ("dask_jobqueue", "slurm", "--cluster slurm:CONFIG.yaml"),
)
# What compiled forwards lack; without them all works, and takes longer (docs/performance.md).
NO_KERNELS = "a C++ compiler, without which a CPU takes about twice as long: apt install g++"
NO_TRITON = "--compile on a GPU: pip install triton"
NO_CUDA = "GPUs: this torch is made for CPUs alone; install another (pytorch.org)"


@dataclass(frozen=True)
class Device:
    """Where generators can run.

    Attributes:
        name: as `--device` takes it.
        model: of the chip.
        memory: bytes; None if unknown.
        note: threads, instruction set, or compute capability.
        forwards: how a generator runs there by default: compiled, or why not.
    """

    name: str
    model: str
    memory: int | None
    note: str
    forwards: str


@dataclass(frozen=True)
class Diagnosis:
    """The state of an installation; fit for JSON.

    Attributes:
        versions: of uhrt, Python, the system, packages and libraries.
        devices: where generators can run, the one that `auto` takes first.
        kernels: compiled forwards on the CPU.
        cuda: what torch can do with GPUs of Nvidia, in a few words.
        triton: whether Triton is there, which compiled forwards on a GPU need.
        codecs: by name, whether it decodes what it encoded.
        generators: the bundled ones.
        free_disk: free bytes in the current folder.
        problems: what does not work, and what to do; empty if all is well.
        missing: optional parts, and how to install them.
    """

    versions: dict[str, str]
    devices: tuple[Device, ...]
    kernels: Built
    cuda: str
    triton: bool
    codecs: dict[str, bool]
    generators: tuple[str, ...]
    free_disk: int
    problems: tuple[str, ...]
    missing: tuple[str, ...]


def diagnose() -> Diagnosis:
    """Check everything that translations need."""
    found = versions(PACKAGES)
    problems = [
        f"{name} is not installed; run: pip install --force-reinstall uhrtranslate"
        for name in PACKAGES
        if name not in found
    ]
    found["system"] = f"{platform.system()} {platform.release()} {platform.machine()}"
    found["openslide library"] = openslide.__library_version__
    found["jpeg library"] = imagecodecs.jpeg8_version()
    codecs = {name: _works(name) for name in COMPRESSIONS}
    codecs |= {name: bool(features.check(name)) for name in ("webp", "jpg_2000", "littlecms2")}
    for name, works in codecs.items():
        if not works:
            problems.append(f"the codec {name} does not work; reinstall imagecodecs and pillow")
    missing = {
        f"{purpose}: pip install 'uhrtranslate[{extra}]'": None
        for module, extra, purpose in EXTRAS
        if not _has(module)
    }
    kernels, triton = built(), find_spec("triton") is not None
    if kernels.compiler is None and sys.platform == "linux":
        missing[NO_KERNELS] = None
    if torch.cuda.device_count() and not triton:
        missing[NO_TRITON] = None
    if torch.version.cuda is None and shutil.which("nvidia-smi"):
        missing[NO_CUDA] = None
    return Diagnosis(
        versions=found,
        devices=tuple(_devices()),
        kernels=kernels,
        cuda=_cuda(),
        triton=triton,
        codecs=codecs,
        generators=tuple(bundled_generators()),
        free_disk=shutil.disk_usage(Path.cwd()).free,
        problems=tuple(problems),
        missing=tuple(missing),
    )


def _works(compression: str) -> bool:
    """Whether a codec gives pixels back unchanged, or nearly so."""
    pixels = np.full((64, 64, 3), 200, np.uint8)
    pixels[16:48] = 50
    spec = OutputSpec(64, 64, compression=compression, tile=64)
    try:
        with TemporaryDirectory() as folder:
            path = Path(folder, "a.tif")
            with open_writer(path, spec) as writer:
                writer.write(0, 0, pixels)
            found = tifffile.imread(path)
    except Exception:  # codecs that are missing in a build fail in different ways
        return False
    return bool(np.abs(found.astype(int) - pixels).mean() < 2)


def _has(module: str) -> bool:
    try:
        import_module(module)
    except ImportError:
        return False
    return True


def _devices() -> list[Device]:
    devices = []
    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        note = f"compute capability {facts.major}.{facts.minor}"
        name = f"cuda:{number}"
        devices.append(Device(name, facts.name, facts.total_memory, note, _forwards(name)))
    capability = torch.backends.cpu.get_cpu_capability()
    note = f"{torch.get_num_threads()} threads of {os.cpu_count()}, {capability}"
    chip, memory = platform.processor() or sys.platform, available_memory()
    devices.append(Device("cpu", chip, memory, note, _forwards("cpu")))
    return devices


def _forwards(device: str) -> str:
    """How a generator runs on a device unless options say otherwise."""
    return choose_runner(torch.device(device), None, opaque=False)[1]


def _cuda() -> str:
    """What torch can do with GPUs."""
    if torch.version.cuda is None:
        return "none, as this torch is made without CUDA"
    count = torch.cuda.device_count()
    return f"CUDA {torch.version.cuda}, {count or 'no'} GPU{'' if count == 1 else 's'} found"
