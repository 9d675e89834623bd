"""Kernelized instance normalization (KIN): the table smoothed by a k x k kernel."""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from uhrtranslate.errors import OptionError
from uhrtranslate.normalizers.base import Normalizer, one_hot
from uhrtranslate.options import KernelType, TranslateOptions

# Standard deviation of the Gaussian in cells; fixed in the authors' code.
GAUSSIAN_STD = 3.0


@dataclass(frozen=True)
class KIN(Normalizer):
    """Weighted mean of the neighbouring cells' mean and std, constant within a cell.

    As in the authors' code, the table is continued by its border values: border cells weigh more.

    Attributes:
        kernel: side of the kernel in cells, odd.
        kernel_type: equal weights, or a Gaussian with a std of 3 cells.
    """

    averages_rstd = False
    kernel: int = 3
    kernel_type: KernelType = "constant"

    @classmethod
    def chosen(cls, options: TranslateOptions) -> Self:
        """See `Normalizer`."""
        return cls(kernel=options.kernel, kernel_type=options.kernel_type)

    def facts(self) -> dict[str, Any]:
        """See `Normalizer`."""
        return {"kernel": self.kernel, "kernel_type": self.kernel_type}

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise OptionError(
                f"--kernel {self.kernel}: the kernel's side must be odd, such as 3 or 5."
            )

    @property
    def reach(self) -> int:
        """Cells from the kernel's centre to its border."""
        return self.kernel // 2

    def profile(self) -> Tensor:
        """The kernel's factor for one axis, [kernel] float64; it adds up to 1."""
        offset = torch.arange(self.kernel, dtype=torch.float64) - self.reach
        if self.kernel_type == "gaussian":
            factor = torch.exp(-0.5 * (offset / GAUSSIAN_STD) ** 2)
        else:
            factor = torch.ones_like(offset)
        return factor / factor.sum()

    def weights(self, position: Tensor, cells: int) -> Tensor:
        """The kernel's factor around the pixel's cell; see `Normalizer.weights`."""
        own = position.floor().long().clamp(0, cells - 1)
        total = torch.zeros(len(position), cells, dtype=torch.float64)
        for offset, factor in enumerate(self.profile(), start=-self.reach):
            total += factor * one_hot(own + offset, cells)
        return total
