"""What trainings of latent diffusion do: steps, files, resuming, and what they refuse."""

import io

import numpy as np
import pytest
import torch
from latent_problems import METHODS, autoencoder_file, batch, options_of, write_classes
from support import REPOSITORY
from test_resume import tensors
from tiny_diffusion import tiny_latent_diffusion

from uhrtranslate.errors import InputError, OptionError
from uhrtranslate.models.latent_diffusion import (
    load_autoencoder,
    load_latent_diffusion,
    save_latent_diffusion,
)
from uhrtranslate.models.noise import Noise
from uhrtranslate.options import read_config
from uhrtranslate.tasks.train import check_training, resume_training, train
from uhrtranslate.training.configuration import make_train_options
from uhrtranslate.training.losses import feature_entropy, perceptual
from uhrtranslate.training.methods.autoencoder import divergence
from uhrtranslate.training.networks.moments import Moments
from uhrtranslate.training.networks.noising import Noising
from uhrtranslate.training.networks.prototypes import Prototypes
from uhrtranslate.training.run.checkpoint import list_checkpoints, load_state
from uhrtranslate.training.run.learner import Learner


def make_learner(method, **more):
    return Learner(make_train_options(options_of(method, **more)), torch.device("cpu"))


# Losses and memories, against NumPy.


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_feature_entropy_is_that_of_the_equation():
    random = np.random.default_rng(0)
    z, anchors = unit(random.normal(size=(5, 6))), unit(random.normal(size=(14, 6)))
    prompts = np.array([0, 13, 4, 4, 7])
    likeness = np.exp(z @ anchors.T / 0.07)
    expected = -np.log(likeness[np.arange(5), prompts] / likeness.sum(1))
    found = feature_entropy(*map(torch.from_numpy, (z, prompts, anchors)), 0.07)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


def test_feature_entropy_is_log_k_where_all_are_alike_and_falls_towards_the_own_prototype():
    anchors = torch.eye(14)
    alike = torch.nn.functional.normalize(torch.ones(1, 14), dim=1)
    prompt = torch.tensor([3])
    values = []
    for share in (0.0, 0.3, 0.6, 1.0):
        z = torch.nn.functional.normalize((1 - share) * alike + share * anchors[3:4], dim=1)
        values.append(float(feature_entropy(z, prompt, anchors, 0.07)))
    assert values[0] == pytest.approx(np.log(14), abs=1e-5)
    assert values == sorted(values, reverse=True)
    assert values[-1] < 1e-4


