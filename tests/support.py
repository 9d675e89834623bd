"""What several tests need: where the shared data is, and images and generators in memory."""

import copy
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import nn

from uhrtranslate.engine import GeneratorRunner, GeneratorTransform, Lanes, Masking, stream
from uhrtranslate.geometry import BlendedPlan, CellGrid, TilePlan
from uhrtranslate.models import Generator, GeneratorInfo
from uhrtranslate.models.resnet import ResnetGenerator

REPOSITORY = Path(__file__).resolve().parents[1]
UHRT = Path(sys.executable).parent / "uhrt"
SHARED = REPOSITORY.parent / "shared"


@contextmanager
def killed_at_last(run):
    """Kill a process at the end of the block, so that nobody waits for it if a test fails."""
    try:
        yield
    finally:
        run.kill()


def interrupted(command, number, *states):
    """Run a command until it has saved all these states, then send it a signal that it obeys.

    Gives stdout and stderr.
    """
    began = time.monotonic()
    with (
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Background jobs of a shell ignore Ctrl-C, and so would what they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as run,
        killed_at_last(run),
    ):
        while not all(state.exists() for state in states) and run.poll() is None:
            assert time.monotonic() < began + 180, "the run has not begun to write"
            time.sleep(0.05)
        run.send_signal(number)
        # At once, as the machine counts: ten seconds, or twice what it took to begin.
        out, errors = run.communicate(timeout=max(10, 2 * (time.monotonic() - began)))
    assert run.returncode == 128 + number
    assert "Traceback" not in errors
    assert "--resume goes on" in errors
    return out, errors


class ArraySource:
    """An array as a source, in strips of an awkward height."""

    def __init__(self, pixels, strip_height=96):
        self.pixels = pixels
        self.height, self.width = pixels.shape[:2]
        self.strip_height = strip_height
        self.dtype = pixels.dtype

    def read(self, x, y, w, h):
        assert x >= 0
        assert y >= 0
        assert x + w <= self.width
        assert y + h <= self.height
        return self.pixels[y : y + h, x : x + w]


class ArraySink:
    """Collects a result, and insists that every pixel comes once."""

    def __init__(self, height, width, dtype=np.uint8, start=0):
        self.start = start
        self.pixels = np.zeros((height, width, 3), dtype)
        self.written = np.zeros((height, width), int)

    def write(self, x, y, pixels):
        h, w = pixels.shape[:2]
        self.pixels[y : y + h, x : x + w] = pixels
        self.written[y : y + h, x : x + w] += 1

    def reached(self, y):
        """All above the row is there, and nothing below: what is saved here can be gone on with."""
        assert y > self.start
        assert (self.written[self.start : y] == 1).all()
        assert not self.written[y:].any()


class FloatRunner(GeneratorRunner):
    """Gives the generator's floats instead of pixels, [h, w, 3]."""

    def to_pixels(self, y, bits=8):
        return list(y.permute(0, 2, 3, 1).cpu().numpy())


def small_resnet(ngf=4, n_blocks=2, seed=1, **arguments):
    """A generator whose random weights are large enough to give contrast."""
    torch.manual_seed(seed)
    network = ResnetGenerator(ngf=ngf, n_blocks=n_blocks, **arguments)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, 0, 0.1)
    return network


def as_generator(module, **info):
    """A loaded generator around any module."""
    return Generator(module, GeneratorInfo("test", **info), "test", "0" * 64)


def translate_array(
    pixels,
    module,
    normalizer,
    *,
    cell,
    tile=None,
    halo=0,
    mirrored=False,
    thumbnail=None,
    batch=1,
    workers=2,
    floats=False,
    strip_height=96,
    stride=4,
    masking=None,
    devices=("cpu",),
    dtype=torch.float32,
    statistics_dtype=None,
    overlap=None,
    blend="linear",
    start=0,
):
    """Run the engine over an array, [h, w, 3] uint8; devices after the first have a copy each.

    With an overlap, tiles are blended. Rows above `start` are not computed, and stay black.
    """
    kind = FloatRunner if floats else GeneratorRunner
    modules = [module, *(copy.deepcopy(module) for _ in devices[1:])]
    runners = [
        kind(as_generator(own, stride=stride), torch.device(device), dtype, statistics_dtype)
        for own, device in zip(modules, devices, strict=True)
    ]
    height, width = pixels.shape[:2]
    grid = CellGrid(width, height, cell)
    if overlap is None:
        plan = TilePlan(grid, tile or cell, halo, stride, mirrored)
    else:
        plan = BlendedPlan(grid, tile or cell, 0, stride, False, overlap, blend)
    transform = GeneratorTransform(Lanes(runners), normalizer, plan, lambda: thumbnail)
    sink = ArraySink(height, width, np.float32 if floats else np.uint8, start)
    source = ArraySource(pixels, strip_height)
    stream(
        source,
        transform,
        sink,
        batch=batch,
        workers=workers,
        masking=masking or Masking(),
        start=start,
    )
    assert (sink.written[start:] == 1).all()
    assert (sink.written[:start] == 0).all()
    return sink.pixels
