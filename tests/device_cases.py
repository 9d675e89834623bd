"""What is translated and trained on the CPU and on another device, to be compared."""

from functools import cache

import latent_problems
import numpy as np
import skimage.data
import torch
from problems import Problem
from support import small_resnet, translate_array

from uhrtranslate.engine import Masking
from uhrtranslate.geometry import CellGrid, CellMask
from uhrtranslate.tables import NORMALIZERS, TRAINING_METHODS
from uhrtranslate.training.configuration import make_train_options
from uhrtranslate.training.run.learner import Learner

HEIGHT, WIDTH, CELL = 150, 190, 64
GRID = CellGrid(WIDTH, HEIGHT, CELL)


def section():
    """Real tissue with glass in its upper left, where cells have no statistics."""
    image = np.ascontiguousarray(skimage.data.immunohistochemistry()[:HEIGHT, :WIDTH])
    glass = np.random.default_rng(5).normal(240, 3, (130, 70, 3))
    image[:130, :70] = glass.astype(np.uint8)
    return image


SECTION = section()


@cache
def masking(masked):
    kept = np.ones((GRID.rows, GRID.cols), bool)
    kept[1, 1] = kept[2, 2] = False
    return Masking(CellMask(GRID, kept)) if masked else Masking()


def translated(name, mirrored=False, masked=False, network=None, **how):
    return translate_array(
        SECTION,
        network or small_resnet(n_blocks=1),
        NORMALIZERS[name](),
        cell=CELL,
        tile=CELL if mirrored else 96,
        halo=16 if mirrored else 24,
        mirrored=mirrored,
        thumbnail=SECTION[::3, ::3][:48, :60].copy(),
        masking=masking(masked),
        **how,
    )


# Once for both ways of running on the device.
on_the_cpu = cache(translated)


def assert_alike(found, expected, most=1):
    assert expected.std() > 20, "a flat result would prove nothing"
    assert np.abs(found.astype(int) - expected).max() <= most


# Of the methods' own kinds of networks, as small as they come.
SMALL = {
    "data": {"a": "a", "b": "b", "patch": 64},
    "generator": {"ngf": 4, "blocks": 1, "downs": 5},
    "epochs": 1,
    "decay": 0,
    "lr": 1e-3,
}
# Without what each device's own generator of random numbers draws.
UNDRAWN = {"dropout": False, "drop_path": 0}
OWN = {
    "cyclegan": {"pool": 1},
    "cut": {"layers": [0, 4, 8], "patches": 16, "width": 16},
    "fastcut": {"layers": [0, 4, 8], "patches": 16, "width": 16},
    "lsesim": {"vgg_width": 4, "layers": [2, 4], "patches": 16, "window": 8, "width": 16},
    "pix2pix": {"ema": 0.9, "clip": 1.0},
    "pyramid-pix2pix": {"pyramid": [1.0, 1.0]},
}


def options_of(method, **generator):
    """The smallest that a method takes; options of the generator may be given."""
    if method in latent_problems.METHODS:
        return latent_problems.options_of(method)
    options = {**SMALL, **OWN.get(method, {}), "method": method}
    options["generator"] = {**SMALL["generator"], **generator}
    if TRAINING_METHODS[method].options_class.one_domain:
        options["data"] = {"a": "a", "patch": 64}
    if "discriminator" in TRAINING_METHODS[method].options_class.model_fields:
        options["discriminator"] = {"ndf": 4, "layers": 2}
    return options


def trained(method, device, precision="fp32", steps=2, **generator):
    """The learner and the parts of its losses, per step; options of the generator may be given."""
    options = {**options_of(method, **generator), "precision": precision}
    learner = Learner(make_train_options(options), torch.device(device))
    problem = Problem(paired=TRAINING_METHODS[method].paired)
    batches = (batch_for(method, problem) for _ in range(steps))
    return learner, [losses_of(learner.step(batch, epoch=0)) for batch in batches]


def batch_for(method, problem):
    """A batch, with the planes that the method's generator takes by default."""
    if method in latent_problems.METHODS:
        return latent_problems.batch(int(problem.random.integers(1000)))
    batch = problem.batch()
    if method == "dstgan":
        batch["planes"] = batch["A"].mean(1, keepdim=True)
    return batch


def losses_of(phases):
    return {f"{p.group} {name}": part.item() for p in phases for name, part in p.parts.items()}


def weights(learner):
    return {name: value.cpu() for name, value in learner.networks.state_dict().items()}
