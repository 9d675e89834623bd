"""What training needs of a device: steps of every method learn there what they learn on the CPU."""

import copy

import pytest
import simulated_device
import torch
from device_cases import SMALL, losses_of, trained, weights
from problems import Problem

from uhrtranslate.tables import TRAINING_METHODS

simulated_device.install()


@pytest.mark.parametrize("method", TRAINING_METHODS)
def test_steps_are_those_of_the_cpu(method):
    """The second step's losses, and the weights after it, show what the first one taught.

    The device sums with the CPU's kernels, so hardly anything is rounded otherwise; a hundredth of
    the learning rate is left for what is.
    """
    reference, expected = trained(method, "cpu")
    learner, found = trained(method, "sim:0")
    assert {p.device for p in learner.networks.parameters()} == {torch.device("sim:0")}
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    assert expected[1] != pytest.approx(expected[0], rel=1e-2), "nothing was learned"
    moved, there = weights(learner), weights(reference)
    for name, value in there.items():
        if name.endswith("to_k.bias"):
            continue  # it shifts all of a softmax: its gradient is what rounding leaves
        near = torch.isclose(moved[name], value, rtol=1e-4, atol=SMALL["lr"] / 100)
        # Of an autoencoder's weights, some have gradients that are rounding alone, too.
        assert near.float().mean() >= (0.99 if method == "autoencoder" else 1), name


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_steps_in_reduced_precision_are_those_of_the_cpu(precision):
    """The same operators are reduced; fp16's first scale is too large, and is lowered by both."""
    reference, expected = trained("cut", "cpu", precision)
    learner, found = trained("cut", "sim:0", precision)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=2e-2)
    _, exact = trained("cut", "cpu")
    assert found[0] != pytest.approx(exact[0], rel=1e-6), "nothing was reduced"
    assert learner.state()["scaler"] == reference.state()["scaler"]


def test_a_state_is_taken_back():
    """With the pools of earlier results, which are on the device, too."""
    learner, _ = trained("cyclegan", "sim:0")
    state = copy.deepcopy(learner.state())
    batch = Problem(paired=False).batch()
    expected = losses_of(learner.step(batch, epoch=0))
    other, _ = trained("cyclegan", "sim:0", steps=0)
    other.load_state(state)
    assert losses_of(other.step(batch, epoch=0)) == expected
