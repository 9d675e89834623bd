"""`uhrt tiles` of pairs with a transform: the same places, scored, and dropped with a reason."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from aligned_pairs import transform, write, write_pair
from PIL import Image

from uhrtranslate.errors import InputError, OptionError
from uhrtranslate.io import open_slide
from uhrtranslate.options import ImageOptions, PairTileOptions, TileOptions, validated
from uhrtranslate.recipes.aligned import moves
from uhrtranslate.registration import Frame, Transform, dump_transform
from uhrtranslate.registration.agreement import agreement
from uhrtranslate.runs.pairs import Pair, read_pairs
from uhrtranslate.tasks.pair_tiles import PAIR_COLUMNS, cut_pairs
from uhrtranslate.tasks.tiles import cut_tiles
from uhrtranslate.tasks.warp import warp

SMALL = PairTileOptions(size=96, tissue=0.1)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    write_pair(folder / "he.tif", folder / "ihc.tif", folder / "t.json")
    return folder, Pair("he", folder / "he.tif", folder / "ihc.tif", folder / "t.json")


@pytest.fixture(scope="module")
def cut(pair):
    folder, one = pair
    (result,) = cut_pairs([one], folder / "cut", SMALL)
    return result, rows(folder / "cut")


def rows(folder):
    with (folder / "tiles.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def picture(path):
    return np.asarray(Image.open(path))


def test_patches_equal_those_of_the_warped_slide_pixel_for_pixel(pair, cut):
    folder, one = pair
    options = ImageOptions(compression="deflate")
    warp(one.moving, one.transform, folder / "warped.tif", options)
    plain = TileOptions(size=96, tissue=0)
    cut_tiles(folder / "warped.tif", folder / "apart", plain, partner=one.fixed)
    kept = [row for row in cut[1] if row["file"]]
    assert len(kept) > 20
    for row in kept:
        name = f"{row['side']}/warped_x{row['x0']}_y{row['y0']}.png"
        made = picture(folder / "cut" / row["file"])
        np.testing.assert_array_equal(made, picture(folder / "apart" / name))


def test_what_is_blank_outside_or_does_not_agree_is_dropped_and_listed(pair, cut):
    folder, _ = pair
    result, listed = cut
    assert tuple(listed[0]) == PAIR_COLUMNS
    assert len(listed) == 2 * 7 * 6
    reasons = {row["dropped"] for row in listed}
    assert reasons == {"", "blank", "outside", "overlap", "ncc"}
    assert result.patches == sum(row["side"] == "A" and not row["dropped"] for row in listed)
    assert sum(result.dropped.values()) == 42 - result.patches
    for row in listed:
        if row["dropped"] == "ncc":  # where the fixed slide shows other tissue
            assert 204 < int(row["x0"]) < 600, row
            assert 304 < int(row["y0"]) < 600, row
        assert bool(row["file"]) == (row["dropped"] == "")
        assert bool(row["ncc"]) == (row["dropped"] in ("", "ncc"))
        if row["file"]:
            assert float(row["ncc"]) >= 0.2
            assert float(row["overlap"]) >= 0.5
            assert float(row["mpp"]) == 0.5
    files = {
        path.relative_to(folder / "cut").as_posix() for path in (folder / "cut").rglob("*.png")
    }
    assert files == {row["file"] for row in listed if row["file"]}


def test_either_order_cuts_the_same_places(pair, cut):
    """The transform says which slide is warped; the order says which one is A."""
    folder, one = pair
    turned = replace(one, name="ihc", moving=one.fixed, fixed=one.moving)
    cut_pairs([turned], folder / "turned", SMALL)
    there = {(row["side"], row["x0"], row["y0"]): row for row in rows(folder / "turned")}
    for row in cut[1]:
        other = there["B" if row["side"] == "A" else "A", row["x0"], row["y0"]]
        for same in ("tissue", "overlap", "ncc", "dropped", "source"):
            assert row[same] == other[same]
        if row["file"]:
            ours, theirs = folder / "cut" / row["file"], folder / "turned" / other["file"]
            assert ours.read_bytes() == theirs.read_bytes()


def test_limits_and_resolution_are_options(pair):
    folder, one = pair
    everything = PairTileOptions(size=48, overlap=16, mpp=1.0, tissue=0, ncc=-1)
    (result,) = cut_pairs([one], folder / "all", everything)
    assert set(result.dropped) == {"outside"}
    listed = rows(folder / "all")
    assert {row["w0"] for row in listed} == {"96"}
    assert {int(row["x0"]) for row in listed} == set(range(0, 665, 64))
    with pytest.raises(OptionError, match="overlap"):
        validated(PairTileOptions, {"size": 64, "overlap": 64})


def test_which_slide_is_the_moving_one(tmp_path):
    """By size, by name, and by order where both are equal."""
    glass = np.full((64, 80, 3), 240, np.uint8)
    for name in ("a/s.tif", "b/s.tif", "a/one.tif", "b/two.tif"):
        write(tmp_path / name, glass)
    write(tmp_path / "wide.tif", glass[:32])

    def infos(*names):
        for name in names:
            with open_slide(tmp_path / name) as slide:
                yield slide.info

    def between(moving, fixed, size=(80, 64)):
        return Transform(Frame(moving, 80, 64), Frame(fixed, *size), ())

    named = between("one.tif", "two.tif")
    assert moves(*infos("a/one.tif", "b/two.tif"), named, "t.json")
    assert not moves(*infos("b/two.tif", "a/one.tif"), named, "t.json")
    assert moves(*infos("a/s.tif", "b/s.tif"), between("s.tif", "s.tif"), "t.json")
    sized = between("x.tif", "y.tif", (80, 32))
    assert not moves(*infos("wide.tif", "a/s.tif"), sized, "t.json")
    with pytest.raises(InputError, match="nobody can tell"):
        moves(*infos("a/s.tif", "b/two.tif"), named, "t.json")
    with pytest.raises(InputError, match="name the right pair"):
        moves(*infos("wide.tif", "wide.tif"), named, "t.json")


def test_agreement_tells_one_section_in_two_stains_from_others():
    from problems import recolour, section

    one = section()[100:356, 100:356]
    there = recolour(one)
    assert agreement(one, there) > 0.9
    assert agreement(one, there[::-1]) < 0.2
    assert agreement(one, recolour(section()[120:376, 120:376])) < 0.8
    assert agreement(one, np.full_like(one, 240)) == 0
    large = np.asarray(Image.fromarray(one).resize((1024, 1024)))
    assert agreement(large, np.asarray(Image.fromarray(there).resize((1024, 1024)))) > 0.9


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("moving\na.tif\n", "has no column 'fixed'"),
        ("moving,fixed\n", "has no pairs"),
        ("moving,fixed\na.tif,\n", "line 2 has no fixed slide"),
        ("moving,fixed\na.tif,b.tif,c\n", "more fields than the header"),
        ("moving,fixed,split\na.tif,b.tif,dev\n", "split must be train, validation, test"),
        ("moving,fixed,name\na.tif,b.tif,../x\n", "leave out folders"),
        ("moving,fixed,moving_landmarks\na.tif,b.tif,l.csv\n", "landmarks of one slide only"),
        ("moving,fixed,name\na.tif,b.tif,x\nc.tif,d.tif,X\n", "is there twice"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path, text, told):
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(OptionError, match=told):
        read_pairs(tmp_path / "pairs.csv")


def test_places_in_a_table_are_relative_to_it_and_names_are_unique(tmp_path):
    (tmp_path / "pairs.csv").write_text(
        "moving,fixed,transform,note\nhe/1.tif,ihc/1.tif,t/1.json,x\nold/1.tif,ihc/2.tif,,\n"
    )
    first, second = read_pairs(tmp_path / "pairs.csv")
    assert first == Pair(
        "he_1", tmp_path / "he/1.tif", tmp_path / "ihc/1.tif", tmp_path / "t/1.json"
    )
    assert (second.name, second.transform) == ("old_1", None)


def test_a_pair_that_breaks_in_the_middle_leaves_nothing(pair, monkeypatch):
    from uhrtranslate.recipes import aligned

    folder, one = pair

    def read(self, place, size, read=aligned.Aligned.read):
        if place.y > 200:
            raise InputError("he.tif: the share is gone.")
        return read(self, place, size)

    monkeypatch.setattr(aligned.Aligned, "read", read)
    (result,) = cut_pairs([one], folder / "broken", SMALL)
    assert result.error == "he.tif: the share is gone."
    assert not (folder / "broken").exists()


def test_a_transform_of_other_slides_is_refused(pair, tmp_path):
    _folder, one = pair
    other = replace(transform("he.tif", "ihc.tif"), moving=Frame("he.tif", 10, 10))
    (tmp_path / "other.json").write_text(json.dumps(dump_transform(other)))
    (result,) = cut_pairs([replace(one, transform=tmp_path / "other.json")], tmp_path / "x", SMALL)
    assert "was made for he.tif (10 x 10 px)" in result.error


def test_a_pair_that_fails_on_being_resumed_leaves_nothing(pair, tmp_path):
    """Also of what it had made before."""
    from uhrtranslate.tasks import pair_tiles

    _, one = pair
    output, state = tmp_path / "out", tmp_path / "out/.state"
    journal, made = state / "he.jsonl", []
    pair_tiles._cut(one, output, "", SMALL, journal, made, lambda: None)
    assert len(list(output.rglob("*.png"))) > 30
    lost = replace(one, fixed=tmp_path / "lost.tif")
    (result,) = cut_pairs([lost], output, SMALL, state=state)
    assert "lost.tif: does not exist" in result.error
    assert not list(output.rglob("*.png"))
    assert not journal.exists()
