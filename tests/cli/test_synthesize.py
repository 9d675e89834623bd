import errno
import json

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from PIL import Image
from tiny_diffusion import tiny_autoencoder, tiny_denoiser, tiny_latent_diffusion

from uhrtranslate.diffusion import canvas, tracking
from uhrtranslate.io import open_slide, read_provenance
from uhrtranslate.models.latent_diffusion import joined, save_latent_diffusion
from uhrtranslate.models.noise import Noise
from uhrtranslate.recipes import large_latents, latent_pixels

pytest.importorskip("diffusers")
MODEL = "pathup.safetensors"
# Tiles of 64 px.
SIDE, FACTOR = 64, 4


@pytest.fixture(scope="module")
def model():
    return tiny_latent_diffusion()


@pytest.fixture(autouse=True)
def _model_is_there(folder, model):
    if not (folder / MODEL).exists():
        save_latent_diffusion(folder / MODEL, model)


@pytest.fixture
def made(uhrt_here, tmp_path):
    """Run a command that succeeds; gives its results, and its one image as pixels."""

    def run(command, *arguments):
        common = ("--model", MODEL, "--class", "ADH", "--steps", 4, "--json")
        if "-o" not in arguments:
            arguments = (*arguments, "-o", tmp_path / f"{len(list(tmp_path.iterdir()))}.png")
        done = uhrt_here(command, *common, *arguments)
        assert done.returncode == 0, done.stderr
        results = [json.loads(line) for line in done.stdout.splitlines()]
        return results, np.asarray(Image.open(results[0]["output"])) if len(results) == 1 else None

    return run


def test_images_of_a_folder_are_pyramids_that_say_how_they_were_made(made, folder, tmp_path):
    more = ("--size", "96x64", "--seed", 7, "-n", 2, "--compression", "deflate")
    results, _ = made("synthesize", *more, "-o", tmp_path)
    assert [one["output"] for one in results] == [str(tmp_path / f"ADH-{i}.tif") for i in (7, 8)]
    with open_slide(tmp_path / "ADH-8.tif") as slide:
        assert (slide.info.width, slide.info.height) == (96, 64)
        second = slide.read(0, 0, 96, 64)
    how = read_provenance(tmp_path / "ADH-8.tif")
    assert how["method"] == "synthesize"
    assert (how["class"], how["seed"], how["sampler"], how["steps"]) == ("ADH", 8, "ddim", 4)
    assert (how["tile"], how["overlap"]) == (SIDE, 32)
    assert (how["overlap"], how["strength"], how["overview"]) == (32, 0.5, [SIDE, SIDE])
    assert len(how["model_sha256"]) == 64
    record = json.loads((tmp_path / "uhrt-run.json").read_text())
    assert [one["input"] for one in record["inputs"]] == ["ADH-7", "ADH-8"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ADH-7.tif", "ADH-8.tif", "uhrt-run.json"]
    # The same seed is the same image; another seed or class is another.
    _, again = made("synthesize", "--size", "96x64", "--seed", 8)
    assert np.array_equal(again, second)
    _, other = made("synthesize", "--size", "96x64", "--seed", 8, "--class", "DCIS")
    assert (other != again).mean() > 0.5
    results, _ = made("synthesize", *more, "-o", tmp_path, "--resume")
    assert [one["status"] for one in results] == ["skipped"] * 2


def test_folders_can_have_photos_and_settings_can_come_from_a_file(made, tmp_path):
    (tmp_path / "own.yaml").write_text("class: DCIS\nsize: 64x64\nsampler: dpm++\npng: true\n")
    results, pixels = made("synthesize", "-c", tmp_path / "own.yaml", "-o", tmp_path / "out")
    assert results[0]["output"] == str(tmp_path / "out" / "ADH-0.png")  # flags override the file
    assert pixels.shape == (64, 64, 3)
    assert read_provenance(tmp_path / "out" / "ADH-0.png")["sampler"] == "dpm++"


def plain_way(model, pixels, steps, strength, seed):
    """One tile in the plainest way: diffusers' scheduler, no tiles, no canvas."""
    from diffusers import DDIMScheduler

    from uhrtranslate.diffusion.noise import noise_rows

    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        timestep_spacing="trailing",
    )  # fmt: skip
    scheduler.set_timesteps(steps)
    images = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        x = model.autoencoder.encode(images)
        times = scheduler.timesteps[steps - round(steps * strength) :]
        noise = torch.from_numpy(noise_rows(seed, 1, 4, 16, 0, 16))[None]
        if len(times):
            x = scheduler.add_noise(x, noise, times[:1])
        prompt, null = (torch.tensor([one]) for one in (1, model.prompts.null))  # ADH, patch
        for t in times:
            without, with_it = (model.denoiser(x, t[None], one) for one in (null, prompt))
            x = scheduler.step(without + 3 * (with_it - without), t, x).prev_sample
        y = model.autoencoder.decode(x)[0].permute(1, 2, 0).numpy()
    return np.rint((y + 1) * 127.5).clip(0, 255)


