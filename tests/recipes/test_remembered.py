"""A generator's halo is measured once, and remembered for later processes."""

from dataclasses import replace

import pytest
import torch
from support import small_resnet

from uhrtranslate.models import load_generator
from uhrtranslate.options import make_options
from uhrtranslate.recipes import generator_pool, remembered
from uhrtranslate.recipes.generator_pool import GeneratorPool


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "net.pth"
    torch.save(small_resnet(n_blocks=1).state_dict(), path)
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remembered, "WORTH_KEEPING", 0)
    return tmp_path / "cache" / "uhrtranslate"


@pytest.fixture
def halo(cache, monkeypatch):
    """The halo in a pool of its own, as a new process has it, and how often it was measured."""
    measured = []
    measure_halo = generator_pool.measure_halo

    def measure(runner):
        measured.append(measure_halo(runner))
        return measured[-1]

    def ask(model, **options):
        options = make_options({"model": str(model), "device": "cpu", **options})
        return GeneratorPool(options).halo, len(measured)

    monkeypatch.setattr(generator_pool, "measure_halo", measure)
    return ask


def test_it_is_measured_once(halo, weights):
    first, _ = halo(weights)
    assert halo(weights) == (first, 1)
    assert halo(weights, precision="bf16") == (first, 1)  # it is measured in float32


def test_other_weights_and_options_are_measured_anew(halo, weights):
    halo(weights)
    torch.manual_seed(1)
    torch.save(small_resnet(n_blocks=2).state_dict(), weights)
    assert halo(weights)[1] == 2


@pytest.mark.parametrize("content", ["", "seven", "-4", "3", "9999", "123456789"])
def test_what_cannot_be_one_is_measured_anew(halo, cache, weights, content):
    first, _ = halo(weights)
    (kept,) = cache.glob("halo-*.txt")
    kept.write_text(content)
    assert halo(weights) == (first, 2)
    assert kept.read_text() == str(first)


def test_a_home_that_cannot_be_written_does_no_harm(halo, cache, weights):
    cache.parent.write_text("a file")
    first, _ = halo(weights)
    assert halo(weights) == (first, 2)


def test_code_of_the_user_is_measured_each_time(cache, weights):
    generator = load_generator(str(weights))
    foreign = replace(generator, info=replace(generator.info, architecture="nets:make"))
    halos = iter((8, 12))
    for expected in (8, 12):
        how = foreign, torch.device("cpu"), None, lambda: next(halos)
        assert remembered.remembered_halo(*how) == expected
    assert not cache.exists()
