"""Trainings on pairs that a transform aligns: from tables of patches, and drawn on the fly."""

import csv
from contextlib import closing

import numpy as np
import pytest
import tifffile
from aligned_pairs import write, write_pair
from problems import SMALL
from pydantic import ValidationError

from uhrtranslate.errors import InputError, OptionError
from uhrtranslate.options import PairTileOptions
from uhrtranslate.recipes.aligned import open_aligned
from uhrtranslate.recipes.transform_file import read_transform
from uhrtranslate.registration.agreement import agreement
from uhrtranslate.runs.pairs import Pair
from uhrtranslate.tasks.pair_tiles import cut_pairs
from uhrtranslate.tasks.train import _patches as open_patches_of
from uhrtranslate.tasks.train import check_training, resume_training, train
from uhrtranslate.training.configuration import make_train_options
from uhrtranslate.training.data.patches import open_patches
from uhrtranslate.training.data.tables import tile_pairs
from uhrtranslate.training.options import DataOptions


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Three pairs with transforms, cut into train and test, and a table of them."""
    folder = tmp_path_factory.mktemp("slides")
    pairs = []
    for number, name in enumerate("abc"):
        one = folder / f"he/{name}.tif", folder / f"ihc/{name}.tif", folder / f"{name}.json"
        write_pair(*one, turn=number)
        pairs.append(Pair(name, *one))
    options = PairTileOptions(size=96, tissue=0.1)
    cut_pairs(pairs, folder / "cut", options, splits=["train", "train", "test"])
    with (folder / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["moving", "fixed", "transform", "verdict", "split"])
        for name, verdict, split in (("a", "good", "train"), ("b", "doubtful", "train"),
                                     ("c", "good", "test")):  # fmt: skip
            writer.writerow([f"he/{name}.tif", f"ihc/{name}.tif", f"{name}.json", verdict, split])
    return folder


def options(a, method="pix2pix", **data):
    values = SMALL | {"method": method, "epochs": 1, "decay": 0, "seed": 1, "samples": 2}
    values["data"] = {"a": str(a), "patch": 64, "epoch": 3, "tissue": 0.2} | data
    values["generator"] = {"architecture": "resnet", "ngf": 4, "blocks": 1}
    return make_train_options(values)


def test_a_table_of_patches_is_the_folders_of_its_split(slides):
    table = slides / "cut" / "tiles.csv"
    folders = [slides / "cut" / "train" / side for side in "AB"]
    places = {"a": folders[0], "b": folders[1]}
    with (
        closing(open_patches(DataOptions(a=table, patch=64), True, 5)) as ours,
        closing(open_patches(DataOptions(**places, patch=64), True, 5)) as theirs,
        closing(open_patches(DataOptions(a=table, patch=64), False, 5)) as unpaired,
    ):
        compare(folders[0], ours, theirs, unpaired)
    held_out = tile_pairs(table, "test")
    assert {path.name[0] for path, _ in held_out} == {"c"}
    assert 0 < len(tile_pairs(table, "train", 0.95)) < len(tile_pairs(table, "train"))


def compare(folder, ours, theirs, unpaired):
    kept = {path.name for path in folder.iterdir()}
    assert {one.path.name for one in ours.pictures["A"]} == kept
    assert len(kept) > 30
    by_name = {one.path.name: one for one in theirs.pictures["A"]}
    for one in ours.pictures["A"]:
        assert by_name[one.path.name].record() == one.record()
        assert ours.partner_of[one.path].name == one.path.name
        assert ours.partner_of[one.path].parent.name == "B"
    sample = ours.sample(3)
    assert sample["A"].shape == sample["B"].shape == (3, 64, 64)
    assert {len(ones) for ones in unpaired.pictures.values()} == {len(kept)}


def test_slides_with_a_transform_give_aligned_samples_on_the_fly(slides):
    chosen = options(slides / "pairs.csv", flip=False)
    with open_patches_of(chosen) as patches:
        assert [one.path.name for one in patches.pictures["A"]] == ["a.tif"]
        assert patches.doubts() == [f"{slides}/he/b.tif: is left out, as its registration is "
                                    "doubtful."]  # fmt: skip
        assert [one["path"] for one in patches.manifest()["transforms"]] == [str(slides / "a.json")]
        transform = read_transform(slides / "a.json")
        both = slides / "he/a.tif", slides / "ihc/a.tif"
        with open_aligned(*both, transform, "a.json") as aligned:
            seen = [view.read(0, 0, view.width, view.height) for view in aligned.views]
        for number in range(12):
            sample = patches.sample(number)
            np.testing.assert_array_equal(sample["A"], patches.sample(number)["A"])
            a, b = (np.round(sample[s].transpose(1, 2, 0) * 127.5 + 127.5).astype(np.uint8)
                    for s in "AB")  # fmt: skip
            assert agreement(a, b) >= 0.2
            y, x = find(seen[0], a)
            np.testing.assert_array_equal(seen[1][y : y + 64, x : x + 64], b)


def find(picture, patch):
    """Where a patch is in a picture."""
    h, w = patch.shape[:2]
    corner = (picture[: 1 - h, : 1 - w] == patch[0, 0]).all(axis=-1)
    for y, x in np.argwhere(corner):
        if (picture[y : y + h, x : x + w] == patch).all():
            return y, x
    pytest.fail("the patch is not there")


@pytest.mark.parametrize("method", ["pix2pix", "pyramid-pix2pix"])
def test_paired_methods_take_either_table(slides, method):
    for table in ("pairs.csv", "cut/tiles.csv"):
        assert "patches of 64 px" in check_training(options(slides / table, method))


def test_dark_fields_agree_with_stained_sections_and_get_their_planes(slides):
    bright = tifffile.imread(slides / "he/a.tif")
    write(slides / "dark/a.tif", (255 - bright) // 4)
    pair = Pair("a", slides / "dark/a.tif", slides / "ihc/a.tif", slides / "a.json")
    cut_pairs([pair], slides / "bright", PairTileOptions(size=96, tissue=0.1))
    (slides / "dark.csv").write_text("moving,fixed,transform\ndark/a.tif,ihc/a.tif,a.json\n")
    for table in ("dark.csv", "bright/tiles.csv"):
        values = options(slides / table, "digital-staining-paired", flip=False)
        with open_patches_of(values) as patches:
            sample = patches.sample(0)
            assert sample["planes"].shape[1:] == sample["B"].shape[1:]
            a, b = (np.round(sample[s].transpose(1, 2, 0) * 127.5 + 127.5).astype(np.uint8)
                    for s in "AB")  # fmt: skip
            assert agreement(a, b) < -0.2


def test_a_training_on_the_fly_resumes_only_with_the_same_transform(slides, tmp_path):
    whole = slides / "a.json"
    before = whole.read_text()
    train(options(slides / "pairs.csv"), tmp_path / "run")
    result = resume_training(tmp_path / "run")
    assert result.steps == 3
    try:
        whole.write_text(before + "\n")
        with pytest.raises(InputError, match=r"a\.json: was changed"):
            resume_training(tmp_path / "run")
    finally:
        whole.write_text(before)


def test_what_is_wrong_with_a_table_is_said(slides, tmp_path):
    table = slides / "pairs.csv"
    with pytest.raises(OptionError, match="does not learn from pairs"):
        check_training(options(table, "cut"))
    for more in ({"b": str(slides / "ihc")}, {"pairs": "slides"}):
        with pytest.raises(OptionError, match=r"is a table of both domains; leave out data\.b"):
            options(slides / "cut/tiles.csv", **more)
    with pytest.raises(OptionError, match=r"learns from data\.a alone"):
        make_train_options({"method": "colorizer", "data": {"a": str(table)}})
    with pytest.raises(InputError, match="no registered pair that is good and for validation"):
        check_training(options(table, split="validation"))
    with pytest.raises(InputError, match="no pairs of patches for validation"):
        check_training(options(slides / "cut/tiles.csv", split="validation"))
    with pytest.raises(InputError, match="100% of tissue that its partner has"):
        check_training(options(table, patch=384, tissue=1.0))
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="neither a table of patches"):
        check_training(options(tmp_path / "other.csv"))
    twice = "moving,fixed,transform\nhe/a.tif,ihc/a.tif,a.json\nhe/a.tif,ihc/b.tif,a.json\n"
    (slides / "twice.csv").write_text(twice)
    with pytest.raises(InputError, match="is in two pairs"):
        check_training(options(slides / "twice.csv"))
    (tmp_path / "one.csv").write_text("file\nA/x.png\n")
    with pytest.raises(InputError, match="has no partner"):
        check_training(options(tmp_path / "one.csv"))
    with pytest.raises((OptionError, ValidationError)):
        options(table, split="dev")