@pytest.mark.parametrize("strength", [0, 0.5])
def test_one_tile_goes_the_plain_way(made, model, tmp_path, strength):
    """And strength 0 gives the input, encoded and decoded."""
    small = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(small).save(tmp_path / "small.png")
    _, pixels = made(
        "upscale", tmp_path / "small.png", "--factor", 2, "--strength", strength, "--seed", 3
    )
    large = np.asarray(Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC))
    expected = plain_way(model, large, 4, strength, 3)
    assert np.abs(pixels - expected).max() <= 1
    assert pixels.std() > 3


def test_part_of_a_slide_becomes_larger_and_finer(made, folder, tmp_path):
    (result,), _ = made(
        "upscale", "slide.tif", "--region", "40,50,43,33", "--factor", 3, "--strength", 0.25,
        "-o", tmp_path / "a.png",
    )  # fmt: skip
    assert (result["width"], result["height"]) == (129, 99)  # no multiple of the autoencoder's
    assert result["mpp"] == pytest.approx([0.5 / 3] * 2)
    how = read_provenance(tmp_path / "a.png")
    assert (how["factor"], how["region"], how["method"]) == (3, [40, 50, 43, 33], "upscale")
    (result,), _ = made("upscale", "slide.tif", "--mpp", 8, "-o", tmp_path, "--preview")
    assert (result["width"], result["height"]) == (4 * 32, round(700 / 16) * 4)
    assert result["output"].endswith("slide.upscaled.tif")
    assert (tmp_path / "slide.upscaled.preview.png").exists()
    with tifffile.TiffFile(result["output"]) as tiff:
        assert tiff.pages[0].tags["XResolution"].value[0] > 0


def test_a_layout_takes_the_place_of_the_overview(made, tmp_path):
    for name, grey in (("dark", 40), ("light", 220)):
        Image.fromarray(np.full((24, 32, 3), grey, np.uint8)).save(tmp_path / f"{name}.png")
    size = ("--size", "96x72", "--strength", 0)
    found = [
        made("synthesize", *size, "--layout", tmp_path / f"{n}.png")[1] for n in ("dark", "light")
    ]
    assert (found[0] != found[1]).mean() > 0.5
    how = read_provenance(tmp_path / "3.png")
    assert how["layout"] == "light.png"
    # A larger one is shrunk.
    _, shrunk = made("synthesize", "--size", "96x64", "--strength", 0, "--layout", "photo.png")
    assert shrunk.shape == (64, 96, 3)
    assert "overview" not in how


def test_a_strength_of_one_needs_no_overview(made, tmp_path):
    _, pixels = made("synthesize", "--size", "96x64", "--strength", 1)
    assert pixels.shape == (64, 96, 3)
    assert "overview" not in read_provenance(tmp_path / "0.png")


