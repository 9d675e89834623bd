"""Fields that bench_fidelity.py tries besides those of the package.

A candidate's field is evaluated for a whole picture at once, from the same tables of cells that the
package's normalizers have. That is simple and slow: what wins belongs into `normalizers/`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from fidelity_fields import Remembering, cut, view_of, whole_tile
from fidelity_tasks import GLASS, Picture
from torch import Tensor

from uhrtranslate.engine import GeneratorRunner
from uhrtranslate.engine.forward.actions import Applier
from uhrtranslate.engine.statistics.moments import Moments
from uhrtranslate.engine.transforms.generator import is_flat
from uhrtranslate.geometry import CellGrid
from uhrtranslate.geometry.tiles import Tile
from uhrtranslate.recipes.tissue_pictures import tissue_shares


@dataclass(frozen=True)
class Candidate:
    """A field to be tried.

    Attributes:
        bandwidth: std of the Gaussian weights in cells, at the first norm layer.
        late: the same at the last norm layer, with a geometric series between; None: as the first.
        weigh: by what cells are weighed: "tissue", as the package does it, by the share that it
            finds + 0.01, and the part inside the picture; "bright": by the share of pixels that are
            not bright + 0.01; "patches": as often as training takes patches of so many of these, 1
            from a quarter on and else 1/10; "even".
        total: whether variances are pooled; else mean and 1/std are averaged.
        between: how much the variance between cells counts beside that within them; 1 is the law
            of total variance. None: by its own share of both.
        robust: cells count less the further their statistics are from the usual ones: weights are
            divided by 1 + d^2 / robust, with d in robust standard deviations; 0: not at all.
        inside: whether statistics of cells are those of their tissue pixels alone.
        again: whether statistics are recorded a second time, below layers that apply the field.
        prior: share of the statistics of training patches in those of every pixel. Only who has
            trained the generator knows these.
    """

    bandwidth: float = 2.0
    late: float | None = None
    weigh: str = "tissue"
    total: bool = True
    between: float | None = 1.0
    robust: float = 0.0
    inside: bool = False
    again: bool = False
    prior: float = 0.0

    def at(self, call: int, calls: int) -> float:
        """The bandwidth of a norm layer."""
        late = self.bandwidth if self.late is None else self.late
        if math.isinf(self.bandwidth) or math.isinf(late):
            return self.bandwidth if call < calls / 2 else late
        return self.bandwidth * (late / self.bandwidth) ** (call / max(calls - 1, 1))


@dataclass(frozen=True)
class Cells:
    """What is known of the cells of a picture.

    Attributes:
        grid: where they are.
        mean, var: one [rows, cols, c] per norm layer; var includes the layer's eps.
        tissue: its share as the package finds it, [rows, cols].
        dark: the share of pixels that are not as bright as glass, [rows, cols].
        inside: the part of each cell that lies in the picture, [rows, cols].
        valid: [rows, cols] bool.
    """

    grid: CellGrid
    mean: list[Tensor]
    var: list[Tensor]
    tissue: Tensor
    dark: Tensor
    inside: Tensor
    valid: Tensor


def by_candidate(
    runner: Remembering,
    candidate: Candidate,
    pixels: Picture,
    cell: int,
    halo: int,
    usual: Callable[[], list[tuple[Tensor, Tensor]]],
) -> Picture:
    """A picture with a candidate's field; `usual` gives the statistics of training patches."""
    _, tile, source = whole_tile(pixels, cell, halo)
    cells = observe(runner, pixels, cell, candidate.inside)
    fields = Fields(candidate, cells, tile, usual() if candidate.prior else None)
    x = runner.to_input([source])
    if candidate.again:
        again = Again(fields)
        runner.forward(x, again)
        fields = Fields(candidate, again.cells(), tile)
    return runner.to_pixels(runner.normalize(x, fields))[0][tile.crop]


