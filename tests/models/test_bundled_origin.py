"""The generators that ship are what the configurations in the repository make."""

import json
import re

import pytest
import yaml
from support import REPOSITORY

from uhrtranslate.models import bundled_generators, load_generator
from uhrtranslate.options import read_config

PATHS = {
    path.stem.removeprefix("bundled-"): path
    for path in sorted((REPOSITORY / "configs/train").glob("bundled-*.yaml"))
}
each = pytest.mark.parametrize("name", PATHS)


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))


def origin_of(name):
    return json.loads(load_generator(name).info.origin)


def test_each_generator_has_a_configuration():
    assert list(PATHS) == sorted(bundled_generators())


@each
def test_weights_are_those_of_the_configuration(name):
    values, origin = read_config(PATHS[name]), origin_of(name)
    assert origin["configuration"] == values
    assert origin["steps"] == values["own"]["steps"] + values["field"]["steps"]
    info = load_generator(name).info
    assert list(info.domains) == values["domains"]
    assert values["generator"].items() <= info.arguments.items()


@each
def test_a_training_begins_as_it_did(name, shared):
    """What was changed since in windows, goals, network or loss would show."""
    from bundled_recipe import read_recipe
    from train_bundled import Training

    training = Training(read_recipe(PATHS[name])[0], shared / "data")
    expected = origin_of(name)["first_losses"]
    for _ in expected:
        training.step()
    assert training.losses == pytest.approx(expected, rel=0.01)


@each
def test_sources_are_those_of_the_page(name):
    page = (REPOSITORY / "docs/bundled-generators.md").read_text()
    for image in read_config(PATHS[name])["images"]:
        stem = re.split("[/:]", image["path"])[-1]
        assert stem in page or stem.startswith("TCGA-AD-6964"), stem


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stepz": 5}, "stepz: "), ({"own": {"steps": -1, "lr": 1}}, "own.steps: "),
        ({"images": []}, "images: "), ({"domains": ["H&E"]}, "domains"),
    ],
)  # fmt: skip
def test_wrong_configurations_are_named(changes, message, tmp_path):
    from bundled_recipe import read_recipe

    path = tmp_path / "bundled-mine.yaml"
    path.write_text(yaml.safe_dump(read_config(PATHS["he2ihc"]) | changes))
    with pytest.raises(SystemExit, match=f"bundled-mine.yaml: {re.escape(message)}"):
        read_recipe(path)


def test_other_images_are_refused(tmp_path):
    from bundled_recipe import read_recipe

    picture = read_recipe(PATHS["he2ihc"])[0].images[0]
    with pytest.raises(SystemExit, match=r"\.svs: is missing"):
        picture.file(tmp_path)
    path = tmp_path / picture.path
    path.parent.mkdir()
    path.write_bytes(b"another")
    with pytest.raises(SystemExit, match=r"\.svs: is another image"):
        picture.file(tmp_path)
