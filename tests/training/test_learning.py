"""Each method learns a tiny problem with a known answer, better than doing nothing."""

import pytest
from problems import Problem, learn

# Small networks, sharper than the papers' rates, as there are few steps.
NETWORKS = {
    "generator": {
        "architecture": "resnet",
        "norm": "instance",
        "dropout": False,
        "antialias": False,
        "ngf": 8,
        "blocks": 2,
    },
    "discriminator": {"ndf": 16, "layers": 2, "antialias": False, "norm": "instance"},
    "lr": 2e-3,
}
CONTRAST = {"layers": [0, 4, 7, 10], "patches": 64, "width": 64}
SIMILARITY = {"vgg_width": 8, "layers": [2, 4], "patches": 64, "window": 16, "width": 32}
# Method, its options, steps, and by how many dB it beats the identity (12.5 dB) at the least.
UNPAIRED = [
    ("cyclegan", {"lr": 1e-3, "discriminator": {"ndf": 8, "layers": 2}}, 400, 3.0),
    ("cut", {**CONTRAST, "lr": 5e-4}, 400, 1.0),
    ("fastcut", {**CONTRAST, "lr": 5e-4}, 300, 1.0),
    ("lsesim", {**SIMILARITY, "lr": 5e-4}, 500, 0.5),
]
# Processors round otherwise, and 400 steps of a GAN amplify it: 2.86 dB on one, over 3 on others.
PAIRED = [("pix2pix", {}, 400, 2.0), ("pyramid-pix2pix", {}, 400, 3.0)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "options", "steps", "margin"), UNPAIRED, ids=[case[0] for case in UNPAIRED]
)
def test_unpaired_methods_learn_a_change_of_stain(method, options, steps, margin):
    options = {**NETWORKS, **options, "method": method}
    identity, before, after = learn(Problem(paired=False), steps, **options)
    assert after > identity + margin
    assert after > before + margin


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "options", "steps", "margin"), PAIRED, ids=[case[0] for case in PAIRED]
)
def test_paired_methods_learn_it_from_misaligned_pairs(method, options, steps, margin):
    options = {**NETWORKS, **options, "method": method}
    identity, before, after = learn(Problem(paired=True, shift=3), steps, **options)
    assert after > identity + margin
    assert after > before + margin
