"""A generator whose statistics are constants: an ordinary network, for any program that runs tiles.

If every pixel of an image has the same mean and std at each norm call, as with TIN, then norm
layers are plain affine maps per channel. Nothing depends on how the image is cut any more.
"""

import copy

from torch import Tensor, nn

from uhrtranslate.engine.forward.layers import replace_norms
from uhrtranslate.engine.statistics.moments import Moments
from uhrtranslate.models import GeneratorInfo
from uhrtranslate.pixels import LUMA


class FrozenGenerator(nn.Module):
    """A generator with fixed statistics, from RGB in 0..1 to RGB in 0..1.

    Grey generators get the luma of their input, and their output is repeated three times.

    Args:
        module: the generator; it is copied to the CPU.
        info: its facts.
        moments: of one cell, for every norm call.

    Raises:
        ValueError: the moments are of several cells.
    """

    def __init__(self, module: nn.Module, info: GeneratorInfo, moments: Moments) -> None:
        super().__init__()
        if any(len(mean) != 1 for mean in moments.mean):
            raise ValueError("constants must be the statistics of one cell")
        self.module = copy.deepcopy(module).cpu().float().eval()
        self._switch = replace_norms(self.module)
        self._grey = info.in_channels == 1
        self._low, self._high = info.value_range
        # Buffers, since a program may move the network to a GPU; cloned, since tensors made in
        # inference mode cannot be traced. [1, c, 1, 1] each
        for call, (mean, std) in enumerate(zip(moments.mean, moments.std, strict=True)):
            for name, value in (("mean", mean), ("rstd", std.reciprocal())):
                self.register_buffer(f"{name}_{call}", value.cpu().clone()[..., None, None])

    def forward(self, x: Tensor) -> Tensor:
        """[n, 3, h, w] to [n, 3, h, w] float32 in 0..1; sides are multiples of the stride."""
        if self._grey:
            red, green, blue = x.chunk(3, dim=1)
            x = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
        size = self._high - self._low
        with self._switch.doing(self._normalize):
            y: Tensor = self.module(x * size + self._low)
        y = ((y - self._low) / size).clamp(0, 1)
        return y.expand(-1, 3, -1, -1) if y.shape[1] == 1 else y

    def _normalize(self, call: int, x: Tensor, eps: float, share: int = 1) -> Tensor:
        """An `Action`: the affine map of a norm call, which has constants for each channel."""
        mean, rstd = self.get_buffer(f"mean_{call}"), self.get_buffer(f"rstd_{call}")
        return (x - mean) * rstd