def test_encoding_and_decoding_know_no_tiles(made, tmp_path, monkeypatch):
    """Where the autoencoder has norms alone, neither the sampled tiles nor others change it."""
    Image.fromarray(skimage.data.immunohistochemistry()[:33, :30]).save(tmp_path / "a.png")
    upscaled = ("upscale", tmp_path / "a.png", "--strength", 0)
    _, pixels = made(*upscaled, "-o", tmp_path / "b.png")
    assert read_provenance(tmp_path / "b.png")["decoding"] == "seamless"
    _, other = made(*upscaled, "--overlap", 8, "-o", tmp_path / "c.png")
    assert np.array_equal(other, pixels)
    monkeypatch.setattr(large_latents, "LEAST_TILE", SIDE)
    _, other = made(*upscaled, "-o", tmp_path / "d.png")
    assert np.abs(other - pixels.astype(int)).max() <= 1
    assert pixels.std() > 3


def test_an_autoencoder_with_attention_is_blended_and_that_is_said(uhrt_here, tmp_path):
    parts = tiny_denoiser(), tiny_autoencoder(mid_block_add_attention=True)
    save_latent_diffusion(tmp_path / MODEL, joined(*parts, ["ADH", "DCIS"], Noise()))
    common = ("-m", tmp_path / MODEL, "--class", "ADH", "--steps", 2)
    done = uhrt_here("synthesize", *common, "--size", "96x64", "-o", tmp_path / "a.png")
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stderr.split())
    assert "encoded and decoded in blended tiles, as the autoencoder has attention" in told
    assert read_provenance(tmp_path / "a.png")["decoding"] == "blended"


class Broken(Exception):
    pass


WAYS = {"ddim": ("--eta", 0.7), "dpm++": ("--sampler", "dpm++")}


@pytest.mark.parametrize("way", WAYS)
def test_an_interrupted_run_goes_on_at_the_last_finished_step(
    way, made, uhrt_here, tmp_path, monkeypatch
):
    """Wherever it breaks: in the overview, in the image's steps, or while it is decoded."""
    monkeypatch.setattr(large_latents, "LEAST_TILE", SIDE)
    common = ("--size", "96x96", "--strength", 0.8, "--batch", 2, *WAYS[way])
    _, whole = made("synthesize", *common, "-o", tmp_path / "whole.png")
    target, steps, calls = tmp_path / "a.tif", [], []
    advanced = tracking.advanced

    def breaks(*arguments, **more):
        steps.append(1)
        for number, rows in enumerate(advanced(*arguments, **more)):
            calls.append(1)
            yield rows
            if number == 0 and len(steps) in (2, 6):
                raise Broken("the power is gone")

    monkeypatch.setattr(canvas, "advanced", breaks)
    more = ("--steps", 4, *common, "--compression", "deflate", "-o", target)
    command = ("synthesize", "-m", MODEL, "--class", "ADH", *more)
    done = uhrt_here(*command)
    assert done.returncode == 1
    assert "the power is gone" in done.stderr
    assert "--resume goes on from where it was" in done.stderr
    done = uhrt_here(*command)
    assert done.returncode == 1
    assert "an interrupted run has finished" in done.stderr
    done = uhrt_here(*command, "--resume", "--guidance", 5)
    assert done.returncode == 1
    assert "its --guidance was 3.0 and is now 5.0" in done.stderr
    done = uhrt_here(*command, "--resume")
    assert done.returncode == 1
    assert len(steps) == 6  # 1 done, 1 broken, then 3 of the overview, and 1 of the image broken
    parts, part = [], latent_pixels._part

    def breaks_too(*arguments):
        parts.append(1)
        if len(parts) == 4:  # 2 x 2 tiles are decoded
            raise Broken("the power is gone")
        return part(*arguments)

    monkeypatch.setattr(latent_pixels, "_part", breaks_too)
    done = uhrt_here(*command, "--resume")
    assert done.returncode == 1
    assert len(steps) == 6 + 3
    done = uhrt_here(*command, "--resume", "--json")
    assert done.returncode == 0, done.stderr
    assert len(steps) == 6 + 3
    with open_slide(target) as slide:
        assert np.array_equal(slide.read(0, 0, 96, 96), whole)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif", "whole.png"]


