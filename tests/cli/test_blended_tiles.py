"""Generators whose output depends on where a tile begins, through the command line."""

import json

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torch import nn

from uhrtranslate.io import check_complete
from uhrtranslate.models import load_generator
from uhrtranslate.models.unet import UnetGenerator


@pytest.fixture(scope="module")
def unet(folder):
    """A checkpoint of a U-Net with instance norm that reduces 32 px to one."""
    torch.manual_seed(0)
    network = UnetGenerator(ngf=4, n_downs=5, norm="instance", bias=True)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0, 0.1)
    torch.save(network.state_dict(), folder / "unet.pth")
    return "unet.pth"


def translate(uhrt_here, unet, target, *more):
    command = ("translate", "slide.tif", "-o", target, "--model", unet, "--cell", 128)
    return uhrt_here(*command, "--compression", "lzw", "--json", *more)


def test_a_unet_is_blended_and_says_so(uhrt_here, unet, tmp_path):
    target = tmp_path / "a.tif"
    done = translate(uhrt_here, unet, target, "--preview")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["tile"], result["overlap"], result["blend"]) == (128, 32, "linear")
    assert result["halo"] is None
    # 512 x 700 px in steps of 96 px.
    assert result["tiles"] == 5 * 7
    assert 0 < result["mismatch"] < 60
    told = f"blended (linear) over 32 px, tile mismatch {result['mismatch']:.1f} grey levels"
    assert told in done.stderr
    how = json.loads(check_complete(target).description)
    assert (how["tile"], how["overlap"], how["blend"]) == (128, 32, "linear")
    assert "halo" not in how


def test_the_result_tells_the_tile_mismatch(uhrt_here, unet, tmp_path):
    target, photo = tmp_path / "a.tif", tmp_path / "a.png"
    mismatch = json.loads(translate(uhrt_here, unet, target).stdout)["mismatch"]
    assert translate(uhrt_here, unet, photo).returncode == 0
    for path in (target, photo):
        found = json.loads(uhrt_here("validate", path, "--json").stdout)["blended"]
        assert found == {"tile": 128, "overlap": 32, "blend": "linear", "mismatch": mismatch}
    told = uhrt_here("validate", target).stdout
    assert f"blended (linear) over 32 px, tile mismatch {mismatch:.1f} grey levels" in told
    done = uhrt_here("evaluate", target, "--grid", 96, "--json")
    assert json.loads(done.stdout)["seam"]["tile_mismatch"] == mismatch
    # What was measured of a result is no way to make it.
    other = tmp_path / "b.tif"
    other.write_bytes(target.read_bytes().replace(b'"mismatch": ', b'"mismatch":9'))
    assert json.loads(uhrt_here("validate", other, "--json").stdout)["blended"]["mismatch"] > 900
    for path in (photo, other):
        again = translate(uhrt_here, unet, path, "--skip-existing")
        assert json.loads(again.stdout)["status"] == "skipped", again.stderr


def test_results_without_overlap_tell_no_mismatch(uhrt_here, tmp_path):
    command = ("translate", "slide.tif", "-o", tmp_path / "a.tif", "--model", "tiny.safetensors")
    assert uhrt_here(*command).returncode == 0
    assert json.loads(uhrt_here("validate", tmp_path / "a.tif", "--json").stdout)["blended"] is None
    assert json.loads(uhrt_here("validate", "slide.tif", "--json").stdout)["blended"] is None


def test_a_network_of_ones_own_is_tried_and_then_blended(uhrt_here, folder, tmp_path):
    """Brighter towards each tile's lower right, which shows where tiles lie side by side."""
    (folder / "tilted_network.py").write_text(
        "import torch\n"
        "class Tilted(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        h, w = (torch.linspace(-0.15, 0.15, side) for side in x.shape[2:])\n"
        "        return 0.5 * x + h[:, None] + w\n"
    )
    seams = {}
    for overlap in (0, 32, 64):
        done = translate(
            uhrt_here, "tilted_network:Tilted", tmp_path / f"{overlap}.tif", "--overlap", overlap
        )
        assert done.returncode == 0, done.stderr
        seams[overlap] = json.loads(done.stdout)["seams"]
    assert seams[0] > 2
    assert max(seams[32], seams[64]) < 1.1
    done = translate(uhrt_here, "tilted_network:Tilted", tmp_path / "auto.tif")
    assert json.loads(done.stdout)["overlap"] == 32
    assert "blended (linear)" in done.stderr
    shown = uhrt_here("models", "show", "tilted_network:Tilted").stdout
    assert "blended (not translation-covariant" in " ".join(shown.split())