def test_prototypes_follow_the_mean_of_the_prompts_that_are_present():
    torch.manual_seed(0)
    memory = Prototypes(4, 3)
    before = memory.anchors.double().numpy().copy()
    np.testing.assert_allclose(np.linalg.norm(before, axis=1), 1, rtol=1e-6)
    z = torch.nn.functional.normalize(torch.randn(5, 3), dim=1)
    prompts, use = torch.tensor([2, 2, 0, 0, 1]), torch.tensor([True, True, True, False, False])
    memory.follow(z, prompts, use, 0.9)
    expected = before.copy()
    expected[2] = unit(0.9 * before[2] + 0.1 * z[:2].double().numpy().mean(0))
    expected[0] = unit(0.9 * before[0] + 0.1 * z[2].double().numpy())
    np.testing.assert_allclose(memory.anchors.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_noise_is_added_as_diffusers_adds_it(prediction):
    from diffusers import DDPMScheduler

    settings = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    theirs = DDPMScheduler(1000, **settings)
    x, eps = torch.randn(2, 3, 4, 4, 4, generator=torch.Generator().manual_seed(1)).unbind()
    t = torch.tensor([0, 400, 999])
    noisy, goal = Noising(Noise(prediction=prediction))(x, eps, t)
    torch.testing.assert_close(noisy, theirs.add_noise(x, eps, t))
    goals = {"epsilon": eps, "sample": x, "v_prediction": theirs.get_velocity(x, eps, t)}
    torch.testing.assert_close(goal, goals[prediction])


def test_the_divergence_of_normal_distributions():
    mean, logvar = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    ours = torch.distributions.Normal(mean, (logvar / 2).exp())
    expected = torch.distributions.kl_divergence(ours, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(divergence(mean, logvar), expected.mean())


def test_perceptual_distance_looks_at_directions():
    x, y = torch.randn(2, 5, 4, 4), torch.randn(2, 5, 4, 4)
    assert float(perceptual([x], [3 * x])) == pytest.approx(0, abs=1e-10)
    cosine = torch.nn.functional.cosine_similarity(x, y)
    torch.testing.assert_close(perceptual([x], [y]), (2 - 2 * cosine).mean())


def test_moments_are_those_of_all_values():
    x = 3 * torch.randn(20, 50) + 5
    moments = Moments()
    assert moments.read() == (0, 1)
    for part in x:
        moments.follow(part)
    mean, std = moments.read()
    assert mean == pytest.approx(float(x.mean()), rel=1e-4)
    assert std == pytest.approx(float(x.std(correction=0)), rel=1e-3)


# Steps.


@pytest.mark.parametrize("method", METHODS)
def test_a_step_moves_all_networks_and_is_resumed_to_the_bit(method):
    learner = make_learner(method)
    before = {name: x.clone() for name, x in learner.networks.state_dict().items()}
    phases = learner.step(batch(1), 0)
    assert all(torch.isfinite(part) for phase in phases for part in phase.parts.values())
    after = learner.networks.state_dict()
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == set(learner.networks)
    file = io.BytesIO()
    torch.save(learner.state(), file)
    learner.step(batch(2), 0)
    resumed = make_learner(method)
    resumed.load_state(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    resumed.step(batch(2), 0)
    pairs = list(zip(tensors(learner.state()), tensors(resumed.state()), strict=True))
    assert all(torch.equal(one, other) for one, other in pairs)
    rows = learner.pictures(batch(3))
    assert all(row.shape == (4, 3, 32, 32) for row in rows)
    assert all(network.training for network in learner.networks.values())


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_each_prediction_is_learned_and_stored(tmp_path, prediction):
    learner = make_learner("pathup", noise={"prediction": prediction}, entropy={"beta": 0}, lr=0.01)
    samples = batch(1)
    losses = [learner.step(samples, 0)[0].parts for _ in range(40)]
    assert set(losses[0]) == {"denoising"}
    means = [
        np.mean([float(one["denoising"]) for one in part]) for part in (losses[:8], losses[-8:])
    ]
    assert means[1] < 0.95 * means[0]
    learner.method.save(tmp_path / "m.safetensors", "pathup", learner.exports()["pathup"], 0.25)
    model = load_latent_diffusion(tmp_path / "m.safetensors")
    assert (model.prediction, model.mpp, model.shrink) == (prediction, 0.25, 4)
    assert (model.tile, model.factor, model.prompts.classes) == (8, 4, ("brown", "pink"))


def test_the_loss_of_features_tells_prompts_apart():
    learner = make_learner("pathup", entropy={"beta": 1.0}, lr=0.003, prompt_dropout=0)
    parts = [learner.step(batch(step), 0)[0].parts for step in range(30)]
    entropies = [float(part["entropy"]) for part in parts]
    assert np.mean(entropies[-5:]) < 0.5 * np.mean(entropies[:5])


def test_features_of_dropped_prompts_and_of_much_noise_are_passed_over():
    for more in ({"prompt_dropout": 1.0}, {"entropy": {"until": 1e-6}}):
        learner = make_learner("pathup", **more)
        before = learner.networks["prototypes"].anchors.clone()
        parts = learner.step(batch(1), 0)[0].parts
        assert float(parts["entropy"]) == 0
        assert torch.equal(learner.networks["prototypes"].anchors, before)


def test_prompts_are_dropped_for_guidance(monkeypatch):
    learner, seen = make_learner("pathup", prompt_dropout=0.25, batch=64), []
    forward = type(learner.networks["denoiser"]).forward

    def watched(self, latents, timesteps, prompts):
        seen.extend(prompts.tolist())
        return forward(self, latents, timesteps, prompts)

    monkeypatch.setattr(type(learner.networks["denoiser"]), "forward", watched)
    samples = {name: x.repeat_interleave(40, 0) for name, x in batch(1).items()}
    learner.step(samples, 0)
    null = learner.method.prompts.null
    assert 0.1 < np.mean([one == null for one in seen]) < 0.4
    assert [one for one in seen if one != null] == sorted(one for one in seen if one != null)


def test_the_autoencoders_latents_are_scaled_when_stored(tmp_path):
    learner = make_learner("autoencoder", lr=0.003)
    for step in range(5):
        learner.step(batch(step), 0)
    network = learner.exports()["autoencoder"]
    learner.method.save(tmp_path / "a.safetensors", "autoencoder", network, None)
    stored = load_autoencoder(tmp_path / "a.safetensors")
    assert stored.config.mid_block_add_attention is False
    with torch.no_grad():
        plain = network.encode(batch(9)["images"])
    mean, std = learner.method.networks["moments"].read()
    torch.testing.assert_close(stored.encode(batch(9)["images"]), (plain - mean) / std)
    assert (network.scale, network.shift) == (1, 0)


def test_a_training_starts_from_another_model(tmp_path):
    model = tiny_latent_diffusion(classes=("pink", "grey", "brown"), tile=8)
    save_latent_diffusion(tmp_path / "m.safetensors", model)
    learner = make_learner("pathup", start=str(tmp_path / "m.safetensors"))
    own, theirs = (x.network.state_dict() for x in (learner.networks["denoiser"], model.denoiser))
    assert own["class_embedding.weight"].shape[0] == 5
    same = [torch.equal(own[key], theirs[key]) for key in own if "class_embedding" not in key]
    assert all(same)


# Runs.


def config_of(method, tmp_path, **more):
    """Of a run of four steps on images of two classes."""
    if not (tmp_path / "classes").exists():
        write_classes(tmp_path / "classes", 256)
    values = options_of(method, epochs=2, checkpoint_steps=2, log=1, seed=3)
    place = {"images" if method == "autoencoder" else "classes": str(tmp_path / "classes")}
    values["data"] = {**place, "patch": 32, "tissue": 0.1, "epoch": 8, "workers": 2}
    values["data"] |= {"rotate": True, "jitter": 0.1}
    return make_train_options({**values, **more})


@pytest.mark.parametrize("method", METHODS)
def test_a_run_is_resumed_to_the_bit_and_leaves_a_model(tmp_path, method):
    options = config_of(method, tmp_path, ema=0.9)
    result = train(options, tmp_path / "run")
    assert list(result.generators) == [method]
    load = load_autoencoder if method == "autoencoder" else load_latent_diffusion
    made = load(result.generators[method])
    whole = load_state(list_checkpoints(tmp_path / "run")[-1])
    log = (tmp_path / "run" / "log.csv").read_text()
    picture = (tmp_path / "run" / "samples" / "epoch-0002.png").read_bytes()

    resume_training(list_checkpoints(tmp_path / "run")[0])
    again = load_state(list_checkpoints(tmp_path / "run")[-1])
    pairs = list(zip(tensors(whole), tensors(again), strict=True))
    assert len(pairs) > 50
    assert all(torch.equal(x, y) for x, y in pairs)
    assert (tmp_path / "run" / "log.csv").read_text() == log
    assert (tmp_path / "run" / "samples" / "epoch-0002.png").read_bytes() == picture
    if method == "pathup":
        assert made.prompts.classes == ("brown", "pink")


def test_a_run_does_not_resume_with_another_autoencoder(tmp_path):
    path = tmp_path / "autoencoder.safetensors"
    path.write_bytes(autoencoder_file()[1].read_bytes())
    train(config_of("pathup", tmp_path, autoencoder=str(path)), tmp_path / "run")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError, match=r"autoencoder\.safetensors: was changed"):
        resume_training(tmp_path / "run")


# What is refused.


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"data": {"classes": "nowhere"}}, "data.classes: nowhere is not a folder"),
        ({"data": {"classes": "empty"}}, "has no folders in it"),
        ({"data": {"classes": {"ADH": "a"}}}, "there is one class alone, ADH"),
        ({"data": {"classes": {"A": "a", "B": "b"}, "shrink": 1}}, "shrink must be at least 2"),
        ({"data": {"classes": {"A": "a", "B": "b"}, "patch": 36}}, "must be a multiple of 8"),
        ({"autoencoder": None}, "autoencoder: "),
        ({"prediction": "epsilon"}, "prediction: there is no such option"),
        ({"noise": {"prediction": "x0"}}, "noise.prediction: "),
        ({"denoiser": {"widths": [8, 12], "groups": 8}}, "groups 8 must divide the widths"),
        ({"denoiser": {"depth": 3}}, "denoiser.depth: there is no such option"),
        ({"entropy": {"tau": 0}}, "entropy.tau: "),
    ],
)
def test_wrong_options_of_pathup_are_named(tmp_path, monkeypatch, change, part):
    monkeypatch.chdir(tmp_path)
    write_classes(tmp_path / "ready", 256)
    (tmp_path / "empty").mkdir()
    (tmp_path / "ready" / "brown").rename(tmp_path / "a")
    (tmp_path / "ready" / "pink").rename(tmp_path / "b")
    values = options_of("pathup")
    if "data" in change:
        change = {"data": {"patch": 32, "tissue": 0, **change["data"]}}
    with pytest.raises(OptionError) as told:
        check_training(make_train_options({**values, **change}))
    assert part in str(told.value)


