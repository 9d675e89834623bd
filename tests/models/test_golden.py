"""Networks and loaders against what the authors' own code computed."""

import numpy as np
import pytest
import torch

from uhrtranslate.models import load_generator

FILES = {
    "gen_kaminyou.pth": ("small_P32.npz", 32, {"n_blocks": 2, "affine": False}),
    "gen_kaminyou_affine.pth": ("small_P32_affine.npz", 32, {"n_blocks": 2, "affine": True}),
    "gen_cut_antialias.pth": (
        "cut_antialias_P64.npz",
        64,
        {"n_blocks": 2, "antialias": True, "antialias_up": True},
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_patch_comes_out_as_from_the_authors_generator(name, shared):
    arrays, side, arguments = FILES[name]
    generator = load_generator(shared / "golden" / name)
    with np.load(shared / "golden" / arrays) as file:
        image, want = file["input_u8"], file["out_in_p0"]
    x = (torch.from_numpy(image).permute(2, 0, 1)[None].float() - 127.5) / 127.5
    with torch.inference_mode():
        y = generator.module(x[..., :side, :side])[0].numpy()
    np.testing.assert_allclose(y, want[:, :side, :side], atol=1e-4)
    assert generator.info.arguments["ngf"] == 8
    assert {key: generator.info.arguments[key] for key in arguments} == arguments
    assert generator.info.stride == 4
