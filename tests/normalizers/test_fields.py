import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from uhrtranslate.errors import OptionError
from uhrtranslate.normalizers import (
    DN,
    KIN,
    TIN,
    Normalizer,
    PatchIN,
    StatisticsTable,
    fill_from_centre,
    make_field,
)
from uhrtranslate.tables import NORMALIZERS

GRID = [PatchIN(), KIN(kernel=3), KIN(kernel=5, kernel_type="gaussian"), DN()]


def table_of(mean, std, valid=None, fallback=None):
    mean, std = torch.as_tensor(mean).float(), torch.as_tensor(std).float()
    valid = torch.ones(mean.shape[:2], dtype=torch.bool) if valid is None else valid
    fallback_mean, fallback_std = fallback or (None, None)
    return StatisticsTable(mean, std, valid, fallback_mean, fallback_std)


def random_table(rows, cols, channels=3, seed=0, **kwargs):
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(rows, cols, channels, generator=generator)
    std = torch.rand(rows, cols, channels, generator=generator) + 0.2
    return table_of(mean, std, **kwargs)


def sample(normalizer, table, y, x):
    """Field at positions in cells."""
    rows, cols = table.valid.shape
    weights = [
        normalizer.weights(torch.as_tensor(p, dtype=torch.float64), n).float()
        for p, n in ((y, rows), (x, cols))
    ]
    return make_field(normalizer, table, *weights)


def centres(cells, per_cell, margin=0.0):
    return np.arange(-margin, cells + margin, 1 / per_cell) + 0.5 / per_cell


def test_the_registry_knows_every_normalizer():
    assert list(NORMALIZERS) == ["dn", "pooled", "kin", "tin", "in"]
    assert all(issubclass(kind, Normalizer) for kind in NORMALIZERS.values())


@pytest.mark.parametrize(
    "normalizer", GRID, ids=lambda n: f"{type(n).__name__}{getattr(n, 'kernel', '')}"
)
@given(rows=st.integers(1, 6), cells=st.floats(-2, 8))
def test_weights_are_an_average(normalizer, rows, cells):
    weights = normalizer.weights(torch.tensor([cells], dtype=torch.float64), rows)
    assert weights.shape == (1, rows)
    assert (weights >= 0).all()
    assert weights.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("normalizer", GRID, ids=repr)
def test_a_constant_table_gives_a_constant_field(normalizer):
    table = table_of(torch.full((3, 4, 2), 0.7), torch.full((3, 4, 2), 0.25))
    field = sample(normalizer, table, centres(3, 5, 1), centres(4, 5, 1))
    assert torch.allclose(field.mean_map(), torch.tensor(0.7))
    assert torch.allclose(field.rstd_map(), torch.tensor(4.0))


def test_dn_is_linear_between_cell_centres():
    ramp = torch.arange(5.0)[:, None, None].expand(5, 3, 1)
    y = centres(5, 16)
    field = sample(DN(), table_of(ramp, torch.ones(5, 3, 1)), y, centres(3, 4))
    inside = (y > 0.5) & (y < 4.5)
    assert np.allclose(field.mean_map()[0, inside, 0], y[inside] - 0.5, atol=1e-6)


def test_dn_is_continuous_and_interpolates_the_reciprocal():
    table = random_table(4, 4)
    step = 1e-3
    y = np.arange(0, 4, step)
    field = sample(DN(), table, y, np.array([1.3]))
    assert field.rstd_map()[:, :, 0].diff(dim=1).abs().max() < 6 * step
    between = sample(DN(), table, np.array([2.0]), np.array([1.5])).rstd_map()[:, 0, 0]
    expected = (1 / table.std[1, 1] + 1 / table.std[2, 1]) / 2
    assert torch.allclose(between, expected)


def test_kin_averages_std_over_the_neighbourhood():
    table = random_table(5, 5)
    field = sample(KIN(kernel=3), table, np.array([2.5]), np.array([2.9]))
    assert torch.allclose(field.rstd_map()[:, 0, 0], 1 / table.std[1:4, 1:4].mean((0, 1)))
    corner = sample(KIN(kernel=3), table, np.array([0.1]), np.array([0.1])).mean_map()[:, 0, 0]
    weights = torch.tensor([2 / 3, 1 / 3])
    expected = torch.einsum("r,q,rqc->c", weights, weights, table.mean[:2, :2])
    assert torch.allclose(corner, expected, atol=1e-6)


def test_patch_in_is_constant_within_a_cell():
    table = random_table(2, 3)
    field = sample(PatchIN(), table, centres(2, 4), centres(3, 4))
    assert torch.equal(
        field.mean_map(),
        table.mean.permute(2, 0, 1).repeat_interleave(4, 1).repeat_interleave(4, 2),
    )


def test_tin_has_one_entry():
    assert torch.equal(TIN().weights(torch.tensor([0.1, 7.0]), 1), torch.ones(2, 1).double())
    with pytest.raises(ValueError, match="one entry"):
        TIN().weights(torch.tensor([0.1]), 2)


@pytest.mark.parametrize("normalizer", GRID, ids=repr)
def test_applying_a_field_is_its_definition(normalizer):
    valid = torch.tensor([[True, False, True], [True, True, False], [True, True, True]])
    fallback = (torch.full((3,), 0.1), torch.full((3,), 0.6))
    for table in (random_table(3, 3), random_table(3, 3, valid=valid, fallback=fallback)):
        field = sample(normalizer, table, centres(3, 6, 1), centres(3, 6, 1))
        x = torch.randn(3, 30, 30)
        expected = (x - field.mean_map()) * field.rstd_map()
        assert torch.allclose(field.apply(x), expected, atol=1e-5)