def pooled_moments(runner: GeneratorRunner, patches: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Mean and variance of patches taken together, [c] each, at every norm layer."""
    parts = [runner.record(patch) for patch in patches]
    found = []
    for call in range(len(parts[0].mean)):
        mean = torch.cat([part.mean[call] for part in parts]).double()
        var = torch.cat([part.std[call] for part in parts]).double() ** 2
        found.append((mean.mean(0), var.mean(0) + mean.var(0, correction=0)))
    return found


def observe(runner: Remembering, pixels: Picture, cell: int, inside: bool) -> Cells:
    """The statistics of all cells, as the engine records them."""
    grid = CellGrid(pixels.shape[1], pixels.shape[0], cell)
    parts: list[Moments] = []
    dark, within, valid = [], [], []
    for row in range(grid.rows):
        for col in range(grid.cols):
            box = grid.box(row, col)
            patch = cut(pixels, box.x, box.y, box.w, box.h)
            tissue = ~(patch > GLASS).all(axis=2)
            dark.append(float(tissue.mean()))
            across, down = min(grid.width - box.x, cell), min(grid.height - box.y, cell)
            within.append(across * down / cell**2)
            valid.append(not is_flat(patch))
            x = runner.to_input([patch])
            if inside and 0.01 < dark[-1] < 1:
                action = Inside(torch.from_numpy(tissue))
                runner.forward(x, action)
                parts.append(Moments(tuple(action.mean), tuple(action.std)))
            else:
                parts.append(runner.record(x))
    shape = (grid.rows, grid.cols)
    calls = range(len(parts[0].mean))
    return Cells(
        grid,
        [torch.cat([p.mean[i] for p in parts]).double().reshape(*shape, -1) for i in calls],
        [torch.cat([p.std[i] for p in parts]).double().reshape(*shape, -1) ** 2 for i in calls],
        torch.from_numpy(tissue_shares(view_of(pixels), grid)).double(),
        torch.tensor(dark, dtype=torch.float64).reshape(shape),
        torch.tensor(within, dtype=torch.float64).reshape(shape),
        torch.tensor(valid).reshape(shape),
    )


class Inside:
    """An `Action`: plain normalization by the statistics of some pixels alone."""

    def __init__(self, mask: Tensor) -> None:
        self._mask = mask[None, None].float()
        self.mean: list[Tensor] = []
        self.std: list[Tensor] = []

    def __call__(self, call: int, x: Tensor, eps: float, share: int = 1) -> Tensor:
        """See `Action`."""
        weight = torch.nn.functional.interpolate(self._mask, x.shape[-2:], mode="area")
        weight = weight / weight.sum()
        mean = (x * weight).sum((2, 3))
        var = ((x - mean[..., None, None]) ** 2 * weight).sum((2, 3))
        self.mean.append(mean)
        self.std.append((var + eps).sqrt())
        return (x - mean[..., None, None]) / self.std[-1][..., None, None]


@dataclass(frozen=True)
class Maps:
    """A field as two maps, in place of `Field`: [c, h, w] each."""

    mean: Tensor
    rstd: Tensor

    def of_rows(self, rows: slice) -> "Maps":
        """See `Field`."""
        return Maps(self.mean[:, rows], self.rstd[:, rows])

    def apply(self, x: Tensor) -> Tensor:
        """See `Field`."""
        return (x - self.mean) * self.rstd


class Fields:
    """A candidate's fields over a picture; a `FieldSource`."""

    columns = 0

    def __init__(
        self,
        candidate: Candidate,
        cells: Cells,
        tile: Tile,
        usual: list[tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        self.candidate, self.given, self.tile, self.usual = candidate, cells, tile, usual
        self.weight = cell_weights(candidate, cells)

    def field(self, call: int, sample: int, h: int, w: int) -> Maps:
        """See `FieldSource`."""
        found, cells, box = self.candidate, self.given, self.tile.field
        grid = cells.grid
        b = found.at(call, len(cells.mean))
        y = (box.y + (torch.arange(h, dtype=torch.float64) + 0.5) * box.h / h) / grid.cell
        x = (box.x + (torch.arange(w, dtype=torch.float64) + 0.5) * box.w / w) / grid.cell
        rows, cols = gaussian(y, grid.rows, b), gaussian(x, grid.cols, b)
        mean, var = cells.mean[call], cells.var[call]

        def pooled(values: Tensor) -> Tensor:
            return torch.einsum("hr,rqc,wq->chw", rows, values * self.weight[..., None], cols)

        total = pooled(torch.ones_like(mean[..., :1]))
        m = pooled(mean) / total
        if found.total:
            within = pooled(var) / total
            among = (pooled(mean**2) / total - m**2).clamp(min=0)
            counts = among / (among + within) if found.between is None else found.between
            v = within + counts * among
            if self.usual:
                m, v = mixed(m, v, *self.usual[call], found.prior)
            rstd = v.clamp(min=1e-12).rsqrt()
        else:
            rstd = pooled(var.rsqrt()) / total
        return Maps(m.float(), rstd.float())


def mixed(m: Tensor, v: Tensor, mean: Tensor, var: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Moments of a mixture of [c, h, w] and, to a share, of [c]."""
    mean, var = mean[:, None, None], var[:, None, None]
    both = (1 - share) * m + share * mean
    return both, (1 - share) * (v + m**2) + share * (var + mean**2) - both**2


def gaussian(position: Tensor, cells: int, bandwidth: float) -> Tensor:
    """Weights of cells for positions in units of cells, [n, cells]; each row's largest is 1."""
    distance = position.clamp(0.5, cells - 0.5)[:, None] - (torch.arange(cells) + 0.5)
    power = -0.5 * (distance / bandwidth) ** 2
    return torch.exp(power - power.amax(1, keepdim=True))


def cell_weights(candidate: Candidate, cells: Cells) -> Tensor:
    """How much each cell counts, [rows, cols]."""
    weight = {
        "tissue": (cells.tissue + 0.01) * cells.inside,
        "bright": cells.dark + 0.01,
        "patches": torch.where(cells.dark >= 0.25, 1.0, 0.1).double(),
        "even": torch.ones_like(cells.dark),
    }[candidate.weigh]
    weight = weight * cells.valid + 1e-9
    if candidate.robust:
        weight = weight / (1 + strangeness(cells, weight) / candidate.robust)
    return weight


def strangeness(cells: Cells, weight: Tensor) -> Tensor:
    """Mean squared distance of each cell's statistics from the usual ones, [rows, cols].

    In units of the usual distance (median of absolute deviations), over means and logarithms of
    stds of all layers.
    """
    flat = [part.flatten(0, 1) for part in (*cells.mean, *(v.log() / 2 for v in cells.var))]
    values = torch.cat(flat, 1)
    known = cells.valid.flatten()
    middle = values[known].median(0).values if known.any() else values.median(0).values
    off = (values - middle).abs()
    usual = 1.4826 * (off[known] if known.any() else off).median(0).values + 1e-6
    return ((off / usual).clamp(max=10) ** 2).mean(1).reshape(cells.dark.shape)


class Again:
    """An `Action`: applies fields, and measures the cells' statistics on the way."""

    def __init__(self, fields: Fields) -> None:
        self._fields, self._apply = fields, Applier(fields)
        self._mean: list[Tensor] = []
        self._var: list[Tensor] = []

    def __call__(self, call: int, x: Tensor, eps: float, share: int = 1) -> Tensor:
        """See `Action`."""
        given, box = self._fields.given, self._fields.tile.source
        grid, scale = given.grid, box.h / x.shape[-2]
        mean, var = given.mean[call].clone(), given.var[call].clone()
        for row in range(grid.rows):
            for col in range(grid.cols):
                top, left = (
                    round((n * grid.cell - first) / scale)
                    for n, first in ((row, box.y), (col, box.x))
                )
                side = round(grid.cell / scale)
                part = x[0, :, top : top + side, left : left + side].double()
                mean[row, col] = part.mean((1, 2))
                var[row, col] = part.var((1, 2), correction=0) + eps
        self._mean.append(mean)
        self._var.append(var)
        # The field of this layer is made of what was just measured.
        given.mean[call], given.var[call] = mean, var
        return self._apply(call, x, eps, share)

    def cells(self) -> Cells:
        """What was measured."""
        given = self._fields.given
        return replace(given, mean=self._mean, var=self._var)


INF = math.inf
BRIGHT = {
    "pooled": {}, "even": {"weigh": "even"}, "patches": {"weigh": "patches"},
    "averaged": {"total": False}, "robust": {"robust": 2.0}, "inside": {"inside": True},
    "again": {"again": True}, "half": {"between": 0.5}, "within": {"between": 0.0},
    "adaptive": {"between": None}, "half-robust": {"between": 0.5, "robust": 2.0},
}  # fmt: skip
CANDIDATES = {
    # What was tried first: tissue by brightness alone.
    **{
        f"bright-{name}-{b:g}": Candidate(b, **{"weigh": "bright"} | how)
        for name, how in BRIGHT.items()
        for b in (0.5, 1.0, 2.0, 4.0, INF)
    },
    "bright-late": Candidate(1.0, late=INF, weigh="bright"),
    "bright-early": Candidate(INF, late=1.0, weigh="bright"),
    # Then with the weights of the package.
    **{
        f"{name}-{b:g}": Candidate(b, between=between)
        for name, between in (("total", 1.0), ("half", 0.5), ("within", 0.0), ("adaptive", None))
        for b in (0.5, 1.0, 2.0, 4.0, INF)
    },
    **{f"prior-{share:g}": Candidate(2.0, prior=share) for share in (0.25, 0.5, 0.75)},
}
