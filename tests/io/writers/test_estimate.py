"""What a dry run tells of an output's size, against what is written."""

import numpy as np
import pytest
import skimage.data

from uhrtranslate.errors import OutputError
from uhrtranslate.io import OutputSpec, open_writer, output_bytes_per_pixel


@pytest.fixture(scope="module")
def tissue():
    """2048 x 1024 px of one section, without repeats that an encoder might see."""
    ihc = skimage.data.immunohistochemistry()
    turned = [np.rot90(ihc, number) for number in range(4)]
    rows = [np.concatenate([*turned], axis=1), np.concatenate([*turned[::-1]], axis=1)[:, ::-1]]
    return np.ascontiguousarray(np.concatenate(rows))


@pytest.mark.parametrize(
    ("name", "compression"),
    [
        ("a.tif", "jpeg"),
        ("a.tif", "deflate"),
        ("a.tif", "none"),
        ("a.ome.tif", "jpeg"),
        ("a.svs", "jpeg"),
        ("a.ome.zarr", "jpeg"),  # asked for or not, chunks are zstd
        ("a.ome.zarr", "none"),
        ("a.v05.ome.zarr", "jpeg"),
        ("a.png", "jpeg"),
        ("a.jpg", "jpeg"),
        ("a.webp", "jpeg"),
    ],
)
def test_the_size_is_told_within_a_third(tissue, tmp_path, name, compression):
    if name.endswith("zarr"):
        pytest.importorskip("zarr")
    target = tmp_path / name
    height, width = tissue.shape[:2]
    with open_writer(target, OutputSpec(width, height, compression=compression)) as writer:
        writer.write(0, 0, tissue)
    sample = np.ascontiguousarray(tissue[256:768, 512:1024])
    told = output_bytes_per_pixel(sample, target, compression, quality=90) * width * height
    files = target.rglob("*") if target.is_dir() else [target]
    assert told == pytest.approx(sum(file.stat().st_size for file in files), rel=1 / 3)


@pytest.mark.parametrize("shape", [(1, 1, 3), (33, 2, 3)])
def test_small_and_odd_samples_will_do(tmp_path, shape):
    assert output_bytes_per_pixel(np.zeros(shape, np.uint8), tmp_path / "a.tif", "none", 90) == 4


def test_a_name_of_no_format_is_refused(tmp_path):
    with pytest.raises(OutputError, match="names no format"):
        output_bytes_per_pixel(np.zeros((8, 8, 3), np.uint8), tmp_path / "a.xyz", "jpeg", 90)
