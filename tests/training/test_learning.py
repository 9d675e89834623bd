"""Each method learns a tiny problem with a known answer, better than doing nothing."""

import pytest
from problems import DarkProblem, Problem, learn, psnr

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
# Method, its options, steps, by how many dB it must beat the identity (12.5 dB), and of how many
# starts one must do so. Seeds 0 to 4, and the instructions of other processors (each rounds in its
# own way, which hundreds of steps of a GAN amplify) gave: CycleGAN 3.1 to 4.6, CUT 1.3 to 2.9,
# pix2pix 2.9 to 4.3, pyramid pix2pix 2.4 to 4.5. FastCUT and L-LSeSim miss in one or two of five
# starts, as they settle on other colours; the others get no second try.
METHODS = [
    ("cyclegan", {"lr": 1e-3, "discriminator": {"ndf": 8, "layers": 2}}, 400, 2.0, 1),
    ("cut", {**CONTRAST, "lr": 5e-4}, 400, 0.7, 1),
    ("fastcut", {**CONTRAST, "lr": 1e-3}, 300, 0.7, 3),
    ("lsesim", {**SIMILARITY, "lr": 5e-4}, 500, 0.5, 3),
    ("pix2pix", {}, 400, 1.5, 1),
    ("pyramid-pix2pix", {}, 400, 1.5, 1),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "options", "steps", "margin", "starts"), METHODS, ids=[case[0] for case in METHODS]
)
def test_methods_learn_a_change_of_stain(method, options, steps, margin, starts):
    """From pairs that are a few pixels off, or without pairs."""
    gains = []
    while len(gains) < starts and max(gains, default=0) <= margin:
        paired = method.endswith("pix2pix")
        problem = Problem(paired, shift=3 if paired else 0)
        start = {**NETWORKS, **options, "method": method, "seed": len(gains)}
        identity, before, after = learn(problem, steps, **start)
        assert before < identity
        gains.append(after - identity)
    assert max(gains) > margin, gains


# The way back gets less weight than in the paper: it would need thousands of steps first.
STAINING = {
    **NETWORKS,
    "generator": {**NETWORKS["generator"], "inputs": ["rgb", "enhanced"]},
    "discriminator": {"ndf": 8, "layers": 2, "norm": "instance"},
}
TAUGHT = {"teacher": {"ngf": 8, "epochs": 1, "decay": 9, "lr": 2e-3}}


def enhancement(problem):
    """PSNR of the enhanced grey by itself."""
    a, b = problem.held_out()
    return psnr(problem.planes(a)[:, -1:].expand(-1, 3, -1, -1), b)


@pytest.mark.slow
def test_digital_staining_learns_from_unpaired_images():
    """Better than the dark field, than its enhanced grey, and than the untrained network."""
    problem = DarkProblem(paired=False)
    options = {"method": "digital-staining", "cycle": 1.0, **STAINING, **TAUGHT}
    copy, before, after = learn(problem, 300, lessons=100, **options)
    grey = enhancement(problem)
    assert copy < 6
    assert before < grey
    # Seeds 0 to 2 gave 15.3 to 16.0 dB, the enhanced grey has 12.8.
    assert after > grey + 1, (after, grey)


@pytest.mark.slow
def test_digital_staining_forgives_pairs_that_are_off():
    """By 4 px: one of two starts beats the enhanced grey, and pix2pix of the same planes."""
    staining = {**STAINING, **TAUGHT, "method": "digital-staining-paired"}
    grey = enhancement(DarkProblem(paired=True))
    # Seeds 0 and 1 gave 16.2 and 14.8 dB, pix2pix 12.7 and 13.9.
    gains = []
    while len(gains) < 2 and max(gains, default=0) <= 0.5:
        start = {"seed": len(gains)}
        problems = [DarkProblem(paired=True, shift=4) for _ in range(2)]
        more = {"registration": {"width": 8}, **start}
        *_, after = learn(problems[0], 250, lessons=80, **staining, **more)
        *_, plain = learn(problems[1], 250, **{**STAINING, "method": "pix2pix"}, **start)
        assert after > grey + 0.5, (after, grey)
        gains.append(after - plain)
    assert max(gains) > 0.5, gains
