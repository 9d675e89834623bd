"""Commands that are given URLs, of a server on this machine."""

import json

import numpy as np
import pytest
import tifffile
from served import TISSUE
from support import small_resnet

from uhrtranslate.cli.app import run_program
from uhrtranslate.io.files import remote
from uhrtranslate.models import GeneratorInfo, save_native
from uhrtranslate.tasks.translate import translate


def uhrt(monkeypatch, *arguments):
    """Run the program in this process; its exit code."""
    monkeypatch.setattr("sys.argv", ["uhrt", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        run_program()
    return stop.value.code or 0


@pytest.fixture
def tiny(tmp_path):
    """A small generator's file."""
    save_native(
        tmp_path / "tiny.safetensors",
        small_resnet(ngf=4, n_blocks=1),
        GeneratorInfo("resnet", {"ngf": 4, "n_blocks": 1}, cell=128),
    )
    return tmp_path / "tiny.safetensors"


def test_a_zarr_goes_on_where_the_connection_broke(
    server, served, tmp_path, tiny, monkeypatch, capsys
):
    given = ("--model", tiny, "--tile", 128, "--halo", 64, "--compression", "none", "--json")
    url, target = server.url("a.ome.zarr", "lastrow"), tmp_path / "a.tif"
    assert uhrt(monkeypatch, "translate", url, "-o", target, *given) == 1
    assert "the connection broke" in capsys.readouterr().err
    assert not target.exists()
    server.healed = True
    assert uhrt(monkeypatch, "translate", url, "-o", target, "--resume", *given) == 0
    assert json.loads(capsys.readouterr().out)["resumed"] > 0
    here = tmp_path / "here.tif"
    assert uhrt(monkeypatch, "translate", served / "a.ome.zarr", "-o", here, *given) == 0
    assert np.array_equal(tifffile.imread(target), tifffile.imread(here))


def test_python_takes_urls(server, tmp_path):
    done = translate(
        server.url("slide.tif"), tmp_path, region=(0, 0, 256, 128), model="he2ihc", norm="tin"
    )
    assert (done.output, done.width) == (str(tmp_path / "slide.tin.tif"), 256)


def test_a_batch_goes_on(server, served, tmp_path, tiny, monkeypatch, capsys):
    monkeypatch.setattr(remote, "BLOCK", 1 << 14)
    monkeypatch.chdir(tmp_path)
    urls = [
        server.url("slide.tif", "broken"),
        server.url("none.tif"),
        server.url("slide.svs") + "?sig=secret",
        server.url("b.v05.ome.zarr"),
    ]
    given = ["--model", "tiny.safetensors", "--compression", "none"]
    monkeypatch.setattr("sys.argv", ["uhrt", "translate", *urls, "-o", "out", *given, "--json"])
    with pytest.raises(SystemExit) as stop:
        run_program()
    assert stop.value.code == 1
    printed = capsys.readouterr()
    results = [json.loads(line) for line in printed.out.splitlines()]
    assert [one["status"] for one in results] == ["failed", "failed", "done", "done"]
    assert "the connection broke" in results[0]["error"]
    assert "does not exist on the server" in results[1]["error"]
    assert "secret" not in printed.out + printed.err
    assert "secret" not in (tmp_path / "out" / "uhrt-run.json").read_text()
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    kept = [name for name in made if not name.startswith(".") and "partial" not in name]
    assert kept == ["b.v05.ome.dn.tif", "slide.svs.dn.tif", "uhrt-run.json"]

    server.healed = True
    again = ["-o", "out/slide.tif.dn.tif", "--resume", *given]
    monkeypatch.setattr("sys.argv", ["uhrt", "translate", urls[0], *again])
    with pytest.raises(SystemExit) as stop:
        run_program()
    assert not stop.value.code, capsys.readouterr().err
    for name in ("slide.tif", "slide.svs"):
        local = ["uhrt", "translate", str(served / name), "-o", f"{name}.here.tif"]
        monkeypatch.setattr("sys.argv", [*local, *given])
        with pytest.raises(SystemExit):
            run_program()
        here, there = tifffile.imread(f"{name}.here.tif"), tifffile.imread(f"out/{name}.dn.tif")
        assert np.array_equal(here, there)


def test_validate_reads_files_only_and_says_so(server, served, monkeypatch, capsys):
    assert uhrt(monkeypatch, "validate", server.url("a.tif") + "?sig=secret", served / "a.tif") == 1
    printed = capsys.readouterr()
    assert "a.tif: is not read over the network here; download it first" in printed.err
    assert "secret" not in printed.out + printed.err
    assert f"{served / 'a.tif'}: does not exist" in " ".join(printed.err.split())


def test_training_says_why_it_reads_no_urls(server, tmp_path, monkeypatch, capsys):
    (tmp_path / "a.yaml").write_text(
        f"method: cut\ndata: {{a: '{server.url('a.tif')}?sig=secret', b: there}}\n"
    )
    assert uhrt(monkeypatch, "train", tmp_path / "a.yaml", "-o", tmp_path / "run") == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "a.tif: is not read over the network, as patches are read many times" in told
    assert "secret" not in told
    assert not (tmp_path / "run").exists()


def test_an_image_is_evaluated_against_its_source_by_url(
    server, served, tmp_path, monkeypatch, capsys
):
    places = [(served / "slide.svs", served / "slide.tif")]
    places.append(
        (f"{server.url('slide.svs')}?sig=secret", f"{server.url('slide.tif')}?sig=secret")
    )
    found = []
    for number, (image, source) in enumerate(places):
        given = (image, "--source", source, "--grid", 128, "-o", tmp_path / str(number), "--json")
        assert uhrt(monkeypatch, "evaluate", *given) == 0
        printed = capsys.readouterr()
        assert "secret" not in printed.out + printed.err
        found.append(json.loads(printed.out))
    here, there = found
    assert (there["input"], there["source"]) == (server.url("slide.svs"), server.url("slide.tif"))
    for group in ("seam", "structure", "colour"):
        assert there[group] == pytest.approx(here[group])
    for path in (tmp_path / "1").iterdir():
        assert b"secret" not in path.read_bytes()
    assert "slide.svs" in (tmp_path / "1" / "index.html").read_text()


def test_evaluation_goes_on_after_a_url_that_fails(server, served, monkeypatch, capsys):
    given = (server.url("none.tif"), served / "slide.tif", "--json")
    assert uhrt(monkeypatch, "evaluate", *given) == 1
    printed = capsys.readouterr()
    assert "does not exist on the server; check the URL" in printed.err
    assert [json.loads(line)["status"] for line in printed.out.splitlines()] == ["failed", "done"]


def test_a_url_is_compared(server, tmp_path, tiny, monkeypatch, capsys):
    url = server.url("slide.tif")
    given = ("--region", "0,0,256,256", "--norms", "tin,dn", "--model", tiny)
    report = tmp_path / "report"
    assert uhrt(monkeypatch, "compare", f"{url}?sig=secret", *given, "-o", report) == 0
    printed = capsys.readouterr()
    assert "secret" not in printed.out + printed.err
    assert json.loads((report / "compare.json").read_text())["slide"] == url
    assert np.array_equal(tifffile.imread(report / "source.tif"), TISSUE[:256, :256])
    assert b"secret" not in (report / "index.html").read_bytes()


def test_patches_are_cut_from_a_url(server, served, tmp_path, monkeypatch, capsys):
    url = server.url("slide.tif") + "?sig=secret"
    for name, source, other in (
        ("here", served / "slide.tif", served / "slide.svs"),
        ("there", url, server.url("slide.svs")),
    ):
        given = ("--size", 256, "--tissue", 0, "--paired", other)
        assert uhrt(monkeypatch, "tiles", source, "-o", tmp_path / name, *given) == 0
        assert "secret" not in "".join(capsys.readouterr())
    here, there = (
        {path.relative_to(tmp_path / name): path for path in (tmp_path / name).rglob("*.png")}
        for name in ("here", "there")
    )
    assert here.keys() == there.keys()
    assert len(here) == 12
    assert all(here[name].read_bytes() == there[name].read_bytes() for name in here)
    assert "secret" not in (tmp_path / "there" / "tiles.csv").read_text()
    assert uhrt(monkeypatch, "tiles", url, "-o", tmp_path / "no", "--paired", served) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "a URL is one slide" in told
    assert "secret" not in told
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("command", ["stain-normalize", "enhance"])
def test_recolouring_takes_urls_for_inputs_and_targets(
    command, server, served, tmp_path, monkeypatch, capsys
):
    option = {"stain-normalize": "--target", "enhance": "--reference"}[command]
    results = []
    for name, place in (("here", lambda file: served / file), ("there", server.url)):
        target = tmp_path / f"{name}.tif"
        given = (place("slide.svs"), option, place("slide.tif"), "-o", target)
        assert uhrt(monkeypatch, command, *given, "--compression", "none") == 0, capsys.readouterr()
        results.append(tifffile.imread(target))
    assert np.array_equal(*results)


@pytest.mark.parametrize("command", ["stain-normalize", "enhance"])
def test_what_a_run_saved_is_read_from_this_machine(command, served, tmp_path, monkeypatch, capsys):
    option = {"stain-normalize": "--target", "enhance": "--reference"}[command]
    for query in ("", "?sig=secret"):
        url = f"https://example.org/a/saved.json{query}"
        given = (served / "slide.tif", option, url, "-o", tmp_path / "out.tif")
        assert uhrt(monkeypatch, command, *given) == 1
        told = " ".join(capsys.readouterr().err.split())
        assert "https://example.org/a/saved.json: what --save-" in told
        assert "download it first" in told
        assert "secret" not in told
    assert list(tmp_path.iterdir()) == []


def test_info_describes_a_url(server, served, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["uhrt", "info", server.url("slide.svs"), "--json"])
    with pytest.raises(SystemExit) as stop:
        run_program()
    assert not stop.value.code
    found = json.loads(capsys.readouterr().out)
    assert found["path"] == server.url("slide.svs")
    assert found["file_bytes"] == (served / "slide.svs").stat().st_size
    assert (found["width"], found["height"], found["mpp"]) == (900, 700, [0.5, 0.5])
