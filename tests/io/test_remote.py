"""Inputs by URL, from a server on this machine that sends ranges, or fails in its own way."""

import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tifffile
from support import small_resnet

from uhrtranslate.cli.app import run_program
from uhrtranslate.errors import InputError, MissingExtraError
from uhrtranslate.io import Found, OutputSpec, expand_inputs, open_slide, open_writer
from uhrtranslate.io.files import remote
from uhrtranslate.io.files.remote import RemoteFile, name_of, shown_url
from uhrtranslate.models import GeneratorInfo, save_native
from uhrtranslate.runs.manifest import read_manifest
from uhrtranslate.tasks.translate import translate

TISSUE = np.ascontiguousarray(np.tile(skimage.data.immunohistochemistry(), (2, 2, 1))[:700, :900])


class Server(ThreadingHTTPServer):
    """Serves a folder. The first part of a path says how: plain, whole (no ranges), broken
    (connections end half way, from the third range on), flaky (every second one does), denied."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.log, self.ranges, self.healed = folder, [], 0, False
        self.lock = threading.Lock()

    def url(self, path, way="plain"):
        return f"http://127.0.0.1:{self.server_port}/{way}/{path}"


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        way, _, name = self.path.split("?")[0].lstrip("/").partition("/")
        file = self.server.folder / name
        self.server.log.append((self.command, self.path, self.headers.get("Range")))
        if way == "denied":
            return self.send_error(403)
        if not file.is_file():
            return self.send_error(404)
        content = file.read_bytes()
        asked = self.headers.get("Range", "") if way != "whole" else ""
        first, last = 0, len(content) - 1
        if asked:
            first, last = (int(part) for part in asked.removeprefix("bytes=").split("-"))
            last = min(last, len(content) - 1)
        part = content[first : last + 1]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", f'"{file.stat().st_mtime_ns}"')
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        if not body:
            return None
        with self.server.lock:
            self.server.ranges += bool(asked)
            number = self.server.ranges
        breaks = (way == "broken" and number > 2 and not self.server.healed) or (
            way == "flaky" and number % 2 == 0
        )
        self.wfile.write(part[: len(part) // 2] if breaks else part)
        self.close_connection = True
        return None

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    facts = {"mpp": (0.5, 0.5), "tile": 128, "smallest": 256, "compression": "deflate"}
    names = ("slide.tif", "slide.ome.tif", "slide.svs", "a.ome.zarr", "b.v05.ome.zarr")
    for name in names:
        spec = OutputSpec(900, 700, objective_power=20, **facts)
        with open_writer(folder / name, spec) as writer:
            writer.write(0, 0, TISSUE)
    tifffile.imwrite(
        folder / "deep.tif", TISSUE.astype(np.uint16) * 257, tile=(128, 128), photometric="rgb"
    )
    (folder / "photo.png").write_bytes(b"\x89PNG" + bytes(100))
    (folder / "cut.tif").write_bytes((folder / "slide.tif").read_bytes()[:200_000])
    (folder / "empty.tif").write_bytes(b"")
    return folder


@pytest.fixture
def server(folder, monkeypatch):
    monkeypatch.setattr(remote, "PAUSES", (0.01, 0.01))
    server = Server(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def tiny(tmp_path):
    """A small generator's file."""
    save_native(
        tmp_path / "tiny.safetensors",
        small_resnet(ngf=4, n_blocks=1),
        GeneratorInfo("resnet", {"ngf": 4, "n_blocks": 1}, cell=128),
    )
    return tmp_path / "tiny.safetensors"


