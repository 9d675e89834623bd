"""Options of trainings: papers' defaults, and a sentence for each wrong one."""

import pytest
from support import REPOSITORY

from uhrtranslate.errors import OptionError
from uhrtranslate.options import read_config
from uhrtranslate.training.configuration import make_train_options, set_option

DATA = {"a": "a", "b": "b"}


def test_defaults_are_the_papers():
    cut = make_train_options({"method": "cut", "data": DATA})
    assert (cut.epochs, cut.decay, cut.batch, cut.lr, cut.betas) == (50, 50, 1, 2e-4, (0.5, 0.999))
    assert (cut.layers, cut.patches, cut.temperature) == ((0, 4, 8, 12, 16), 256, 0.07)
    fast = make_train_options({"method": "fastcut", "data": DATA})
    assert (fast.nce, fast.identity, fast.flip) == (10, False, True)
    cycle = make_train_options({"method": "cyclegan", "data": DATA})
    assert (cycle.cycle, cycle.identity, cycle.pool) == (10, 0.5, 50)
    pyramid = make_train_options({"method": "pyramid-pix2pix", "data": DATA})
    assert (pyramid.l1, pyramid.pyramid, pyramid.batch) == (25, (25, 25, 25), 2)
    assert (pyramid.generator.norm, pyramid.generator.dropout) == ("batch", True)


def test_a_section_that_is_given_in_part_keeps_the_methods_defaults():
    options = make_train_options({"method": "cut", "data": DATA, "generator": {"ngf": 8}})
    assert (options.generator.ngf, options.generator.antialias) == (8, True)


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({}, "method: must be one of cyclegan, cut"),
        ({"method": "gan"}, "not 'gan'"),
        ({"method": "cut"}, "data: is missing"),
        ({"method": "cut", "data": {"b": "b"}}, "data.a: is missing"),
        ({"method": "cut", "data": {"a": "a"}}, "b is needed"),
        ({"method": "cut", "data": DATA, "temprature": 1}, "temperature is near"),
        ({"method": "cut", "data": {**DATA, "pach": 1}}, "data.pach: there is no such option"),
        ({"method": "cyclegan", "data": DATA, "nce": 1}, "nce: there is no such option"),
        ({"method": "cut", "data": DATA, "lr": "fast"}, "lr: input should be a valid number"),
        ({"method": "cut", "data": DATA, "lr": float("nan")}, "lr: "),
        ({"method": "cut", "data": {**DATA, "patch": 130}}, "must be a multiple of 4"),
        ({"method": "pix2pix", "data": {**DATA, "patch": 128}}, "must be a multiple of 256"),
        ({"method": "cut", "data": DATA, "layers": [0, 40]}, "behind the generator's last"),
        ({"method": "cut", "data": DATA, "generator": {"architecture": "unet"}}, "a resnet"),
        ({"method": "cut", "data": {**DATA, "patch": 16}}, "too small for the discriminator"),
        ({"method": "cut", "data": {**DATA, "mpp": 1, "level": 1}}, "exclude each other"),
        ({"method": "cut", "data": 5}, "data: "),
        ({"method": "cut", "data": DATA, "generator": {"inputs": ["red"]}}, "a list of rgb, grey"),
        ({"method": "cut", "data": DATA, "generator": {"inputs": []}}, "generator.inputs: must be"),
        ({"method": "cut", "data": DATA, "epochs": 0, "decay": 0}, "at least one epoch"),
    ],
)
def test_wrong_options_are_named(values, part):
    with pytest.raises(OptionError) as caught:
        make_train_options(values)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_set_reaches_into_sections():
    values = {"data": {"a": "a"}, "lr": 1}
    set_option(values, "data.patch=64")
    set_option(values, "lr=1.0e-3")
    set_option(values, "generator.ngf=8")
    assert values == {"data": {"a": "a", "patch": 64}, "lr": 1e-3, "generator": {"ngf": 8}}


@pytest.mark.parametrize("text", ["lr", "=3", "lr.x=3", "lr=[1"])
def test_set_refuses_what_is_no_assignment(text):
    with pytest.raises(OptionError, match="--set"):
        set_option({"lr": 1}, text)


# Those of the bundled generators are of a script: models/test_bundled_origin.py.
CONFIGURATIONS = sorted(
    path for path in (REPOSITORY / "configs/train").glob("*.yaml")
    if not path.stem.startswith("bundled-")
)  # fmt: skip


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_configurations_are_valid_and_say_what_they_are_for(path):
    make_train_options(read_config(path))
    assert path.read_text().startswith("# ")


def test_configurations_of_papers_hold_the_papers_numbers():
    """What a configuration spells out is what the method would do by itself."""
    for name in ("dn-cyclegan", "dn-cut", "dn-lsesim", "bci-pyramid-s123", "dsd-u", "dsd-p"):
        values = read_config(REPOSITORY / f"configs/train/{name}.yaml")
        bare = {key: values[key] for key in ("method", "data", "domains")}
        spelled, own = (make_train_options(one).model_dump() for one in (values, bare))
        spelled.get("registration", {})["levels"] = None  # 7 is what patches of 256 px allow
        assert spelled == own
