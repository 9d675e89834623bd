"""What users of the field's other tools type gets the option that means the same."""

import pytest

from uhrtranslate.errors import OptionError
from uhrtranslate.options import (
    EnhanceOptions,
    StainOptions,
    TranslateOptions,
    make_options,
)
from uhrtranslate.options.habits import HABITS
from uhrtranslate.tables import TRAINING_METHODS
from uhrtranslate.training.configuration import make_train_options, option_names


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (("translate", "a.tif", "--gpu", "0"), "--device cuda:0"),
        (("translate", "a.tif", "--magnification", "20"), "--mpp 0.5"),
        (("translate", "a.tif", "--magnification", "20"), "--source-power 20"),
        (("translate", "a.tif", "--output-dir", "x"), "--output"),
        (("translate", "a.tif", "--batch-size", "4"), "--batch."),
        (("translate", "a.tif", "--num-workers", "4"), "--workers"),
        (("translate", "a.tif", "--tile_size", "4"), "--tile"),
        (("translate", "--input", "a.tif"), "without an option"),
        (("tiles", "a.tif", "-o", "x", "--patch-size", "256"), "--size"),
        (("stain-normalize", "a.tif", "--template", "b.tif"), "--target"),
        (("models", "export", "a.tif", "--checkpoint", "b.pth"), "--model"),
        (("train", "cut.yaml", "--batch-size", "4"), "--set batch=VALUE"),
        (("train", "cut.yaml", "--num-workers", "4"), "--set data.workers=VALUE"),
        (("train", "cut.yaml", "--epochs", "4"), "--set epochs=VALUE"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_flags_of_other_tools(uhrt_here, typed, told):
    done = uhrt_here(*typed)
    assert done.returncode == 2
    flat = " ".join(done.stderr.replace("│", " ").split())
    assert "No such option" in flat
    assert told in flat


def test_a_slip_of_the_fingers_is_still_met_by_spelling(uhrt_here):
    assert "--mpp" in uhrt_here("translate", "a.tif", "--mppp", "1").stderr
    assert "No such option: --nonsense" in uhrt_here("translate", "--nonsense").stderr


CUT = {"method": "cut", "data": {"a": "a", "b": "b", "patch": 64}}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"batch_size": 4}, "batch_size: there is no such option; batch means that here."),
        ({"num_workers": 4}, "data.workers means that here"),
        ({"generator": {"n_blocks": 4}}, "generator.n_blocks: .*; generator.blocks means that"),
        ({"n_epochs": 4}, "epochs means that here"),
        ({"temprature": 4}, "temprature: there is no such option; temperature is near"),
    ],
)
def test_keys_of_other_tools_in_a_training(values, told):
    with pytest.raises(OptionError, match=told):
        make_train_options(CUT | values)


def test_keys_of_other_tools_in_a_configuration():
    with pytest.raises(OptionError, match=r"batch_size: there is no such option; batch means"):
        make_options({"batch_size": 4})
    with pytest.raises(OptionError, match=r"norn: there is no such option; norm is near"):
        make_options({"norn": "dn"})


def test_every_option_of_the_table_exists():
    offered = {"output", "manifest", "config", "quiet", "debug", "size", "target", "reference"}
    offered |= {"truth", "reference"}
    for kind in (TranslateOptions, StainOptions, EnhanceOptions):
        offered |= set(kind.model_fields)
    for method in TRAINING_METHODS.values():
        offered |= set(option_names(method.options_class))
    missing = {name for names in HABITS.values() for name in names} - offered
    assert not missing - {"patch", "blocks"}, missing


@pytest.mark.parametrize(("blocks", "layers"), [(9, (0, 4, 8, 12, 16)), (2, None), (4, None)])
def test_the_layers_of_cut_fit_the_generator(blocks, layers):
    options = make_train_options(CUT | {"generator": {"blocks": blocks, "ngf": 4}})
    if layers:
        assert options.layers == layers
    assert len(options.layers) >= 3
    # As a run's folder keeps it.
    assert make_train_options(options.model_dump(mode="json")).layers == options.layers
    with pytest.raises(OptionError) as told:
        make_train_options(CUT | {"generator": {"blocks": 2, "ngf": 4}, "layers": [0, 4, 30]})
    assert "write layers: [0, 4, " in str(told.value)


def test_one_name_for_the_blocks(uhrt_here):
    shown = uhrt_here("models", "show", "he2ihc").stdout
    assert "blocks=6" in shown.replace("\n", "")
    assert "n_blocks" not in shown
