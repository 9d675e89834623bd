"""Pairs of slides on the command line: cut by a table of transforms."""

import csv
import json

import pytest
from aligned_pairs import write_pair


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    write_pair(folder / "he.tif", folder / "ihc.tif", folder / "t.json")
    return folder


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_table_of_pairs_leaves_out_what_is_doubtful_and_goes_on(slides, uhrt_here):
    folder = slides
    shown = {"moving": "he.tif", "fixed": "ihc.tif"}
    table = [
        shown | {"name": "good", "transform": "t.json", "verdict": "good"},
        shown | {"name": "unsure", "transform": "t.json", "verdict": "doubtful"},
        shown | {"name": "never", "verdict": "failed"},
        shown | {"name": "lost", "transform": "no.json", "verdict": "good"},
    ]
    with (folder / "pairs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["moving", "fixed", "name", "transform", "verdict"])
        writer.writeheader()
        writer.writerows(table)
    arguments = ["--size", 96, "--tissue", 0.1, "--json"]
    done = uhrt_here("tiles", "--manifest", folder / "pairs.csv", "-o", folder / "some", *arguments)
    assert done.returncode == 1
    kept = [row for row in rows(folder / "some" / "tiles.csv") if row["file"]]
    assert len(kept) > 20
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["patches"] for one in found] == [len(kept) // 2, 0, 0, 0]
    assert "is doubtful, so it is left out" in found[1]["left_out"]
    assert "registration failed" in found[2]["left_out"]
    assert "no.json: does not exist" in found[3]["error"]
    for told in (found[1]["left_out"], found[2]["left_out"], found[3]["error"]):
        assert told in done.stderr
    assert {row["pair"] for row in rows(folder / "some" / "tiles.csv")} == {"good"}
    (folder / "two.csv").write_text(
        "moving,fixed,name,transform,verdict\n"
        "he.tif,ihc.tif,good,t.json,good\nhe.tif,ihc.tif,unsure,t.json,doubtful\n"
    )
    table = ("--manifest", folder / "two.csv")
    done = uhrt_here("tiles", *table, "-o", folder / "three", *arguments)
    assert done.returncode == 3
    done = uhrt_here("tiles", *table, "-o", folder / "both", *arguments, "--doubtful")
    assert done.returncode == 0
    assert {row["pair"] for row in rows(folder / "both" / "tiles.csv")} == {"good", "unsure"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name a slide or folder"),
        (["he.tif", "--transform", "t.json"], "add --paired"),
        (["he.tif", "--manifest", "pairs.csv"], "leave out INPUT"),
        (["he.tif", "--ncc", "0.2"], "add --transform"),
    ],
)
def test_wrong_usage_is_said(uhrt_here, tmp_path, arguments, told):
    done = uhrt_here("tiles", *arguments, "-o", tmp_path / "never")
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
