"""`uhrt pairs`: from slides to a data set, killed and resumed to the same bytes, without leaks."""

import csv
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from aligned_pairs import transform, write_pair
from support import REPOSITORY

from uhrtranslate.errors import OptionError
from uhrtranslate.options import PairsOptions, validated
from uhrtranslate.runs.pairs import Pair
from uhrtranslate.runs.splits import split_pairs

ARGUMENTS = ("--engine", "none", "--size", 96, "--tissue", 0.1, "--no-pages")


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Three pairs to cut, one that is doubtful, and one to register by points."""
    folder = tmp_path_factory.mktemp("slides")
    rows = ["moving,fixed,transform,points,verdict"]
    for number, name in enumerate(("a", "b", "c", "d")):
        both = f"he/{name}.tif", f"ihc/{name}.tif"
        write_pair(*(folder / one for one in both), folder / f"{name}.json", turn=number)
        verdict = "doubtful" if name == "d" else "good"
        rows.append(f"{','.join(both)},{name}.json,,{verdict}")
    known = transform("a.tif", "a.tif")
    places = np.array([[80.0, 80], [600, 100], [650, 500], [120, 560]])
    both = np.hstack([known.to_moving(places), places])
    lines = ["moving_x,moving_y,fixed_x,fixed_y", *(",".join(map(str, row)) for row in both)]
    (folder / "points.csv").write_text("\n".join(lines))
    rows.append("he/a.tif,ihc/b.tif,,points.csv,")
    (folder / "pairs.csv").write_text("\n".join(rows))
    return folder


def command(slides, output, *more):
    table = ("--manifest", slides / "pairs.csv", "-o", output, *ARGUMENTS, *more)
    return [sys.executable, "-m", "uhrtranslate", "pairs", *map(str, table)]


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def whole(slides):
    """The data set of a run that nothing stopped."""
    done = subprocess.run(
        command(slides, slides / "whole"), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 3, done.stderr
    return slides / "whole", done


def test_pairs_are_registered_split_and_cut_and_what_is_doubtful_is_named(slides, whole):
    folder, done = whole
    assert done.stdout.strip() == str(folder / "tiles.csv")
    assert f"{slides / 'he/d.tif'}: its registration is doubtful, so it is left out" in done.stderr
    pairs = {row["name"]: row for row in rows(folder / "pairs.csv")}
    assert len(pairs) == 5
    tiles = rows(folder / "tiles.csv")
    files = {row["file"] for row in tiles if row["file"]}
    assert files == {name for name in contents(folder) if name.endswith(".png")}
    for row in tiles:
        assert row["split"] == pairs[row["pair"]]["split"]
        if row["file"]:
            assert row["file"].startswith(f"{row['split']}/{row['side']}/{row['pair']}_x")
    for row in pairs.values():
        kept = sum(t["pair"] == row["name"] and t["side"] == "A" and bool(t["file"]) for t in tiles)
        assert kept == int(row["patches"])
    assert {row["patches"] != "0" for row in pairs.values() if row["verdict"] == "good"} == {True}
    assert not (folder / ".uhrt-pairs").exists()
    record = json.loads((folder / "dataset.json").read_text())
    assert record["options"]["size"] == 96


def test_no_slide_is_in_two_splits(slides, whole):
    """a and b share slides with the fifth pair, so all three are together."""
    seen = {}
    for row in rows(whole[0] / "pairs.csv"):
        for side in ("moving", "fixed"):
            seen.setdefault(row[side], set()).add(row["split"])
    assert all(len(splits) == 1 for splits in seen.values())
    assert len({split for splits in seen.values() for split in splits}) == 3


def test_killed_and_resumed_gives_the_same_bytes(slides, whole):
    """Killed by SIGKILL once it has begun to cut, and again further on."""
    folder = slides / "killed"
    more = []
    for least in (3, 40):
        run = subprocess.Popen(command(slides, folder, *more), stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 600
            while len(list(folder.rglob("*.png"))) < least:
                assert run.poll() is None, "it ended before it could be killed"
                assert time.monotonic() < end
                time.sleep(0.01)
        finally:
            run.send_signal(signal.SIGKILL)
            run.wait()
        assert not (folder / "tiles.csv").exists()
        more = ["--resume"]
    (journal,) = sorted(folder.glob(".uhrt-pairs/*.jsonl"))[-1:]
    with journal.open("ab") as file:
        file.write(b'[{"file": "tor')  # as a kill in the middle of writing leaves it
    (folder / "transforms" / ".uhrt-0123456789abcdef").write_bytes(b"torn")  # the same of a patch
    again = subprocess.run(command(slides, folder), capture_output=True, text=True, timeout=600)
    assert again.returncode == 1
    assert "use --resume" in again.stderr
    done = subprocess.run(command(slides, folder, "--resume"), timeout=600, capture_output=True)
    assert done.returncode == 3
    ours, theirs = contents(folder), contents(whole[0])
    assert ours.keys() == theirs.keys()
    assert [name for name in theirs if ours[name] != theirs[name]] == []


def test_a_finished_data_set_is_told_and_left_alone(slides, whole, uhrt_here):
    folder, _ = whole
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    arguments = ("pairs", "--manifest", slides / "pairs.csv", "-o", folder, *ARGUMENTS)
    done = uhrt_here(*arguments, "--resume")
    assert done.returncode == 3
    assert "is doubtful, so it is left out" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    other = uhrt_here(*arguments, "--resume", "--ncc", 0.5)
    assert other.returncode == 1
    assert "was begun with other slides, options" in other.stderr


def test_two_folders_and_a_recipe_are_enough(slides, tmp_path, uhrt_here):
    for side in ("he", "ihc"):
        (tmp_path / side).mkdir()
        for name in ("a.tif", "glass.tif"):
            (tmp_path / side / name).write_bytes((slides / side / "a.tif").read_bytes())
    recipe = {"engine": "none", "size": 96, "tissue": 0.1, "doubtful": True, "split": "80,0,20"}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (tmp_path / "he" / "glass.tif").write_bytes(b"II*\0torn")
    done = uhrt_here(
        "pairs", tmp_path / "he", tmp_path / "ihc", "-o", tmp_path / "out", "-c",
        tmp_path / "recipe.yaml",
    )  # fmt: skip
    assert done.returncode == 1
    assert "glass.tif" in done.stderr
    assert "has no patches for test" in done.stderr
    (first, second) = rows(tmp_path / "out" / "pairs.csv")
    assert int(first["patches"]) > 10
    assert (first["split"], second["patches"]) == ("train", "0")
    assert (tmp_path / "out" / "pages" / "a.html").exists()


def names(*slides):
    return [[f"{one} he", f"{one} ihc"] for one in slides]


def pairs(*names, **more):
    return [Pair(name, f"{name}-he", f"{name}-ihc", **more) for name in names]


def test_splits_have_their_shares_and_depend_on_names_and_seed_alone():
    many = [f"s{number}" for number in range(20)]
    first = split_pairs(pairs(*many), names(*many), (70, 15, 15), 0)
    assert [first.count(one) for one in ("train", "validation", "test")] == [14, 3, 3]
    turned = many[::-1]
    again = split_pairs(pairs(*turned), names(*turned), (0.7, 0.15, 0.15), 0)
    assert again[::-1] == first
    assert split_pairs(pairs(*many), names(*many), (70, 15, 15), 1) != first
    few = split_pairs(pairs("a", "b", "c"), names("a", "b", "c"), (70, 15, 15), 0)
    assert sorted(few) == ["test", "train", "validation"]
    assert split_pairs(pairs("a"), names("a"), (70, 15, 15), 0) == ["train"]


def test_what_belongs_together_is_not_parted():
    many = [*pairs("a", "b", group="p1"), *pairs("c", "d"), *pairs("e", "f", "g", "h")]
    marks = names("a", "b", "c", "d", "e", "f", "g", "h")
    marks[3][1] = marks[0][0]  # d has a slide of a under another name
    for seed in range(8):
        found = split_pairs(many, marks, (50, 25, 25), seed)
        assert found[0] == found[1] == found[3]
    wanted = [Pair("a", "x", "y", split="test"), Pair("b", "x", "z"), *pairs("c", "d")]
    marks = [["x", "y"], ["x", "z"], *names("c", "d")]
    assert split_pairs(wanted, marks, (1, 0, 0), 0) == ["test", "test", "train", "train"]
    wanted[1] = Pair("b", "x", "z", split="train")
    with pytest.raises(OptionError, match="share a slide or a group"):
        split_pairs(wanted, marks, (1, 0, 0), 0)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "configs/pairs").glob("*.yaml")))
def test_recipes_are_valid(path):
    from uhrtranslate.options import read_config

    assert validated(PairsOptions, read_config(path)).size >= 256


@pytest.mark.parametrize("split", ["70,15", "0,50,50", "a,b,c", "70,15,-15"])
def test_wrong_shares_are_said(split):
    with pytest.raises(OptionError, match="split"):
        validated(PairsOptions, {"split": split})