def test_the_weights_are_a_choice_that_changes_pixels(uhrt_here, unet, tmp_path):
    results = []
    for blend in ("linear", "cosine", "centre"):
        target = tmp_path / f"{blend}.tif"
        done = translate(uhrt_here, unet, target, "--blend", blend)
        assert json.loads(done.stdout)["blend"] == blend
        results.append(tifffile.imread(target).astype(int))
    assert 0 < np.abs(results[0] - results[1]).mean() < np.abs(results[0] - results[2]).mean() < 20


def test_a_halo_is_used_instead_if_chosen_and_an_overlap_for_any_generator(
    uhrt_here, unet, tmp_path
):
    done = translate(uhrt_here, unet, tmp_path / "a.tif", "--halo", 64)
    result = json.loads(done.stdout)
    assert (result["halo"], result["overlap"], result["mismatch"]) == (64, None, None)
    assert "halo 64 px" in done.stderr
    done = translate(uhrt_here, "tiny.safetensors", tmp_path / "b.tif", "--overlap", 20)
    result = json.loads(done.stdout)
    assert (result["halo"], result["overlap"]) == (None, 20)
    done = translate(uhrt_here, "tiny.safetensors", tmp_path / "c.tif")
    result = json.loads(done.stdout)
    assert result["halo"] > 0
    assert result["overlap"] is None


def test_an_image_of_one_patch_is_translated_as_trained(uhrt_here, unet, folder, tmp_path):
    patch = tifffile.imread(folder / "slide.tif")[:128, :128]
    Image.fromarray(patch).save(tmp_path / "patch.png")
    target = tmp_path / "out.png"
    command = ("translate", tmp_path / "patch.png", "-o", target, "--model", unet, "--cell", 128)
    done = uhrt_here(*command, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["mismatch"] is None
    x = torch.from_numpy(patch.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        y = load_generator(folder / unet).module(x)
    expected = (y[0].permute(1, 2, 0) * 127.5 + 128).clamp(0, 255).to(torch.uint8).numpy()
    with Image.open(target) as image:
        assert np.abs(np.asarray(image).astype(int) - expected).max() <= 1


def test_cells_alone_need_no_blending(uhrt_here, unet, tmp_path):
    done = translate(uhrt_here, unet, tmp_path / "a.tif", "--pad", "reflect")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["tile"], result["halo"], result["overlap"]) == (128, 0, None)


def test_a_mask_leaves_tiles_out(uhrt_here, unet, tmp_path):
    mask = np.zeros((700, 512), np.uint8)
    mask[130:250, 10:120] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    whole, part = tmp_path / "whole.tif", tmp_path / "part.tif"
    assert translate(uhrt_here, unet, whole, "--norm", "tin").returncode == 0
    done = translate(uhrt_here, unet, part, "--norm", "tin", "--mask", tmp_path / "mask.png")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tiles"] < 15
    there, here = (tifffile.imread(path) for path in (whole, part))
    assert np.array_equal(there[128:256, :128], here[128:256, :128])
    assert (here[450:] == 255).all()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--overlap", 40), "--overlap 40: must be a multiple of 32, the generator's period"),
        (("--overlap", 128), "--overlap 128: must be less than the tile, 128 px"),
        (("--tile", 48), "--tile 48: must be a multiple of 32"),
        (("--tile", 32), "--tile 32: tiles of this generator begin at multiples of 32 px"),
        (("--halo", 64, "--overlap", 32), "halo and overlap exclude each other"),
        (("--pad", "reflect", "--overlap", 32), "overlap cannot be chosen with pad reflect"),
        (("--overlap", "much"), "overlap: "),
        (("--blend", "hard"), "linear"),
    ],
)
def test_what_does_not_fit_is_one_sentence(uhrt_here, unet, tmp_path, more, reason):
    done = translate(uhrt_here, unet, tmp_path / "a.tif", *more)
    assert done.returncode == 2
    assert reason in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_models_show_says_whether_tiles_are_blended(uhrt_here, unet):
    done = uhrt_here("models", "show", unet)
    assert "overlap and are blended (not translation-covariant, period 32 px)" in done.stdout
    facts = json.loads(uhrt_here("models", "show", unet, "--json").stdout)
    assert (facts["covariant"], facts["period"]) == (False, 32)
    facts = json.loads(uhrt_here("models", "show", "tiny.safetensors", "--json").stdout)
    assert (facts["covariant"], facts["period"]) == (True, 4)


def test_a_dry_run_counts_the_overlap(uhrt_here, unet, tmp_path):
    done = translate(uhrt_here, unet, tmp_path / "a.tif", "--dry-run")
    plan = json.loads(done.stdout)
    assert (plan["tile"], plan["overlap"], plan["halo"], plan["tiles"]) == (128, 32, None, 35)
