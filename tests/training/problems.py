"""Tiny problems with a known answer: real tissue, recoloured by a fixed change of its stains."""

import numpy as np
import skimage.data
import torch
from PIL import Image
from skimage.color import hed2rgb, rgb2hed

from uhrtranslate.enhance import Stack, Tally, illuminance
from uhrtranslate.tables import TRAINING_METHODS
from uhrtranslate.training.configuration import make_train_options
from uhrtranslate.training.methods.base import GeneratorMethod
from uhrtranslate.training.run.learner import Learner

PATCH = 64
# Those that learn from two domains, or one, how to translate images.
GENERATOR_METHODS = [n for n, m in TRAINING_METHODS.items() if issubclass(m, GeneratorMethod)]
# Of the method that is under test; all else is its own default.
SMALL = {
    "data": {"a": "a", "b": "b", "patch": PATCH, "rotate": True},
    "generator": {"ngf": 8, "blocks": 2},
    "discriminator": {"ndf": 8, "layers": 2},
}


def section():
    """Real tissue stained by IHC, [512, 512, 3] uint8."""
    return skimage.data.immunohistochemistry()


def recolour(pixels):
    """The known answer: DAB becomes eosin-like, haematoxylin stronger."""
    stains = rgb2hed(pixels)
    changed = np.stack(
        [2.0 * stains[..., 0], 0.2 * stains[..., 1] + 2.0 * stains[..., 2], 0 * stains[..., 2]],
        axis=-1,
    )
    return np.round(hed2rgb(changed).clip(0, 1) * 255).astype(np.uint8)


def misaligned(pixels, random, most=3):
    """A patch cut a few pixels off: place y, x and size come from the caller."""
    return [int(random.integers(-most, most + 1)) for _ in range(2)]


def floats(patches):
    """[n, h, w, 3] uint8 to [n, 3, h, w] in -1..1."""
    return torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2).float() / 127.5 - 1


def psnr(x, y):
    """Of floats in -1..1."""
    return float(10 * torch.log10(4 / ((x - y) ** 2).mean()))


class Problem:
    """Patches for learning from the upper part of the section, for judging from the lower."""

    def __init__(self, paired, shift=0, seed=3):
        self.source, self.target = section(), recolour(section())
        self.random = np.random.default_rng(seed)
        self.paired, self.shift = paired, shift
        self.height = 384

    def place(self):
        margin = 4
        y = int(self.random.integers(margin, self.height - PATCH - margin))
        return y, int(self.random.integers(margin, 512 - PATCH - margin))

    def batch(self):
        y, x = self.place()
        v, u = self.place()
        if self.paired:
            dy, dx = misaligned(self.source, self.random, self.shift)
            v, u = y + dy, x + dx
        a = self.source[y : y + PATCH, x : x + PATCH]
        b = self.target[v : v + PATCH, u : u + PATCH]
        turns = int(self.random.integers(4))
        return {"A": floats([np.rot90(a, turns)]), "B": floats([np.rot90(b, turns)])}

    def planes(self, x):
        """What the generator takes of source patches: their colours."""
        return x

    def held_out(self):
        places = [(y, x) for y in (384, 448) for x in range(0, 512, PATCH)]
        return tuple(
            floats([image[y : y + PATCH, x : x + PATCH] for y, x in places])
            for image in (self.source, self.target)
        )


class DarkProblem(Problem):
    """Dark fields of the recoloured section: bright where it is dark, and without its colours."""

    inputs = ("rgb", "enhanced")

    def __init__(self, paired, shift=0, seed=3, inputs=inputs):
        super().__init__(paired, shift, seed)
        self.source = darken(self.target)
        self.stack = Stack(inputs, Tally.of(self.source), Tally.of(self.target))

    def planes(self, x):
        """Their colours and their enhanced grey."""
        pixels = ((x + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        return floats([self.stack(one) for one in pixels])

    def batch(self):
        batch = super().batch()
        return {**batch, "planes": self.planes(batch["A"])}


def darken(stained):
    """A dark field of a stained image: light is scattered where stains absorb it."""
    absorbed = 255 - illuminance(stained).astype(float)
    light = 4 + 130 * (absorbed / 255) ** 1.5
    return np.round(light[..., None] * [1.0, 0.9, 0.7]).astype(np.uint8)


def learn(problem, steps, lessons=0, **options):
    """Train a method, its teacher first if it has one.

    Gives the PSNR of the identity, and of its generator before and after.
    """
    options = {**SMALL, "epochs": 1, "decay": 9, **options}
    learner = Learner(make_train_options(options), torch.device("cpu"))
    a, b = problem.held_out()

    def judge():
        generator = learner.exports()["A2B"].eval()
        with torch.no_grad():
            found = psnr(generator(problem.planes(a)), b)
        generator.train()
        return found

    before, first = judge(), 0
    for stage in learner.stages:
        count = lessons if stage.name == "teacher" else steps
        for step in range(count):
            learner.step(problem.batch(), first + max(0, 20 * step // count - 10))
        first += stage.epochs
    return psnr(a, b), before, judge()


def write_pair(folder, count=1):
    """Two folders of images with equal names: tissue and its recoloured look."""
    for name, image in (("a", section()), ("b", recolour(section()))):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.fromarray(np.roll(image, 100 * i, 1)).save(folder / name / f"{i}.png")
    return folder
