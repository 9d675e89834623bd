"""LPIPS (Zhang et al. 2018): distance of two pictures in a network's features.

Backbone and linear heads are given by path: torchvision's `alexnet-owt-*.pth` or `vgg16-*.pth`
(keys `features.N.weight`), and `alex.pth` or `vgg.pth` of version 0.1 of the authors' heads (keys
`linN.model.1.weight`). Neither is shipped.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from uhrtranslate.errors import CheckpointError
from uhrtranslate.extractors.base import Patches, to_tensor
from uhrtranslate.extractors.weights import digest, fit_weights, read_weights
from uhrtranslate.pixels import LUMA

# Of ImageNet, for pictures in -1..1.
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_EPS = 1e-10


@dataclass(frozen=True)
class _Backbone:
    """A chain of layers, by the numbers that their keys have.

    Attributes:
        layers: (inputs, outputs, kernel, stride, padding) of a convolution with its ReLU, or (size,
            stride) of a maximum.
        taps: after which convolutions features are taken, counted from 0.
    """

    layers: tuple[tuple[int, ...], ...]
    taps: tuple[int, ...]
    least: int

    def build(self) -> nn.Sequential:
        modules: list[nn.Module] = []
        for layer in self.layers:
            if len(layer) == 2:
                size, stride = layer
                modules.append(nn.MaxPool2d(size, stride))
            else:
                inputs, outputs, size, stride, padding = layer
                modules += [nn.Conv2d(inputs, outputs, size, stride, padding), nn.ReLU()]
        return nn.Sequential(*modules)

    @property
    def widths(self) -> list[int]:
        convolutions = [layer for layer in self.layers if len(layer) > 2]
        return [convolutions[tap][1] for tap in self.taps]


def _vgg() -> _Backbone:
    layers: list[tuple[int, ...]] = []
    inputs, taps = 3, []
    for count, outputs in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        if layers:
            layers.append((2, 2))
        for _ in range(count):
            layers.append((inputs, outputs, 3, 1, 1))
            inputs = outputs
        taps.append(sum(len(layer) > 2 for layer in layers) - 1)
    return _Backbone(tuple(layers), tuple(taps), 16)


BACKBONES = {
    "alex": _Backbone(
        (
            (3, 64, 11, 4, 2),
            (3, 2),
            (64, 192, 5, 1, 2),
            (3, 2),
            (192, 384, 3, 1, 1),
            (384, 256, 3, 1, 1),
            (256, 256, 3, 1, 1),
        ),
        (0, 1, 2, 3, 4),
        31,
    ),
    "vgg": _vgg(),
}


class Lpips:
    """The distance, with weights by path.

    Args:
        backbone: file of AlexNet or VGG16; which one is told by its keys.
        heads: file of the five linear heads.
        device: where it runs.

    Attributes:
        name: which backbone, and the first letters of both files' SHA-256.

    Raises:
        CheckpointError: a file holds something else, or the heads are of the other backbone.
    """

    def __init__(self, backbone: Path, heads: Path, device: torch.device | str = "cpu") -> None:
        state = read_weights(backbone)
        kind = _kind(state, backbone)
        shape = BACKBONES[kind]
        inner = {
            k.removeprefix("features."): v for k, v in state.items() if k.startswith("features.")
        }
        module = fit_weights(shape.build(), inner, backbone, f"LPIPS backbone {kind}")
        self._module = module.to(device)
        self._heads = [head.to(device) for head in _heads(heads, shape, kind)]
        self._taps, self._least, self._device = set(shape.taps), shape.least, device
        self.name = f"lpips-{kind}-{digest(backbone)}-{digest(heads)}"

    def distance(self, a: Patches, b: Patches) -> list[float]:
        """LPIPS of each pair, 0 or more; lower is better.

        Args:
            a, b: [n, h, w, 3] uint8, of 31 px (AlexNet) or 16 px (VGG16) or more.

        Raises:
            ValueError: the two do not fit each other, or are too small.
        """
        if a.shape != b.shape or (len(a) and min(a.shape[1:3]) < self._least):
            raise ValueError(f"pairs of {self._least} px or more, not {a.shape} and {b.shape}")
        found = []
        with torch.inference_mode():
            for x, y in zip(a, b, strict=True):
                pair = to_tensor(np.stack([x, y]), self._device)
                found.append(float(self._of(pair)))
        return found

    def content_distance(self, output: Patches, enhanced: Patches) -> list[float]:
        """LPIPS-c of digital staining: LPIPS(grey(output), z) with z the enhanced input.

        Both are made grey (Rec. 601, rounded) and shown to the network as three equal channels, so
        that staining itself costs nothing; lower is better. The paper uses AlexNet.

        Args:
            output, enhanced: [n, h, w, 3] uint8.
        """
        return self.distance(_grey(output), _grey(enhanced))

    def _of(self, pair: Tensor) -> Tensor:
        x = (pair - pair.new_tensor(_SHIFT)[:, None, None]) / pair.new_tensor(_SCALE)[:, None, None]
        total, convolution = x.new_zeros(()), -1
        heads = iter(self._heads)
        for layer in self._module:  # type: ignore[attr-defined]
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                convolution += 1
                if convolution in self._taps:
                    unit = x / (x.norm(dim=1, keepdim=True) + _EPS)
                    apart = (unit[0] - unit[1]) ** 2  # [c, h, w]
                    total = total + (next(heads)[:, None, None] * apart).sum(0).mean()
        return total


def _kind(state: dict[str, Tensor], path: Path) -> str:
    first = state.get("features.0.weight")
    shapes: dict[tuple[int, ...], str] = {}
    for kind, backbone in BACKBONES.items():
        inputs, outputs, side = backbone.layers[0][:3]
        shapes[outputs, inputs, side, side] = kind
    if first is None or tuple(first.shape) not in shapes:
        raise CheckpointError(
            f"{path}: is neither an AlexNet nor a VGG16 with the keys of torchvision; give "
            "alexnet-owt-7be5be79.pth or vgg16-397923af.pth"
        )
    return shapes[tuple(first.shape)]


def _heads(path: Path, backbone: _Backbone, kind: str) -> list[Tensor]:
    """Weights of the five linear heads, [c] each."""
    module = nn.ModuleDict(
        {
            f"lin{i}": nn.ModuleDict(
                {"model": nn.ModuleDict({"1": nn.Conv2d(width, 1, 1, bias=False)})}
            )
            for i, width in enumerate(backbone.widths)
        }
    )
    fit_weights(module, read_weights(path), path, f"LPIPS heads for {kind}")
    return [weight.flatten() for weight in module.state_dict().values()]


def _grey(patches: Patches) -> Patches:
    luma = patches @ np.array(LUMA)
    return np.repeat((luma + 0.5).astype(np.uint8)[..., None], 3, axis=-1)
