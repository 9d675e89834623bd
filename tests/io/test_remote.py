"""Inputs by URL, from a server on this machine that sends ranges, or fails in its own way."""

import shutil
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from served import TISSUE

from uhrtranslate.errors import InputError, MissingExtraError
from uhrtranslate.io import Found, expand_inputs, open_slide
from uhrtranslate.io.files import remote
from uhrtranslate.io.files.remote import RemoteFile, name_of, shown_url
from uhrtranslate.runs.manifest import read_manifest


@pytest.mark.parametrize(
    "name", ["slide.tif", "slide.ome.tif", "slide.svs", "a.ome.zarr", "b.v05.ome.zarr"]
)
def test_a_slide_is_the_same_by_url(server, served, name):
    with open_slide(served / name) as here, open_slide(server.url(name)) as there:
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


def test_only_parts_are_fetched_and_each_once(server, served, monkeypatch):
    monkeypatch.setattr(remote, "BLOCK", 1 << 14)
    size = (served / "slide.tif").stat().st_size
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


def test_a_changed_file_has_another_fingerprint(server, served):
    (served / "b.tif").write_bytes((served / "slide.tif").read_bytes())
    before = RemoteFile(server.url("b.tif")).fingerprint()
    assert RemoteFile(server.url("b.tif")).fingerprint() == before
    with (served / "b.tif").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"?")
    assert RemoteFile(server.url("b.tif")).fingerprint() != before


@pytest.mark.parametrize("name", ["a.ome.zarr", "b.v05.ome.zarr"])
def test_a_changed_zarr_has_another_fingerprint(name, server, served):
    def seen(path):
        with open_slide(server.url(path)) as slide:
            return slide.fingerprint()

    copy = served / f"copy-of-{name}"
    shutil.copytree(served / name, copy)
    before = seen(copy.name)
    assert seen(copy.name) == before
    chunk = copy / "0" / ("c/0" if "v05" in name else "0") / "2" / "3"  # in the middle
    other = chunk.with_name("1").read_bytes()
    whole = chunk.read_bytes()
    chunk.write_bytes(other)
    assert seen(copy.name) != before
    chunk.write_bytes(whole)
    assert seen(copy.name) == before
    metadata = copy / ("zarr.json" if "v05" in name else ".zattrs")
    metadata.write_text(metadata.read_text().replace("0.5", "0.25"))
    assert seen(copy.name) != before


def test_s3_is_read_like_a_server_of_its_own(server, served, monkeypatch):
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


@pytest.mark.parametrize(
    ("package", "url"), [("fsspec", "https"), ("aiohttp", "http"), ("s3fs", "s3")]
)
def test_a_missing_package_is_named(package, url, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    for name in ("a.tif", "a.zarr"):
        with pytest.raises(MissingExtraError, match=r"pip install 'uhrtranslate\[remote\]'"):
            open_slide(f"{url}://host/{name}")
