"""Small trainings of latent diffusion, and images of two classes with different looks."""

import functools
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from problems import recolour, section
from tiny_diffusion import tiny_autoencoder

from uhrtranslate.models.latent_diffusion import save_autoencoder

METHODS = ("autoencoder", "pathup")
PATCH = 32
NETWORK = {"factor": 4, "width": 8, "multiples": [1, 1, 1], "layers": 1, "groups": 4}
DENOISER = {"widths": [8, 16], "layers": 1, "attention": 1, "head": 8, "groups": 4}


@functools.cache
def autoencoder_file():
    """A file with an autoencoder of random weights; the same one in all tests of a process."""
    folder = tempfile.TemporaryDirectory(prefix="uhrt-test-")
    path = Path(folder.name) / "autoencoder.safetensors"
    save_autoencoder(path, tiny_autoencoder(cell=PATCH))
    return folder, path


def options_of(method, **more):
    """The smallest options of a method; the data need not exist."""
    common = {"method": method, "epochs": 1, "decay": 0, "lr": 1e-3, "batch": 4}
    if method == "autoencoder":
        own = {"data": {"images": "a"}, "network": NETWORK, "adversarial": 0.1}
        own |= {
            "adversarial_from": 0,
            "discriminator": {"ndf": 4, "layers": 2, "norm": "batch"},
            "kl": 1e-3,
        }
    else:
        folders = {"brown": "a", "pink": "b"}
        own = {"data": {"classes": folders}, "denoiser": DENOISER, "ema": None, "steps": 3}
        own |= {"autoencoder": str(autoencoder_file()[1]), "entropy": {"projection": 8}}
    own["data"] |= {"patch": PATCH, "tissue": 0}
    return {**common, **own, **more}


def batch(seed):
    """Random samples of four prompts."""
    random = torch.Generator().manual_seed(seed)
    images = 2 * torch.rand(4, 3, PATCH, PATCH, generator=random) - 1
    return {"images": images, "prompts": torch.arange(4)}


def write_classes(folder, size=512):
    """A folder with a folder of each class: tissue, and the same in other colours."""
    for name, image in (("brown", section()), ("pink", recolour(section()))):
        (folder / name).mkdir(parents=True)
        Image.fromarray(np.ascontiguousarray(image[:size, :size])).save(folder / name / "0.png")
    return folder
