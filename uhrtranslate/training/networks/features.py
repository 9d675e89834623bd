"""Activations inside networks, for methods that compare them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from uhrtranslate.errors import CheckpointError
from uhrtranslate.models.checkpoint import read_tree

# Rectified convolutions of VGG16 between its halvings, and their channels in units of the first's.
VGG16 = ((2, 1), (2, 2), (3, 4), (3, 8), (3, 8))
# Colours that VGG16 was trained on, of values in 0..1.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def layers_of(generator: nn.Module) -> list[nn.Module]:
    """The layers whose outputs can be compared, one after the other; none in some families."""
    return list(getattr(generator, "encoder", ()))


def encode(generator: nn.Module, x: Tensor, layers: Sequence[int]) -> list[Tensor]:
    """Outputs of some layers of a generator, which runs no further than the last of them.

    Args:
        generator: has `layers_of` it.
        x: what it takes, [n, c, h, w] in -1..1.
        layers: their numbers, from 0.

    Returns: [n, c, h', w'] each, in the order of the layers' numbers.
    """
    return outputs_of(layers_of(generator), x, layers)


def outputs_of(chain: Sequence[nn.Module], x: Tensor, wanted: Sequence[int]) -> list[Tensor]:
    """Outputs of some modules of a chain, by their numbers; those behind the last are not run."""
    outputs = []
    for number, module in enumerate(chain[: max(wanted) + 1]):
        x = module(x)
        if number in wanted:
            outputs.append(x)
    return outputs


def channels_of(generator: nn.Module, layers: Sequence[int]) -> list[int]:
    """Channels of the outputs of `encode`."""
    training = generator.training
    generator.eval()  # running statistics stay as they are
    with torch.no_grad():
        probe = torch.zeros(1, next(generator.parameters()).shape[1], 32, 32)
        channels = [feature.shape[1] for feature in encode(generator, probe, layers)]
    generator.train(training)
    return channels


class Vgg16(nn.Module):
    """The convolutions of VGG16 (Simonyan 2015) as far as needed, fixed.

    Args:
        layers: rectified convolutions to give the outputs of, counted from 1.
        weights: a state dict in torchvision's layout. None: random weights, always the same; they
            respond to local structure as well as one trained layer does, but not to objects.
        width: channels of the first convolutions.

    Raises:
        CheckpointError: the weights cannot be read, or are others.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, layers: Sequence[int], weights: Path | None = None, width: int = 64) -> None:
        super().__init__()
        body: list[nn.Module] = []
        self.channels: list[int] = []
        self._wanted: list[int] = []
        count, c = 0, 3
        for repeats, factor in VGG16:
            for _ in range(repeats):
                if count == max(layers):
                    break
                body += [nn.Conv2d(c, factor * width, 3, padding=1), nn.ReLU()]
                c = factor * width
                count += 1
                if count in layers:
                    self.channels.append(c)
                    self._wanted.append(len(body) - 1)
            body.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*body)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(STD)[:, None, None], persistent=False)
        if weights is None:
            self._randomise()
        else:
            self._load(weights)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """[n, 3, h, w] in -1..1 to [n, c, h', w'] for each of the layers."""
        x = ((x + 1) / 2 - self.mean) / self.std
        return outputs_of(list(self.features), x, self._wanted)

    def _randomise(self) -> None:
        source = torch.Generator().manual_seed(16)
        for layer in self.features:
            if isinstance(layer, nn.Conv2d):
                fan = layer.in_channels * 9
                weight = torch.randn(layer.weight.shape, generator=source)
                layer.weight.data = weight * (2 / fan) ** 0.5
                layer.bias.data.zero_()  # type: ignore[union-attr]

    def _load(self, path: Path) -> None:
        try:
            state: Any = read_tree(path)
            own = self.state_dict()
            self.load_state_dict({key: state[key] for key in own})
        except CheckpointError:
            raise
        except Exception as error:  # whatever torch raises for a damaged or foreign file
            raise CheckpointError(
                f"{path}: is no state dict of VGG16 in torchvision's layout; give vgg16's .pth"
            ) from error
