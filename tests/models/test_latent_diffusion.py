"""Latent diffusion models: files, folders of diffusers, and what is refused."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_diffusion import CLASSES, tiny_autoencoder, tiny_denoiser, tiny_latent_diffusion

from uhrtranslate.errors import CheckpointError, MissingExtraError, OptionError
from uhrtranslate.models.latent_diffusion import (
    KEY,
    joined,
    load_autoencoder,
    load_latent_diffusion,
    save_autoencoder,
    save_latent_diffusion,
)
from uhrtranslate.models.load import load_generator
from uhrtranslate.models.noise import Noise
from uhrtranslate.models.prompts import Prompts


def predicted(model):
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(2, model.channels, 16, 16, generator=generator)
    prompts = torch.tensor([model.prompts.null, model.prompts.identifier("DCIS", "patch")])
    return model.denoiser(latents, torch.tensor([7, 900]), prompts)


def test_prompts_count_two_levels_of_each_class_and_none():
    prompts = Prompts(("N", "PB", "IC"))
    every = [
        prompts.identifier(c, level) for c in prompts.classes for level in ("overall", "patch")
    ]
    assert every == list(range(6))
    assert (prompts.null, prompts.count) == (6, 7)


def test_an_unknown_class_names_the_known_ones():
    with pytest.raises(OptionError, match="class XY: the model does not know it; it knows N, PB"):
        Prompts(("N", "PB")).identifier("XY", "patch")


@pytest.mark.parametrize("classes", [(), ("N", "N")])
def test_classes_are_different(classes):
    with pytest.raises(OptionError, match="classes"):
        Prompts(classes)


def test_a_file_gives_the_model_back(tmp_path):
    model = tiny_latent_diffusion(prediction="v_prediction")
    save_latent_diffusion(tmp_path / "m.safetensors", model)
    again = load_latent_diffusion(tmp_path / "m.safetensors")
    for name in ("prompts", "noise", "tile", "factor", "channels", "shrink", "mpp"):
        assert getattr(again, name) == getattr(model, name)
    assert again.prediction == "v_prediction"
    assert torch.equal(predicted(again), predicted(model))
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    latents = again.autoencoder.encode(images)
    assert latents.shape == (1, 4, 16, 16)
    assert torch.equal(latents, model.autoencoder.encode(images))
    assert again.autoencoder.decode(latents).shape == images.shape


def test_half_the_size_loads_as_float32(tmp_path):
    model = tiny_latent_diffusion()
    for half in (False, True):
        save_latent_diffusion(tmp_path / f"{half}.safetensors", model, half)
    whole, half = ((tmp_path / f"{one}.safetensors").stat().st_size for one in (False, True))
    assert half < 0.6 * whole
    again = load_latent_diffusion(tmp_path / "True.safetensors")
    torch.testing.assert_close(predicted(again), predicted(model), atol=0.02, rtol=0.02)


def test_latents_are_shifted_and_scaled():
    plain, moved = tiny_autoencoder(), tiny_autoencoder(scaling_factor=2.0, shift_factor=0.5)
    images = torch.rand(1, 3, 32, 32)
    latents = plain.encode(images)
    torch.testing.assert_close(moved.encode(images), (latents - 0.5) * 2)
    torch.testing.assert_close(moved.decode((latents - 0.5) * 2), plain.decode(latents))


def test_an_autoencoder_stands_by_itself(tmp_path):
    path = tmp_path / "ae.safetensors"
    autoencoder = tiny_autoencoder(factor=8, shift_factor=0.25)
    save_autoencoder(path, autoencoder, mpp=0.5)
    again = load_autoencoder(path)
    assert (again.factor, again.shift) == (8, 0.25)
    with pytest.raises(CheckpointError, match="holds an autoencoder alone"):
        load_latent_diffusion(path)


def test_uhrt_translate_says_what_the_file_is(tmp_path):
    save_latent_diffusion(tmp_path / "m.safetensors", tiny_latent_diffusion())
    with pytest.raises(CheckpointError, match=r"latent diffusion model.*uhrt synthesize"):
        load_generator(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.update(format=9), "its format is 9, newer than 1"),
        (lambda h: h["denoiser"].update(block_out_channels=[8, 16]), "not all weights fit"),
        (lambda h: h["denoiser"].update(block_out_channels=[8192] * 2), "not all weights fit"),
        (lambda h: h["denoiser"].update(layers_per_block=10**9), "layers_per_block"),
        (lambda h: h["denoiser"].update(time_embedding_type="fourier"), "time_embedding_type"),
        (lambda h: h["denoiser"].update(surprise=1), "surprise"),
        (lambda h: h["denoiser"].update(norm_num_groups=3), "3 does not divide 8 channels"),
        (lambda h: h["autoencoder"].update(latent_channels=8), "not all weights fit"),
        (lambda h: h.update(classes=["A"]), "5 prompts, and 1 classes.* are 3"),
        (lambda h: h.update(noise={"beta_start": 2}), "noise.beta_start"),
    ],
)
def test_metadata_that_does_not_fit_is_named(tmp_path, change, message):
    path = tmp_path / "m.safetensors"
    save_latent_diffusion(path, tiny_latent_diffusion())
    header = json.loads(metadata(path)[KEY])
    change(header)
    save_file(load_file(path), path, {KEY: json.dumps(header)})
    with pytest.raises(CheckpointError, match=message):
        load_latent_diffusion(path)


def metadata(path):
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"]


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    save_latent_diffusion(path, tiny_latent_diffusion())
    header, tensors = metadata(path), load_file(path)
    tensors["denoiser.conv_in.bias"][0] = float("nan")
    save_file(tensors, path, header)
    with pytest.raises(CheckpointError, match=r"conv_in\.bias holds NaN"):
        load_latent_diffusion(path)


def test_networks_of_other_channels_are_not_joined():
    with pytest.raises(CheckpointError, match=r"takes 4 channels and gives 4.*has 8"):
        joined(tiny_denoiser(), tiny_autoencoder(channels=8), CLASSES, Noise())


def test_without_diffusers_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "diffusers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'uhrtranslate\[diffusion\]'"):
        tiny_autoencoder()


# Folders of diffusers.


@pytest.fixture
def folder(tmp_path):
    model = tiny_latent_diffusion()
    model.denoiser.network.save_pretrained(tmp_path / "p" / "unet")
    model.autoencoder.network.save_pretrained(tmp_path / "p" / "vae")
    (tmp_path / "p" / "scheduler").mkdir()
    noise = {"_class_name": "DDIMScheduler", "prediction_type": "sample", "clip_sample": False}
    (tmp_path / "p" / "scheduler" / "scheduler_config.json").write_text(json.dumps(noise))
    return tmp_path / "p"


def test_a_folder_of_diffusers_is_a_model(folder):
    made = load_latent_diffusion(folder)
    assert made.prompts.classes == ("0", "1")
    assert made.prediction == "sample"
    named = {"_class_name": "LDMPipeline", "id2label": {"0": "ADH", "1": "DCIS"}}
    (folder / "model_index.json").write_text(json.dumps(named))
    again = load_latent_diffusion(folder)
    assert again.prompts.classes == CLASSES
    assert torch.equal(predicted(again), predicted(tiny_latent_diffusion()))


def test_a_folder_of_an_autoencoder(folder):
    images = torch.rand(1, 3, 32, 32)
    for place in (folder, folder / "vae"):
        made = load_autoencoder(place)
        assert torch.equal(made.encode(images), tiny_autoencoder().encode(images))


def test_old_names_of_attention_are_read(tmp_path):
    model = tiny_autoencoder(mid_block_add_attention=True)
    model.network.save_pretrained(tmp_path)
    path = tmp_path / "diffusion_pytorch_model.safetensors"
    old = {}
    for key, tensor in load_file(path).items():
        for new, name in (("to_q", "query"), ("to_k", "key"), ("to_v", "value")):
            key = key.replace(new, name)
        old[key.replace("to_out.0", "proj_attn")] = tensor
    assert any("proj_attn" in key for key in old)
    save_file(old, path)
    images = torch.rand(1, 3, 32, 32)
    assert torch.equal(load_autoencoder(tmp_path).encode(images), model.encode(images))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unet/diffusion_pytorch_model.bin", "is a pickle"),
        ("last.ckpt", "is a pickle"),
        ("pipeline.py", "is code of a pipeline of its own"),
    ],
)
def test_folders_with_pickles_or_code_are_refused(folder, name, message):
    (folder / name).write_bytes(b"x")
    with pytest.raises(CheckpointError, match=message):
        load_latent_diffusion(folder)


def edited(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_folders_that_do_not_fit_say_why(folder):
    (folder / "model_index.json").write_text(json.dumps({"_class_name": ["mine", "Pipe"]}))
    with pytest.raises(CheckpointError, match="names a pipeline with code of its own"):
        load_latent_diffusion(folder)
    (folder / "model_index.json").unlink()
    edited(folder / "scheduler" / "scheduler_config.json", beta_schedule="sigmoid")
    with pytest.raises(CheckpointError, match="beta_schedule does not fit"):
        load_latent_diffusion(folder)
    edited(folder / "unet" / "config.json", mid_block_type=None)
    with pytest.raises(CheckpointError, match="mid_block_type"):
        load_latent_diffusion(folder)
    edited(folder / "unet" / "config.json", _class_name="UNet2DConditionModel")
    with pytest.raises(CheckpointError, match="is of a UNet2DConditionModel, and only UNet2DModel"):
        load_latent_diffusion(folder)
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="there is no such file"):
        load_autoencoder(folder)