@pytest.mark.parametrize(
    "name", ["slide.tif", "slide.ome.tif", "slide.svs", "a.ome.zarr", "b.v05.ome.zarr"]
)
def test_a_slide_is_the_same_by_url(server, folder, name):
    with open_slide(folder / name) as here, open_slide(server.url(name)) as there:
        assert there.info.levels == here.info.levels
        assert there.info.format in (here.info.format, "BigTIFF")
        assert there.info.mpp == pytest.approx(here.info.mpp)
        assert there.info.objective_power == here.info.objective_power
        assert there.info.icc_profile == here.info.icc_profile
        for level, size in enumerate(here.info.levels):
            box = (-5, size.height // 2, size.width, size.height // 2, level)
            assert np.array_equal(there.read(*box), here.read(*box))


def test_sixteen_bits_come_too(server):
    with open_slide(server.url("deep.tif"), deep=True) as slide:
        assert slide.info.bits == 16
        assert np.array_equal(slide.read(0, 0, 900, 700), TISSUE.astype(np.uint16) * 257)


def test_only_parts_are_fetched_and_each_once(server, folder, monkeypatch):
    monkeypatch.setattr(remote, "BLOCK", 1 << 14)
    size = (folder / "slide.tif").stat().st_size
    with open_slide(server.url("slide.tif")) as slide:
        slide.read(0, 0, 128, 128)
    asked = [found for _, _, found in server.log if found and found != "bytes=1-1"]
    assert 0 < len(asked) == len(set(asked))
    assert len(asked) << 14 < size / 3


@pytest.mark.parametrize(
    ("way", "name", "told"),
    [
        ("plain", "none.tif", "does not exist on the server; check the URL"),
        ("denied", "slide.tif", r"cannot be opened \(the server answers 403"),
        ("whole", "slide.tif", "only sends whole files, not parts of them; download it first"),
        ("plain", "photo.png", "only TIFF, SVS and OME-Zarr can; download it first"),
        ("plain", "slide.ndpi", "ndpi slides are read by OpenSlide.* download it first"),
        ("plain", "cut.tif", "the file ends after 0.2 of at least"),
        ("plain", "empty.tif", "is empty, or the server does not say how large it is"),
        ("plain", "none.zarr", "is no OME-Zarr image"),
        ("denied", "a.ome.zarr", r"cannot be opened \(the server answers 403"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(server, way, name, told):
    with pytest.raises(InputError, match=told) as caught:
        open_slide(server.url(name, way) + "?X-Amz-Signature=secret")
    assert server.url(name, way) in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_host_that_does_not_answer(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in ("slide.tif", "a.zarr"):
        with pytest.raises(InputError, match=r"127.0.0.1.*cannot be opened \(.*check the address"):
            open_slide(f"http://127.0.0.1:{port}/{name}")


def test_a_connection_that_breaks_now_and_then_is_made_again(server):
    with open_slide(server.url("slide.tif", "flaky")) as slide:
        assert np.array_equal(slide.read(0, 0, 900, 700), TISSUE)


def test_a_connection_that_stays_broken_is_told(server, monkeypatch):
    monkeypatch.setattr(remote, "BLOCK", 1 << 14)
    with pytest.raises(InputError, match="the connection broke, and 2 more attempts failed"):
        open_slide(server.url("slide.tif", "broken")).read(0, 0, 900, 700)


def test_a_changed_file_has_another_fingerprint(server, folder):
    (folder / "b.tif").write_bytes((folder / "slide.tif").read_bytes())
    before = RemoteFile(server.url("b.tif")).fingerprint()
    assert RemoteFile(server.url("b.tif")).fingerprint() == before
    with (folder / "b.tif").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"?")
    assert RemoteFile(server.url("b.tif")).fingerprint() != before


def test_s3_is_read_like_a_server_of_its_own(server, folder, monkeypatch):
    """A bucket is a folder: `plain` here. s3fs is told where through fsspec's variables."""
    s3fs = pytest.importorskip("s3fs")
    s3fs.S3FileSystem.clear_instance_cache()
    settings = {
        "anon": True,
        "endpoint_url": f"http://127.0.0.1:{server.server_port}",
        "client_kwargs": {"region_name": "us-east-1"},
    }
    monkeypatch.setitem(__import__("fsspec").config.conf, "s3", settings)
    with open_slide("s3://plain/slide.tif") as slide:
        assert slide.info.path == "s3://plain/slide.tif"
        assert np.array_equal(slide.read(0, 0, 900, 700), TISSUE)
    with open_slide("s3://plain/a.ome.zarr") as slide:
        assert np.array_equal(slide.read(0, 0, 900, 700), TISSUE)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://host/a/slide.svs", "slide.svs"),
        ("https://host/a/slide.svs?sig=x/../y#part", "slide.svs"),
        ("https://host/a%20b.tif", "a b.tif"),
        ("https://host/..%2f..%2fetc%2fpasswd", "passwd"),
        ("https://host/..%5c..%5cevil.tif", "evil.tif"),
        ("https://host/a%00b%0a.tif", "a_b_.tif"),
        ("s3://bucket/folder/a.ome.zarr/", "a.ome.zarr"),
    ],
)
def test_the_name_is_the_last_part_and_leads_nowhere_else(url, name):
    assert name_of(url) == name
    assert Found.at(url).path == Path(name)


@pytest.mark.parametrize(
    "url", ["https://host", "https://host/", "s3://bucket/..", "http://h/%2e%2e"]
)
def test_urls_without_a_name_are_refused(url):
    with pytest.raises(InputError, match="names no file"):
        name_of(url)


def test_secrets_are_not_shown():
    assert shown_url("https://me:pw@host:81/a.tif?token=1#2") == "https://host:81/a.tif"


def test_inputs_are_urls_only_if_they_look_like_one(tmp_path):
    url = "https://host/a.tif"
    found = expand_inputs([url, url, "ftp://host/a.tif", "file:///etc/passwd"])
    assert [getattr(one, "url", None) for one in found] == [url, None, None]
    assert "does not exist" in str(found[1].error)


def test_a_manifest_may_hold_urls(tmp_path):
    table = tmp_path / "slides.csv"
    table.write_text("path,region\nhttps://host/a.tif?sig=secret,\nhttps://host?sig=secret,\n")
    first, second = read_manifest(table)
    assert (first.name, first.input.source) == (
        "https://host/a.tif",
        "https://host/a.tif?sig=secret",
    )
    assert "names no file" in str(second.input.error)
    assert "secret" not in second.name


def test_python_takes_urls(server, tmp_path):
    done = translate(
        server.url("slide.tif"), tmp_path, region=(0, 0, 256, 128), model="he2ihc", norm="tin"
    )
    assert (done.output, done.width) == (str(tmp_path / "slide.tin.tif"), 256)


def test_a_batch_goes_on(server, folder, tmp_path, tiny, monkeypatch, capsys):
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
        local = ["uhrt", "translate", str(folder / name), "-o", f"{name}.here.tif"]
        monkeypatch.setattr("sys.argv", [*local, *given])
        with pytest.raises(SystemExit):
            run_program()
        here, there = tifffile.imread(f"{name}.here.tif"), tifffile.imread(f"out/{name}.dn.tif")
        assert np.array_equal(here, there)


@pytest.mark.parametrize(
    ("package", "url"), [("fsspec", "https"), ("aiohttp", "http"), ("s3fs", "s3")]
)
def test_a_missing_package_is_named(package, url, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    for name in ("a.tif", "a.zarr"):
        with pytest.raises(MissingExtraError, match=r"pip install 'uhrtranslate\[remote\]'"):
            open_slide(f"{url}://host/{name}")


def uhrt(monkeypatch, *arguments):
    """Run the program in this process; its exit code."""
    monkeypatch.setattr("sys.argv", ["uhrt", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        run_program()
    return stop.value.code or 0


def test_validate_reads_files_only_and_says_so(server, folder, monkeypatch, capsys):
    assert uhrt(monkeypatch, "validate", server.url("a.tif") + "?sig=secret", folder / "a.tif") == 1
    printed = capsys.readouterr()
    assert "a.tif: is not read over the network here; download it first" in printed.err
    assert "secret" not in printed.out + printed.err
    assert f"{folder / 'a.tif'}: does not exist" in " ".join(printed.err.split())


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
    server, folder, tmp_path, monkeypatch, capsys
):
    places = [(folder / "slide.svs", folder / "slide.tif")]
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


def test_evaluation_goes_on_after_a_url_that_fails(server, folder, monkeypatch, capsys):
    given = (server.url("none.tif"), folder / "slide.tif", "--json")
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


def test_patches_are_cut_from_a_url(server, folder, tmp_path, monkeypatch, capsys):
    url = server.url("slide.tif") + "?sig=secret"
    for name, source, other in (
        ("here", folder / "slide.tif", folder / "slide.svs"),
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
    assert uhrt(monkeypatch, "tiles", url, "-o", tmp_path / "no", "--paired", folder) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "a URL is one slide" in told
    assert "secret" not in told
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("command", ["stain-normalize", "enhance"])
def test_recolouring_takes_urls_for_inputs_and_targets(
    command, server, folder, tmp_path, monkeypatch, capsys
):
    option = {"stain-normalize": "--target", "enhance": "--reference"}[command]
    results = []
    for name, place in (("here", lambda file: folder / file), ("there", server.url)):
        target = tmp_path / f"{name}.tif"
        given = (place("slide.svs"), option, place("slide.tif"), "-o", target)
        assert uhrt(monkeypatch, command, *given, "--compression", "none") == 0, capsys.readouterr()
        results.append(tifffile.imread(target))
    assert np.array_equal(*results)


def test_info_describes_a_url(server, folder, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["uhrt", "info", server.url("slide.svs"), "--json"])
    with pytest.raises(SystemExit) as stop:
        run_program()
    assert not stop.value.code
    found = json.loads(capsys.readouterr().out)
    assert found["path"] == server.url("slide.svs")
    assert found["file_bytes"] == (folder / "slide.svs").stat().st_size
    assert (found["width"], found["height"], found["mpp"]) == (900, 700, [0.5, 0.5])