def test_a_full_disk_in_mid_step_loses_nothing(made, uhrt_here, tmp_path, monkeypatch):
    common = ("--size", "96x96", "--seed", 5)
    _, whole = made("synthesize", *common, "-o", tmp_path / "whole.png")
    room, put = [8], canvas.put

    def full(file, rows):
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        put(file, rows)

    command = ("synthesize", "-m", MODEL, "--class", "ADH", "--steps", 4, *common)
    with monkeypatch.context() as patch:
        patch.setattr(canvas, "put", full)
        done = uhrt_here(*command, "-o", tmp_path / "a.png")
    assert done.returncode == 1
    assert "a.png: the disk is full; free about" in done.stderr
    assert "--resume goes on" in done.stderr
    done = uhrt_here(*command, "-o", tmp_path / "a.png", "--resume")
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), whole)


SYNTHESIZE = ("synthesize", "-m", MODEL, "--class", "ADH", "-o", "x.png", "--size", "128x128")
UPSCALE = ("upscale", "photo.png", "-m", MODEL, "--class", "ADH", "-o", "x.tif")
BAD = {
    "unknown class": (
        (*SYNTHESIZE, "--class", "IC"),
        2,
        "class IC: the model does not know it; it knows ADH,",
    ),
    "no class": (SYNTHESIZE[:3] + SYNTHESIZE[5:], 2, "--class: name what to show; the model knows"),
    "no model": (
        ("synthesize", "--class", "ADH", "-o", "x.png"),
        2,
        "--model: name a latent diffusion model",
    ),
    "a generator": ((*SYNTHESIZE, "-m", "tiny.safetensors"), 1, "holds no latent diffusion model"),
    "no output": (SYNTHESIZE[:5], 2, "-o: name a folder"),
    "no multiple": (
        (*SYNTHESIZE, "--size", "130x128"),
        2,
        "must be multiples of 4, the autoencoder's factor; 128x128 is near.",
    ),
    "too small": (
        (*SYNTHESIZE, "--size", "128x60"),
        2,
        "--size 128x60: the model's tiles have 64 px a side",
    ),
    "too small to upscale": (
        (*UPSCALE, "--region", "0,0,40,12"),
        1,
        "the result would have 160x48: the model's tiles have 64 px a side",
    ),
    "no size": (
        (*SYNTHESIZE, "--size", "big"),
        2,
        "size: must be width and height in px, as 2048x2048",
    ),
    "empty size": (
        (*SYNTHESIZE, "--size", "0x128"),
        2,
        "size: must be two sides of 1 to 1,000,000 px",
    ),
    "strength 1": ((*UPSCALE, "--strength", 1), 2, "strength 1 leaves nothing of the image"),
    "strength 1 with a layout": (
        (*SYNTHESIZE, "--strength", 1, "--layout", "photo.png"),
        2,
        "strength 1 leaves nothing of a layout",
    ),
    "strength 2": (
        (*SYNTHESIZE, "--strength", 2),
        2,
        "strength: input should be less than or equal to 1",
    ),
    "eta without ddim": (
        (*SYNTHESIZE, "--sampler", "dpm++", "--eta", 1),
        2,
        "eta is for the sampler ddim",
    ),
    "odd overlap": ((*SYNTHESIZE, "--overlap", 30), 1, "--overlap 30: must be a multiple of 4"),
    "all overlap": ((*SYNTHESIZE, "--overlap", 64), 1, "less than the tile, 64 px"),
    "one file": ((*SYNTHESIZE, "-n", 2), 2, "-o x.png: is one file, and -n asks for 2 images."),
    "a layout's proportions": (
        (*SYNTHESIZE, "--layout", "photo.png"),
        1,
        "photo.png: has 600 x 400 px, which are other proportions",
    ),
    "no layout": ((*SYNTHESIZE, "--layout", "none.png"), 1, "none.png: "),
    "no device": ((*SYNTHESIZE, "--device", "tpu"), 2, "--device tpu: not a device"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_in_a_sentence(case, uhrt_here, folder):
    command, code, sentence = BAD[case]
    done = uhrt_here(*command)
    assert sentence in " ".join(done.stderr.split())
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert not list(folder.glob("x.*"))
