"""Networks of all that kernels meet, small."""

import torch
from support import small_resnet
from torch import nn

from uhrtranslate.models.kaminyou import KaminyouGenerator
from uhrtranslate.models.unet import UnetGenerator


def doubled(how):
    """A network whose norm is used in two places, with something else between."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = (nn.Conv2d(c, 6, 3, padding=1) for c in (3, 6))
            self.norm, self.last = nn.InstanceNorm2d(6, affine=True), nn.Conv2d(6, 3, 3, padding=1)

        def forward(self, x):
            if how == "by size" and x.shape[-1] > 10**6:  # which no trace can follow
                return x
            x = self.norm(self.first(x))
            y = self.norm(self.second(torch.relu(x)))
            return torch.tanh(self.last(x + y))

    return Twice()


NETWORKS = {
    "resnet": lambda: small_resnet(ngf=4, n_blocks=2, affine=True),
    "wide": lambda: small_resnet(ngf=16, n_blocks=1, padding="zero"),
    "antialiased": lambda: small_resnet(ngf=16, n_blocks=1, antialias=True, antialias_up=True),
    "kaminyou": lambda: KaminyouGenerator(ngf=16, n_blocks=2, affine=True),
    "kaminyou, strided": lambda: KaminyouGenerator(
        ngf=8, n_blocks=2, antialias=False, antialias_up=False
    ),
    "unet": lambda: UnetGenerator(ngf=4, n_downs=5, norm="instance"),
    "shared norm": lambda: doubled("simply"),
    "not to trace": lambda: doubled("by size"),
}
