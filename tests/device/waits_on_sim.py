"""How often the host waits for a device: a GPU that is waited for runs out of work meanwhile."""

import pytest
import simulated_device
import torch
from device_cases import CELL, SECTION, batch_for, options_of, translated
from problems import Problem
from support import small_resnet

from uhrtranslate.engine import GeneratorRunner
from uhrtranslate.tables import NORMALIZERS, TRAINING_METHODS
from uhrtranslate.training.configuration import make_train_options
from uhrtranslate.training.run.learner import Learner

simulated_device.install()


@pytest.fixture
def calls(monkeypatch):
    """How often the runners record, and give pixels."""
    counts = {"record": 0, "to_pixels": 0}

    def counted(name):
        original = getattr(GeneratorRunner, name)

        def method(*arguments):
            counts[name] += 1
            return original(*arguments)

        monkeypatch.setattr(GeneratorRunner, name, method)

    for name in counts:
        counted(name)
    return counts


@pytest.mark.parametrize("name", NORMALIZERS)
@pytest.mark.parametrize("mirrored", [False, True], ids=["context", "mirrored"])
@pytest.mark.parametrize("batch", [1, 3])
def test_batches_of_cells_do_not_wait_and_batches_of_tiles_once(calls, name, mirrored, batch):
    """Counted twice: for a batch's pixels, and then for whether they are finite.

    And once for each row of cells: which of them have statistics that are finite. Nothing waits in
    the middle of a forward, whatever it is given.
    """
    network = small_resnet(n_blocks=1).to("sim:0")
    with simulated_device.counted_waits() as waits:
        translated(name, mirrored, network=network, batch=batch, devices=["sim:0"])
    assert calls["to_pixels"] > 1
    rows = -(-len(SECTION) // CELL)
    assert waits.of("read") <= 2 * calls["to_pixels"] + rows, waits
    assert waits.of("upload") == 0, waits


@pytest.mark.parametrize("method", TRAINING_METHODS)
def test_a_training_step_reads_nothing_back(method):
    options = {**options_of(method), "ema": 0.9, "clip": 1.0}
    learner = Learner(make_train_options(options), torch.device("sim:0"))
    batch = batch_for(method, Problem(paired=False))
    with simulated_device.counted_waits() as waits:
        learner.step(batch, epoch=0)
    assert waits.of("read") == 0, waits