def test_classes_need_images_for_overviews(tmp_path):
    write_classes(tmp_path, 100)
    data = {"classes": str(tmp_path), "patch": 32, "tissue": 0}
    with pytest.raises(InputError, match=r"no image of class brown has 128 x 128 px"):
        check_training(make_train_options(options_of("pathup", data=data)))
    data["overviews"] = {"brown": str(tmp_path / "brown")}
    with pytest.raises(OptionError, match=r"data\.overviews: its classes are others"):
        check_training(make_train_options(options_of("pathup", data=data)))
    data["overviews"] = str(tmp_path)
    said = check_training(make_train_options(options_of("pathup", data=data)))
    assert said.startswith("pathup on cpu: 1 of brown and 1 of pink images, patches of 32 px")


def test_an_autoencoder_for_other_latents_is_refused(tmp_path):
    model = tiny_latent_diffusion(channels=3, tile=8)
    save_latent_diffusion(tmp_path / "m.safetensors", model)
    with pytest.raises(OptionError, match=r"denoises 3 channels, and the autoencoder has 4"):
        make_learner("pathup", start=str(tmp_path / "m.safetensors"))


def test_the_papers_configuration_holds_its_numbers():
    options = make_train_options(read_config(REPOSITORY / "configs/train/pathup-bracs.yaml"))
    data = options.data
    assert (data.patch, data.shrink, list(data.classes)) == (
        512,
        4,
        ["N", "PB", "UDH", "FEA", "ADH", "DCIS", "IC"],
    )
    assert options.epochs * data.epoch / options.batch == 50_000
    assert (options.batch, options.lr, options.entropy.beta) == (4, 5e-6, 0.1)
    assert (options.entropy.tau, options.entropy.alpha, options.prompt_dropout) == (0.07, 0.99, 0.1)


@pytest.mark.parametrize("method", METHODS)
def test_steps_in_bf16_are_near(method):
    exact, near = (
        make_learner(method, precision=precision).step(batch(1), 0)[-1].parts
        for precision in ("fp32", "bf16")
    )
    for name, value in exact.items():
        assert float(near[name]) == pytest.approx(float(value), rel=0.1, abs=0.01)
