"""`--batch-statistics`: batch norms run as the public code of pix2pix and DeepLIIF runs them."""

import json

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from PIL import Image
from support import small_resnet
from torch import nn

from uhrtranslate import translate
from uhrtranslate.errors import OptionError

SECTION = skimage.data.immunohistochemistry()[:256, :256]


@pytest.fixture
def checkpoint(tmp_path):
    """With running statistics that are far from those of any image."""
    network = small_resnet(ngf=4, n_blocks=1, norm="batch", bias=False)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1, 0.2)
            nn.init.normal_(layer.bias, 0, 0.2)
            layer.running_mean += 3
    torch.save(network.state_dict(), tmp_path / "latest_net_G1.pth")
    return network


def pixels_of(x):
    return (x[0].permute(1, 2, 0).numpy() * 127.5 + 128).clip(0, 255).astype(np.uint8)


def test_a_whole_image_is_what_the_network_gives_in_training_mode(checkpoint, tmp_path):
    Image.fromarray(SECTION).save(tmp_path / "in.png")
    x = torch.from_numpy(SECTION.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        running = pixels_of(checkpoint.eval()(x))
        own = pixels_of(checkpoint.train()(x))
    for name, expected in (("own", own), ("running", running)):
        target = tmp_path / f"{name}.png"
        translate(
            tmp_path / "in.png", target, model=str(tmp_path / "latest_net_G1.pth"), cell=256,
            halo=0, device="cpu", batch_statistics=name == "own",
        )  # fmt: skip
        with Image.open(target) as image:
            assert np.abs(np.asarray(image).astype(int) - expected).max() <= 1
    assert own.std() > 10
    assert np.abs(own.astype(int) - running).mean() > 10


def test_it_is_kept_in_the_description(checkpoint, tmp_path):
    Image.fromarray(SECTION).save(tmp_path / "in.png")
    translate(
        tmp_path / "in.png", tmp_path / "out.tif", model=str(tmp_path / "latest_net_G1.pth"),
        batch_statistics=True, cell=128, device="cpu",
    )  # fmt: skip
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        assert json.loads(tiff.pages[0].description)["batch_statistics"] is True


def test_a_generator_without_batch_norm_is_told(tmp_path):
    Image.fromarray(SECTION).save(tmp_path / "in.png")
    with pytest.raises(OptionError, match=r"--batch-statistics: he2ihc has no batch norm"):
        translate(tmp_path / "in.png", tmp_path / "out.png", batch_statistics=True, device="cpu")
