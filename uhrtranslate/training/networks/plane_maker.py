"""A generator's planes made of pictures that a network painted, so that gradients go through."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from uhrtranslate.enhance import Stack, Tally
from uhrtranslate.pixels import LUMA


class PlaneMaker(nn.Module):
    """What `enhance.Stack` makes of pixels, made of tensors of one domain.

    Args:
        names: of the planes, in `tables.PLANES`.
        domain: A or B, whose histogram the pictures have.
    """

    luma: Tensor

    def __init__(self, names: Sequence[str], domain: str) -> None:
        super().__init__()
        self._names, self._domain = tuple(names), domain
        self.register_buffer("luma", torch.tensor(LUMA))
        even = Tally.of_levels([1] * 256)  # until the histograms are known
        self.fit({"A": even, "B": even})

    def fit(self, histograms: dict[str, Tally]) -> None:
        """Take the tables from pooled histograms of both domains."""
        source, target = (histograms[name].narrowed() for name in (self._domain, "B"))
        self._channels: list[int] = []
        for number, (plane, table) in enumerate(Stack(self._names, source, target).planes):
            self._channels.append(plane.channels)
            levels = None if table is None else torch.tensor(table, dtype=torch.float32)
            device = self.luma.device
            self.register_buffer(f"table{number}", None if levels is None else levels.to(device))

    def forward(self, x: Tensor) -> Tensor:
        """[n, 3, h, w] in -1..1 to [n, c, h, w] in about -1..1."""
        grey = torch.einsum("nchw,c->nhw", x, self.luma.to(x))[:, None]
        made = []
        for number, channels in enumerate(self._channels):
            table: Tensor | None = getattr(self, f"table{number}")
            given = grey if channels == 1 else x
            made.append(given if table is None else given + looked_up(table, grey) - grey)
        return made[0] if len(made) == 1 else torch.cat(made, 1)


def looked_up(table: Tensor, grey: Tensor) -> Tensor:
    """Levels through a table, between whose entries is interpolated, with a gradient.

    Args:
        table: [256] in 0..255.
        grey: of any shape, in -1..1.

    Returns: the same shape, in -1..1.
    """
    place = ((grey.float() + 1) * 127.5).clamp(0, 255)
    low = place.detach().floor().clamp(max=254).long()
    share = place - low
    found = table[low] * (1 - share) + table[low + 1] * share
    return found / 127.5 - 1
