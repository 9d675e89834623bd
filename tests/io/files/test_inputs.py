"""Which images a user means."""

import os

import pytest

from uhrtranslate.errors import InputError
from uhrtranslate.io import Found, Missing, expand_inputs, result_stem
from uhrtranslate.tables import RESULT_SUFFIXES


@pytest.fixture
def folder(tmp_path):
    """Some images, and what lies around them."""
    for name in (
        "b.svs", "a.PNG", "notes.txt", ".hidden.tif", "x.tif.uhrt-partial", "y.uhrt-partial.tif",
        "deep/er/c.jpg", ".git/d.png", "slide.mrxs", "slide/Data0001.dat", "slide/preview.jpg",
    ):  # fmt: skip
        path = tmp_path / "slides" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "slides"


def names(results, folder):
    return [str(result.path.relative_to(folder)) for result in results]


def test_a_folder_is_searched_in_order(folder):
    results = expand_inputs([str(folder)])
    assert names(results, folder) == ["a.PNG", "b.svs", "deep/er/c.jpg", "slide.mrxs"]
    assert {result.root for result in results} == {folder}


@pytest.mark.parametrize("ending", ["tif", "ome.tif", "svs"])
@pytest.mark.parametrize("suffix", RESULT_SUFFIXES)
def test_results_in_folders_are_no_inputs(folder, suffix, ending):
    name = f"b.{suffix}.{ending}"
    for other in (name, "b.preview.png"):
        (folder / other).write_bytes(b"x")
    assert name in names(expand_inputs([str(folder)]), folder)
    for item in (folder, folder / "*"):
        found = names(expand_inputs([str(item)], results=RESULT_SUFFIXES), folder)
        assert "b.svs" in found
        assert not {name, "b.preview.png"} & set(found)
    assert result_stem(name, RESULT_SUFFIXES) == "b"
    # Named by the user it is one.
    assert len(expand_inputs([str(folder / name)], results=RESULT_SUFFIXES)) == 1


def test_a_file_is_taken_whatever_its_name(folder):
    path = folder / "notes.txt"
    assert expand_inputs([str(path)]) == [Found(path, folder)]


def test_patterns_and_their_roots(folder):
    assert names(expand_inputs([f"{folder}/*.svs"]), folder) == ["b.svs"]
    results = expand_inputs([f"{folder}/**/*"])
    assert "deep/er/c.jpg" in names(results, folder)
    assert {result.root for result in results} == {folder}
    (folder / "odd[1].png").write_bytes(b"x")
    assert names(expand_inputs([f"{folder}/odd[1].png"]), folder) == ["odd[1].png"]


def test_a_list_on_stdin(folder):
    lines = [f"{folder / 'b.svs'}\n", "\n", f"{folder / 'deep'}\r\n", f"{folder / 'no.svs'}"]
    found, deep, missing = expand_inputs(["-"], lines)
    assert found == Found(folder / "b.svs", folder)
    assert deep == Found(folder / "deep/er/c.jpg", folder / "deep")
    assert isinstance(missing, Missing)


def test_stdin_is_left_alone_unless_asked_for(folder):
    def stdin():
        raise AssertionError
        yield ""

    assert len(expand_inputs([str(folder / "b.svs")], stdin())) == 1


def test_each_file_comes_once(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "link.svs").symlink_to(folder / "b.svs")
    results = expand_inputs(["b.svs", str(folder / "b.svs"), "link.svs", "."])
    assert [result.path.name for result in results] == ["b.svs", "a.PNG", "c.jpg", "slide.mrxs"]


def test_what_is_missing_does_not_stop_the_others(folder):
    (folder / "none").mkdir()
    items = ["no.svs", str(folder / "b.svs"), f"{folder}/*.ndpi", str(folder / "none"), "a\0b", ""]
    results = expand_inputs(items)
    assert [isinstance(result, Missing) for result in results] == [True, False, *[True] * 4]
    for result in results:
        if isinstance(result, Missing):
            assert result.item in items
            assert isinstance(result.error, InputError)
            assert str(result.error)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder it may not read")
def test_an_unreadable_subfolder_is_named(folder):
    (folder / "deep").chmod(0)
    results = expand_inputs([str(folder)])
    (folder / "deep").chmod(0o700)
    assert [r.item for r in results if isinstance(r, Missing)] == [str(folder / "deep")]


def test_parts_of_other_slides_are_no_inputs(folder):
    vms = folder / "vms"
    vms.mkdir()
    (vms / "s.vms").write_text(
        "[Virtual Microscope Specimen]\nImageFile=s.jpg\nMacroImage=s_macro.jpg\nNoLayers=1\n"
    )
    series = b"DICM\x20\x00\x0e\x00UI\x04\x001.2"
    for name in ("s.jpg", "s_macro.jpg", "other.jpg"):
        (vms / name).write_bytes(b"x")
    for name, content in (("1.dcm", b"\0"), ("2.dcm", b"\0"), ("3.dcm", b"\1")):
        (vms / name).write_bytes(series + content)
    (vms / "4.dcm").write_bytes(b"no series")
    assert names(expand_inputs([str(vms)]), vms) == [
        "1.dcm", "3.dcm", "4.dcm", "other.jpg", "s.vms",
    ]  # fmt: skip
