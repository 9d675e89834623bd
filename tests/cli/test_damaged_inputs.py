"""Damaged files among the inputs of a run, which once ended the whole of it."""

import pytest
import skimage.data
import tifffile

from uhrtranslate.io import OutputSpec, open_writer

pytestmark = pytest.mark.slow


@pytest.fixture
def damaged(tmp_path):
    """A slide as uhrt writes it; in the size of its only tile, the highest bit is set."""
    path = tmp_path / "bad.ome.tif"
    with open_writer(path, OutputSpec(300, 200, format="tiff")) as writer:
        writer.write(0, 0, skimage.data.immunohistochemistry()[:200, :300])
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages[0].tags["TileByteCounts"]
        assert (tag.dtype, tag.count) == (tifffile.DATATYPE.LONG8, 1)
        place = tag.valueoffset + 7
    data = bytearray(path.read_bytes())
    data[place] |= 0x80
    path.write_bytes(data)
    return path


def test_one_damaged_file_does_not_end_a_run(uhrt, damaged, tmp_path):
    """OpenSlide would ask for 2^63 bytes, and GLib then ends the process."""
    out = tmp_path / "out"
    done = uhrt("translate", damaged, "photo.png", "-o", out, "--model", "tiny.safetensors")
    assert done.returncode == 1, done.stderr
    assert done.stdout.split() == [str(out / "photo.pooled.tif")]
    assert (out / "photo.pooled.tif").exists()
    assert done.stderr.count(f"{damaged}: the file ends after 0.1 of at least 9,223,") == 2
    assert "GLib" not in done.stderr
    assert not list(out.glob("bad*"))


@pytest.mark.parametrize("command", ["info", "translate"])
def test_nor_does_one_alone_crash(uhrt, damaged, command):
    more = ("--model", "tiny.safetensors") if command == "translate" else ()
    done = uhrt(command, damaged, *more)
    assert done.returncode == 1
    assert done.stderr.startswith(f"uhrt: {damaged}: the file ends after")


def test_sparse_slides_are_taken_where_asked(uhrt, tmp_path):
    path = tmp_path / "sparse.tif"
    tile = skimage.data.immunohistochemistry()[:64, :64]
    tiles = iter([tile, *[None] * 63])
    tifffile.imwrite(path, tiles, shape=(512, 512, 3), dtype="uint8", photometric="rgb",
                     tile=(64, 64))  # fmt: skip
    command = ("translate", path, "--model", "tiny.safetensors", "-o", tmp_path / "out.tif")
    refused = uhrt(*command)
    assert refused.returncode == 1
    assert "has bytes for 1 of the 64 tiles of an image; copy it again, or use" in refused.stderr
    assert uhrt(*command, "--allow-sparse").returncode == 0
    assert uhrt("info", path).returncode == 0
