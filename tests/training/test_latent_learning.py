"""Latent diffusion learns: a classifier of real patches knows the classes of synthetic ones."""

from contextlib import closing

import numpy as np
import pytest
import torch
from latent_problems import write_classes

from uhrtranslate.models.latent_diffusion import load_latent_diffusion
from uhrtranslate.tables import TRAINING_METHODS
from uhrtranslate.training.configuration import make_train_options
from uhrtranslate.training.data.batches import stacked
from uhrtranslate.training.networks.noising import synthesised
from uhrtranslate.training.run.learner import Learner

PATCH = 32


def learned(values, steps):
    """Train on one core; gives the learner and some patches that it did not see."""
    options = make_train_options({**values, "epochs": 1, "decay": 9})
    learner = Learner(options, torch.device("cpu"))
    with closing(TRAINING_METHODS[options.method].open_patches(options)) as patches:
        for step in range(steps):
            numbers = range(step * options.batch, (step + 1) * options.batch)
            samples = stacked([patches.sample(number) for number in numbers])
            learner.step(samples, max(0, 20 * step // steps - 10))
        return learner, stacked([patches.sample(10**6 + number) for number in range(160)])


def features(images):
    """Mean and deviation of each colour, [n, 6]."""
    return torch.cat([images.mean((2, 3)), images.std((2, 3))], 1).numpy()


class NearestCentre:
    """The simplest classifier, of standardised features."""

    def __init__(self, images, classes):
        x = features(images)
        self.deviation = x.std(0)
        self.centres = np.stack([x[classes == one].mean(0) for one in (0, 1)])

    def accuracy(self, images, classes):
        away = ((features(images)[:, None] - self.centres) / self.deviation) ** 2
        return float((away.sum(2).argmin(1) == classes).mean())


@pytest.mark.slow
def test_synthetic_patches_are_of_the_class_that_was_asked_for(tmp_path):
    """Real tissue in two looks; tiny latents, some hundred steps, DDIM of 20."""
    write_classes(tmp_path / "classes")
    place = str(tmp_path / "classes")
    data = {"patch": PATCH, "shrink": 4, "tissue": 0.1, "rotate": True}
    autoencoder = {
        "method": "autoencoder",
        "data": {**data, "images": place},
        "network": {"width": 16, "factor": 4, "multiples": [1, 1, 2], "layers": 1, "groups": 8},
        "batch": 8,
        "lr": 0.004,
    }
    learner, unseen = learned(autoencoder, 120)
    real, back = learner.pictures(unseen)
    # To give each patch its mean colour is 0.2 off.
    assert (real - back).abs().mean() < 0.17
    file = tmp_path / "autoencoder.safetensors"
    learner.method.save(file, "autoencoder", learner.exports()["autoencoder"], None)

    pathup = {
        "method": "pathup",
        "data": {**data, "classes": place},
        "autoencoder": str(file),
        "denoiser": {"widths": [32, 64], "layers": 1, "attention": 0, "head": 32, "groups": 8},
        # What the classes look like is learned first where all steps count by the picture.
        "noise": {"prediction": "sample"},
        "batch": 16,
        "lr": 0.002,
        "ema": 0.97,
    }
    learner, unseen = learned(pathup, 200)
    learner.method.save(tmp_path / "m.safetensors", "pathup", learner.exports()["pathup"], None)
    model = load_latent_diffusion(tmp_path / "m.safetensors")

    prompts = torch.arange(4).repeat(20)
    side = PATCH // model.factor
    start = torch.randn(80, 4, side, side, generator=torch.Generator().manual_seed(7))
    way = (start, 20, 2.0)
    latents = synthesised(model.denoiser, model.noise, prompts, model.prompts.null, *way)
    assert 0.5 < latents.std() < 2
    with torch.no_grad():
        made = model.autoencoder.decode(latents).clamp(-1, 1)
    classes = (unseen["prompts"] // 2).numpy()
    judge = NearestCentre(unseen["images"][:80], classes[:80])
    assert judge.accuracy(unseen["images"][80:], classes[80:]) > 0.9
    assert judge.accuracy(made, prompts.numpy() // 2) >= 0.8
