"""Mean and deviation of what passes by, for networks that expect values around 0."""

import torch
from torch import Tensor, nn

# Of the newest batch, once there were many.
SHARE = 0.01


class Moments(nn.Module):
    """Running moments; of the first batches the plain mean, and then an exponential one."""

    count: Tensor
    mean: Tensor
    square: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("count", "mean", "square"):
            self.register_buffer(name, torch.zeros(()))

    @torch.no_grad()
    def follow(self, x: Tensor) -> None:
        """Take in a batch of any shape."""
        self.count += 1
        share = (1 / self.count).clamp(min=SHARE)
        self.mean += share * (x.mean() - self.mean)
        self.square += share * (x.square().mean() - self.square)

    def read(self) -> tuple[float, float]:
        """The mean, and the standard deviation; 0 and 1 before the first batch."""
        variance = float(self.square - self.mean.square())
        if float(self.count) == 0 or variance <= 0:
            return 0.0, 1.0
        return float(self.mean), variance**0.5
