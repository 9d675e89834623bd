"""InceptionV3 (Szegedy et al. 2016), the network of FID, with weights that the user brings.

Keys are those of the public files: `pt_inception-2015-12-05-6726825d.pth`, the network of the
original FID (1008 classes), and torchvision's `inception_v3_google` (1000 classes). They differ not
only in weights: in the first, means at a picture's edge leave the padding out, and the last block
takes a maximum where the second takes a mean. The number of classes tells which one a file is.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uhrtranslate.errors import CheckpointError
from uhrtranslate.extractors.base import Features, Patches, in_batches
from uhrtranslate.extractors.weights import digest, fit_weights, read_weights

SIZE = 2048
_SIDE = 299
# Classes -> name, and whether it is the network of the original FID.
_KINDS = {1008: ("inception-2015-12-05", True), 1000: ("inception-torchvision", False)}


class _Conv(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int] = 1,
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


_WIDE, _TALL = ((1, 7), 1, (0, 3)), ((7, 1), 1, (3, 0))
_WIDE3, _TALL3 = ((1, 3), 1, (0, 1)), ((3, 1), 1, (1, 0))


class _Block(nn.Module):
    """Branches side by side; each is a chain of convolutions, by the names of their keys.

    Args:
        pool: what the branch without convolutions (or with `branch_pool`) starts with: "mean",
            "mean-inside" (padding left out), "max", or "max-stride".
    """

    chains: tuple[tuple[str, ...], ...]

    def __init__(self, pool: str) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        parts = []
        for chain in self.chains:
            y = x
            for name in chain[:-1]:
                y = getattr(self, name)(y)
            last = chain[-1].split("|")  # two convolutions of the same input
            parts += [getattr(self, name)(y) for name in last]
        pooled = self._pooled(x)
        last_branch = dict(self.named_children()).get("branch_pool")
        parts.append(pooled if last_branch is None else last_branch(pooled))
        return torch.cat(parts, 1)

    def _pooled(self, x: Tensor) -> Tensor:
        if self.pool == "max-stride":
            return F.max_pool2d(x, 3, 2)
        if self.pool == "max":
            return F.max_pool2d(x, 3, 1, 1)
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=self.pool == "mean")


class _A(_Block):
    chains = (
        ("branch1x1",),
        ("branch5x5_1", "branch5x5_2"),
        ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
    )

    def __init__(self, inputs: int, outputs: int, pool: str) -> None:
        super().__init__(pool)
        self.branch1x1 = _Conv(inputs, 64)
        self.branch5x5_1 = _Conv(inputs, 48)
        self.branch5x5_2 = _Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = _Conv(inputs, 64)
        self.branch3x3dbl_2 = _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, padding=1)
        self.branch_pool = _Conv(inputs, outputs)


class _B(_Block):
    chains = (("branch3x3",), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"))

    def __init__(self, inputs: int) -> None:
        super().__init__("max-stride")
        self.branch3x3 = _Conv(inputs, 384, 3, 2)
        self.branch3x3dbl_1 = _Conv(inputs, 64)
        self.branch3x3dbl_2 = _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, 2)


class _C(_Block):
    chains = (
        ("branch1x1",),
        ("branch7x7_1", "branch7x7_2", "branch7x7_3"),
        tuple(f"branch7x7dbl_{i}" for i in range(1, 6)),
    )

    def __init__(self, inner: int, pool: str) -> None:
        super().__init__(pool)
        self.branch1x1 = _Conv(768, 192)
        self.branch7x7_1 = _Conv(768, inner)
        self.branch7x7_2 = _Conv(inner, inner, *_WIDE)
        self.branch7x7_3 = _Conv(inner, 192, *_TALL)
        self.branch7x7dbl_1 = _Conv(768, inner)
        self.branch7x7dbl_2 = _Conv(inner, inner, *_TALL)
        self.branch7x7dbl_3 = _Conv(inner, inner, *_WIDE)
        self.branch7x7dbl_4 = _Conv(inner, inner, *_TALL)
        self.branch7x7dbl_5 = _Conv(inner, 192, *_WIDE)
        self.branch_pool = _Conv(768, 192)


class _D(_Block):
    chains = (("branch3x3_1", "branch3x3_2"), tuple(f"branch7x7x3_{i}" for i in range(1, 5)))

    def __init__(self) -> None:
        super().__init__("max-stride")
        self.branch3x3_1 = _Conv(768, 192)
        self.branch3x3_2 = _Conv(192, 320, 3, 2)
        self.branch7x7x3_1 = _Conv(768, 192)
        self.branch7x7x3_2 = _Conv(192, 192, *_WIDE)
        self.branch7x7x3_3 = _Conv(192, 192, *_TALL)
        self.branch7x7x3_4 = _Conv(192, 192, 3, 2)


class _E(_Block):
    chains = (
        ("branch1x1",),
        ("branch3x3_1", "branch3x3_2a|branch3x3_2b"),
        ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3a|branch3x3dbl_3b"),
    )

    def __init__(self, inputs: int, pool: str) -> None:
        super().__init__(pool)
        self.branch1x1 = _Conv(inputs, 320)
        self.branch3x3_1 = _Conv(inputs, 384)
        self.branch3x3_2a = _Conv(384, 384, *_WIDE3)
        self.branch3x3_2b = _Conv(384, 384, *_TALL3)
        self.branch3x3dbl_1 = _Conv(inputs, 448)
        self.branch3x3dbl_2 = _Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = _Conv(384, 384, *_WIDE3)
        self.branch3x3dbl_3b = _Conv(384, 384, *_TALL3)
        self.branch_pool = _Conv(inputs, 192)


class InceptionV3(nn.Module):
    """The network up to its last mean.

    Args:
        classes: 1008 (original FID) or 1000 (torchvision); the classifier is kept for its keys.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        original = _KINDS[classes][1]
        pool = "mean-inside" if original else "mean"
        self.Conv2d_1a_3x3 = _Conv(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = _Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Conv(64, 80)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3)
        self.Mixed_5b = _A(192, 32, pool)
        self.Mixed_5c = _A(256, 64, pool)
        self.Mixed_5d = _A(288, 64, pool)
        self.Mixed_6a = _B(288)
        self.Mixed_6b = _C(128, pool)
        self.Mixed_6c = _C(160, pool)
        self.Mixed_6d = _C(160, pool)
        self.Mixed_6e = _C(192, pool)
        self.Mixed_7a = _D()
        self.Mixed_7b = _E(1280, pool)
        self.Mixed_7c = _E(2048, "max" if original else pool)
        self.fc = nn.Linear(SIZE, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Features [n, 2048] of x, [n, 3, 299, 299] in -1..1."""
        for name, block in self.named_children():
            if name == "fc":
                break
            x = block(x)
            if name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
                x = F.max_pool2d(x, 3, 2)
        return x.mean((2, 3))


class InceptionExtractor:
    """FID's features, with weights by path; see `Extractor`.

    Patches are stretched to 299 x 299 px by plain bilinear interpolation, as in most public
    implementations in PyTorch; figures of implementations that resize otherwise differ a little.

    Attributes:
        name: which network, and the first letters of its file's SHA-256.

    Raises:
        CheckpointError: the file is no InceptionV3's.
    """

    size = SIZE

    def __init__(self, path: Path, device: torch.device | str = "cpu") -> None:
        kind, module = _load(path)
        self.name = f"{kind}-{digest(path)}"
        self._module, self._device = module.to(device), device

    def features(self, patches: Patches) -> Features:
        """Features [n, 2048] float32 of patches [n, h, w, 3] uint8."""
        return in_batches(self._of, patches, SIZE, self._device)

    def _of(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, (_SIDE, _SIDE), mode="bilinear", align_corners=False)
        y: Tensor = self._module(x)
        return y


def _load(path: Path) -> tuple[str, nn.Module]:
    state = read_weights(path)
    head = state.get("fc.weight")
    classes = len(head) if head is not None and head.ndim == 2 else 0
    if classes not in _KINDS:
        raise CheckpointError(
            f"{path}: is no InceptionV3 of 1008 (FID) or 1000 (torchvision) classes; give "
            "pt_inception-2015-12-05-6726825d.pth, or leave --weights out"
        )
    state = {k: v for k, v in state.items() if not k.startswith("AuxLogits.")}
    return _KINDS[classes][0], fit_weights(InceptionV3(classes), state, path, "InceptionV3")