@pytest.mark.parametrize("normalizer", GRID, ids=repr)
def test_missing_cells_do_not_weigh(normalizer):
    valid = torch.tensor([[True, True, False], [True, True, False], [True, True, True]])
    table = random_table(3, 3, valid=valid, fallback=(torch.zeros(3), torch.ones(3)))
    wild = StatisticsTable(
        torch.where(valid[..., None], table.mean, torch.nan),
        torch.where(valid[..., None], table.std, 0.0),
        valid,
        table.fallback_mean,
        table.fallback_std,
    )
    y, x = centres(3, 8, 1), centres(3, 8, 1)
    for one, other in ((table, wild),):
        a, b = sample(normalizer, one, y, x), sample(normalizer, other, y, x)
        assert torch.equal(a.mean_map(), b.mean_map())
        assert torch.equal(a.rstd_map(), b.rstd_map())
        assert torch.isfinite(b.rstd_map()).all()


def test_dn_beside_a_missing_cell_keeps_the_valid_statistics():
    valid = torch.tensor([[True, False]])
    table = random_table(1, 2, valid=valid, fallback=(torch.full((3,), 9.0), torch.ones(3)))
    x = np.arange(0, 2, 1e-3)
    mean = sample(DN(), table, np.array([0.5]), x).mean_map()[:, 0]
    own = x < 1
    assert torch.allclose(mean[:, own], table.mean[0, 0][:, None], atol=1e-6)
    assert torch.allclose(mean[:, -1], torch.tensor(9.0))
    assert mean.diff(dim=1).abs().max() < 0.1, "the fade into the fallback must be continuous"


def test_dn_of_missing_cells_alone_is_the_fallback():
    table = random_table(
        2, 2, valid=torch.zeros(2, 2, dtype=torch.bool), fallback=(torch.ones(3), torch.ones(3) / 2)
    )
    field = sample(DN(), table, centres(2, 4), centres(2, 4))
    assert torch.equal(field.mean_map(), torch.ones(3, 8, 8))
    assert torch.allclose(field.rstd_map(), torch.tensor(2.0))


def test_a_missing_cell_without_fallback_is_an_error():
    table = random_table(1, 1, valid=torch.zeros(1, 1, dtype=torch.bool))
    with pytest.raises(ValueError, match="fallback"):
        sample(DN(), table, np.array([0.5]), np.array([0.5]))


@pytest.mark.parametrize("kernel", [0, 2, 4])
def test_even_kernels_are_refused(kernel):
    with pytest.raises(OptionError, match="odd"):
        KIN(kernel=kernel)


class TestGolden:
    """Against the layers of the methods' public code."""

    @pytest.fixture
    def units(self, shared):
        return np.load(shared / "golden" / "units.npz")

    @pytest.mark.parametrize("kind", ["constant", "gaussian"])
    def test_kernels(self, units, kind):
        names = [n for n in units.files if n.startswith(f"kernel_{kind}")]
        assert names
        for name in names:
            size = int(name.removeprefix(f"kernel_{kind}"))
            profile = KIN(kernel=size, kernel_type=kind).profile()
            assert np.allclose(torch.outer(profile, profile), units[name].squeeze(), atol=1e-7)

    @pytest.mark.parametrize("n", [16, 24])
    def test_interpolated_maps(self, units, n):
        table = table_of(units["interp_mean_table"], units["interp_std_table"])
        field = sample(DN(reciprocal_eps=1e-7), table, centres(3, n), centres(4, n))
        for name, ours in (("mean", field.mean_map()), ("rstd", field.rstd_map())):
            theirs = units[f"interp_{name}_map_N{n}"]  # [3, 4, c, n, n]
            whole = theirs.transpose(2, 0, 3, 1, 4).reshape(-1, 3 * n, 4 * n)
            assert np.allclose(ours, whole, atol=1e-5)

    def test_cells_that_are_not_finite_take_the_centre(self, units):
        n = units["bad_mean_map"].shape[-1]
        y = centres(1, n) + 1
        for values, theirs, take in (
            (units["bad_mean33"], units["bad_mean_map"], "mean_map"),
            (units["bad_std33"], units["bad_rstd_map"], "rstd_map"),
        ):
            cells = torch.tensor(values).reshape(3, 3, 1)
            table = table_of(cells, cells, torch.isfinite(cells[..., 0]))
            field = sample(DN(reciprocal_eps=1e-7), fill_from_centre(table, 1, 1), y, y)
            ours = getattr(field, take)()
            assert np.allclose(ours, theirs.reshape(ours.shape), rtol=1e-5, atol=1e-5)

    def test_a_missing_patch_in_the_dense_layer(self, units):
        x = torch.tensor(units["layer_x"])
        rows, cols, _, n, _ = x.shape
        mean = torch.tensor(units["layer_mean_table"])
        std = torch.tensor(units["layer_std_table"])
        weight = torch.tensor(units["layer_weight"])[:, None, None]
        bias = torch.tensor(units["layer_bias"])[:, None, None]
        valid = torch.ones(rows, cols, dtype=torch.bool)
        missing = tuple(int(i) for i in units["missing_rc"])
        for expected, holes in (("layer_dn_out", []), ("layer_dn_missing_out", [missing])):
            for hole in holes:
                valid[hole] = False
            for r in range(rows):
                for c in range(cols):
                    if (r, c) in holes:
                        continue
                    table = fill_from_centre(table_of(mean, std, valid), r, c)
                    field = sample(
                        DN(reciprocal_eps=1e-7),
                        table,
                        centres(1, n) + r,
                        centres(1, n) + c,
                    )
                    ours = field.apply(x[r, c]) * weight + bias
                    theirs = units[expected].reshape(x.shape)[r, c]
                    assert np.abs(ours.numpy() - theirs).max() < 1e-4, (expected, r, c)
