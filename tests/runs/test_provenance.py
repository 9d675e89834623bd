"""What a result is known by: other weights or another input are never taken for the same job."""

import os

import numpy as np
import pytest
import skimage.data
import torch

from uhrtranslate.errors import OutputError
from uhrtranslate.io import OutputSpec, check_complete, open_writer
from uhrtranslate.options import StainOptions
from uhrtranslate.recipes.stain_network import StainNetwork, save_stainnet
from uhrtranslate.runs.events import Advanced
from uhrtranslate.runs.one_image import process_file
from uhrtranslate.stain.stainnet import StainNet

# Three bands of tiles.
PIXELS = np.tile(skimage.data.immunohistochemistry(), (5, 1, 1))[:2100, :300]


@pytest.fixture
def weights(tmp_path):
    """A StainNet's weights."""
    path = tmp_path / "net.safetensors"
    save_weights(path, seed=0)
    return path


@pytest.fixture(params=["slide.tif", "slide.ome.zarr"])
def slide(request, tmp_path):
    """The same pixels as a file and as a folder."""
    path = tmp_path / request.param
    form = "ome-zarr" if path.suffix == ".zarr" else "tiff"
    with open_writer(path, OutputSpec(300, 2100, format=form, compression="deflate")) as writer:
        for y in range(0, 2100, 300):
            writer.write(0, y, PIXELS[y : y + 300])
            writer.reached(y + 300)
    return path


def save_weights(path, seed):
    torch.manual_seed(seed)
    save_stainnet(path, StainNet())


def recipe(weights, **more):
    options = StainOptions(method="stainnet", model=str(weights), compression="deflate", **more)
    return StainNetwork(options, weights)


def interrupt(recipe, slide, target):
    """Stop a run in its second band."""
    bands = []

    def stop(event):
        if isinstance(event, Advanced) and event.pixels:
            bands.append(event)
        if len(bands) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process_file(recipe, slide, target, stop)


def test_files_and_folders_are_resumed(weights, slide, tmp_path):
    whole, target = tmp_path / "whole.tif", tmp_path / "a.tif"
    process_file(recipe(weights), slide, whole)
    interrupt(recipe(weights, resume=True), slide, target)
    result = process_file(recipe(weights, resume=True), slide, target)
    assert result.resumed > 0
    assert target.read_bytes() == whole.read_bytes()


def test_a_changed_input_is_not_resumed(weights, slide, tmp_path):
    target = tmp_path / "a.tif"
    interrupt(recipe(weights, resume=True), slide, target)
    changed = next(path for path in slide.rglob("0") if path.is_file()) if slide.is_dir() else slide
    os.utime(changed, ns=(0, changed.stat().st_mtime_ns + 1))
    with pytest.raises(OutputError, match=r"as its input has (changed|been written again) since"):
        process_file(recipe(weights, resume=True), slide, target)


@pytest.mark.parametrize("slide", ["slide.tif"], indirect=True)
def test_other_weights_of_the_same_name_are_noticed(weights, slide, tmp_path):
    target = tmp_path / "a.tif"
    interrupt(recipe(weights, resume=True), slide, target)
    save_weights(weights, seed=1)
    with pytest.raises(OutputError, match="cannot be resumed, as its model has other weights"):
        process_file(recipe(weights, resume=True), slide, target)
    process_file(recipe(weights, overwrite=True), slide, target)
    assert process_file(recipe(weights, skip_existing=True), slide, target).status == "skipped"
    save_weights(weights, seed=2)
    with pytest.raises(OutputError, match="was made otherwise"):
        process_file(recipe(weights, skip_existing=True), slide, target)


@pytest.mark.parametrize("slide", ["slide.tif"], indirect=True)
def test_results_name_their_weights_without_a_path(weights, slide, tmp_path):
    process_file(recipe(weights), slide, tmp_path / "a.tif")
    description = check_complete(tmp_path / "a.tif").description
    assert '"model": "net.safetensors"' in description
    assert str(tmp_path) not in description
