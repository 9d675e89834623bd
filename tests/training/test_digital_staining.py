"""Digital staining: its networks are the paper's, its parts do what they say, its runs resume."""

import json

import numpy as np
import pytest
import skimage.color
import tifffile
import torch
import yaml
from problems import SMALL, darken, floats, psnr, recolour, section
from safetensors.torch import load_file

from uhrtranslate.enhance import Stack, Tally
from uhrtranslate.errors import CheckpointError, OptionError
from uhrtranslate.models import load_generator
from uhrtranslate.models.lab import CHROMA, lab_to_rgb, lightness, rgb_to_lab
from uhrtranslate.models.resnet import ResnetGenerator
from uhrtranslate.tasks.train import read_train_options, resume_training, train
from uhrtranslate.tasks.translate import translate
from uhrtranslate.training.configuration import make_train_options
from uhrtranslate.training.methods.colorizer import load_colorizer
from uhrtranslate.training.networks.making import make_generator
from uhrtranslate.training.networks.registration import Registration, roughness, warp
from uhrtranslate.training.run.learner import Learner

METHODS = ["digital-staining", "digital-staining-paired"]
DATA = {"a": "a", "b": "b", "patch": 64}
TINY = {"generator": {"ngf": 4, "blocks": 1}, "discriminator": {"ndf": 4, "layers": 2}}
TEACHER = {"ngf": 2, "epochs": 1, "decay": 0}


def options(method="digital-staining-paired", **more):
    small = {**TINY, "teacher": TEACHER, "epochs": 1, "decay": 0}
    return make_train_options({"method": method, "data": DATA, **small, **more})


def learner(method="digital-staining-paired", **more):
    return Learner(options(method, **more), torch.device("cpu"))


def samples():
    random = torch.Generator().manual_seed(1)
    made = {"A": 3, "B": 3, "planes": 4}
    return {name: 2 * torch.rand(1, c, 64, 64, generator=random) - 1 for name, c in made.items()}


# The networks.


def multiplications(network, x):
    """Of all convolutions; a transposed one counts at each pixel that it gives, as in the paper."""
    counts = []

    def note(layer, _, y):
        per_pixel = layer.weight.shape[0] * layer.weight.shape[1] * layer.weight[0, 0].numel()
        counts.append(per_pixel * y.shape[2] * y.shape[3])

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            layer.register_forward_hook(note)
    with torch.device("meta"):
        network.to("meta")(x.to("meta"))
    return sum(counts)


@pytest.mark.parametrize("method", METHODS)
def test_the_student_is_as_large_as_in_the_paper(method):
    """Table II: 11.38 M parameters, 114.01 GFLOPs at 256 px."""
    chosen = make_train_options({"method": method, "data": {"a": "a", "b": "b", "patch": 256}})
    with torch.device("meta"):
        student = chosen.generator.build()
    assert isinstance(student, ResnetGenerator)
    assert round(sum(p.numel() for p in student.parameters()) / 1e6, 2) == 11.38
    flops = 2 * multiplications(student, torch.zeros(1, 4, 256, 256))
    assert round(flops / 1e9, 2) == 114.01


def test_defaults_are_the_papers():
    unpaired, paired = (make_train_options({"method": m, "data": DATA}) for m in METHODS)
    assert (unpaired.distillation, unpaired.cycle, unpaired.adversarial) == (5, 80, 1)
    weights = paired.distillation, paired.cycle, paired.content, paired.smoothness
    assert weights == (2, 10, 20, 10)
    for one in (unpaired, paired):
        assert (one.lr, one.epochs, one.decay, one.generator.ngf) == (1e-4, 200, 100, 64)
        assert one.generator.inputs == ("rgb", "enhanced")
        assert (one.discriminator.layers, one.discriminator.ndf) == (3, 64)


@pytest.mark.parametrize(
    ("switch", "gone", "parts"),
    [
        ({"distillation": 0}, {"teacher"}, {"distillation"}),
        ({"cycle": 0}, {"back"}, {"cycle"}),
        ({"adversarial": 0}, {"judge"}, {"gan", "judge"}),
        ({"content": 0}, {"registration"}, {"content", "smoothness"}),
        ({"align": False}, {"registration"}, {"smoothness"}),
    ],
)
def test_what_a_loss_needs_goes_with_it(switch, gone, parts):
    whole, cut = learner(), learner(**switch)
    assert set(whole.networks) - set(cut.networks) == gone
    told = [
        {name for phase in one.step(samples(), one.stages[-1].epochs - 1 + len(one.stages) - 1)
         for name in phase.parts}
        for one in (whole, cut)
    ]  # fmt: skip
    assert told[0] - told[1] == parts


def test_weights_of_the_paper_make_the_sum():
    one = learner()
    for phase in one.step(samples(), 1):
        if phase.group == "student":
            parts = phase.parts
            expected = parts["gan"] + 2 * parts["distillation"] + 10 * parts["cycle"]
            expected += 20 * parts["content"] + 10 * parts["smoothness"]
            assert float(phase.loss) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"generator": {"inputs": ["rgb"]}}, "inputs must be rgb and a grey plane"),
        ({"generator": {"inputs": ["grey", "enhanced"]}}, "inputs must be rgb and a grey plane"),
        ({"registration": {"levels": 7}}, "too small for the registration; 7 levels need 128 px"),
        (
            {"teacher": {"modle": "x"}},
            "teacher.modle: there is no such option; teacher.model is near",
        ),
        ({"data": {"a": "a"}}, "data.b is needed"),
        ({"method": "colorizer"}, "colorizer learns from data.a alone"),
    ],
)
def test_wrong_options_are_named(change, part):
    values = {"method": "digital-staining-paired", "data": DATA, **change}
    with pytest.raises(OptionError, match=part):
        make_train_options(values)


def test_a_linear_start_leaves_no_raster():
    """Of an even picture, transposed convolutions make an even one; of a slope, a slope."""
    plain, linear = (
        make_generator(options(generator={**TINY["generator"], "init_up": way}).generator)
        for way in ("init", "linear")
    )
    even = torch.ones(1, 1, 9, 9)
    slope = torch.arange(9.0).expand(1, 1, 9, 9)
    for network, expected in ((plain, False), (linear, True)):
        layers = [m for m in network.modules() if isinstance(m, torch.nn.ConvTranspose2d)]
        assert len(layers) == 2
        for layer in layers:
            level, rising = (
                layer(x.expand(-1, layer.in_channels, -1, -1))[..., 2:-2, 2:-2].detach()
                for x in (even, slope)
            )
            steps = rising.diff(dim=-1)
            assert torch.allclose(level, level[..., :1, :1], atol=1e-5) == expected
            assert torch.allclose(steps, steps[..., :1, :1], atol=1e-5) == expected
            assert level.std() > 0.01
    student = plain.state_dict()
    assert {k: v.shape for k, v in student.items()} == {
        k: v.shape for k, v in linear.state_dict().items()
    }


# Lab.


def test_lab_is_that_of_scikit_image():
    pixels = section()[::8, ::8]
    expected = skimage.color.rgb2lab(pixels)
    light, chroma = rgb_to_lab(floats([pixels]))
    assert np.abs(light[0, 0].numpy() * 100 - expected[..., 0]).max() < 0.02
    assert np.abs(chroma[0].permute(1, 2, 0).numpy() * CHROMA - expected[..., 1:]).max() < 0.05
    back = lab_to_rgb(light, chroma)
    assert float((back - floats([pixels])).abs().max()) < 1e-3
    grey = floats([pixels])[:, :1]
    assert torch.allclose(lightness(grey), rgb_to_lab(grey.expand(-1, 3, -1, -1))[0], atol=1e-5)


def test_colours_outside_of_srgb_are_clipped_and_have_gradients():
    chroma = torch.full((1, 2, 2, 2), 0.9, requires_grad=True)
    x = lab_to_rgb(torch.full((1, 1, 2, 2), 0.5), chroma)
    assert float(x.detach().abs().max()) <= 1
    x.sum().backward()
    assert torch.isfinite(chroma.grad).all()


# Registration.


def test_warping_takes_pixels_from_where_the_field_points():
    x = torch.rand(1, 3, 9, 12, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(warp(x, torch.zeros(1, 2, 9, 12)), x, atol=1e-5)
    field = torch.zeros(1, 2, 9, 12)
    field[:, 0], field[:, 1] = 2, -1
    moved = warp(x, field)
    assert torch.allclose(moved[..., 1:, :-2], x[..., :-1, 2:], atol=1e-5)
    assert torch.allclose(moved[..., 0, :-2], x[..., 0, 2:], atol=1e-5)  # the edge goes on


def test_registration_starts_with_no_displacement():
    network = Registration(4, 6)
    x = samples()
    assert torch.equal(network(x["A"], x["B"]), torch.zeros(1, 2, 64, 64))


def test_what_differs_between_pictures_reaches_the_displacements():
    """Or else these learn late: with torch's own start, features of either differ by 0.04."""
    torch.manual_seed(0)
    network, seen = Registration(8, 4), []
    network.refine.register_forward_hook(lambda *args: seen.append(args[-1].detach()))
    x = samples()
    network(x["A"], x["B"])
    network(x["B"], x["A"])
    assert float((seen[0] - seen[1]).abs().mean()) > 0.3
    assert float(seen[0].std()) < 10


def test_roughness_is_of_differences():
    field = torch.zeros(1, 2, 4, 5)
    field[:, 0] = 2 * torch.arange(5.0)  # 2 px per px along x
    field[:, 1] = 3 * torch.arange(4.0)[:, None]
    assert float(roughness(field)) == pytest.approx(4 / 2 + 9 / 2)
    assert float(roughness(field, squared=False)) == pytest.approx(5)
    assert float(roughness(torch.ones(1, 2, 4, 5), squared=False)) < 1e-5


def smooth_field(side):
    """Displacements that turn round once within the picture."""
    turn = 2 * np.pi * torch.arange(side) / side
    field = torch.empty(1, 2, side, side)
    field[:, 0] = 3 * torch.cos(turn + 1)[:, None]
    field[:, 1] = 3 * torch.sin(turn)
    return field


@pytest.mark.slow
def test_registration_recovers_a_smooth_warp():
    """End-point error below 1 px, where it was some px before."""
    torch.manual_seed(0)
    image = floats([section()[100:164, 100:164]])
    field = smooth_field(64)
    goal, network = warp(image, field), Registration(16, 4)
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(200):
        found = network(image, goal)
        loss = 20 * (warp(image, found) - goal).abs().mean() + 10 * roughness(found)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    inner = (slice(None), slice(None), slice(8, -8), slice(8, -8))
    before, after = (
        float((one - field)[inner].norm(dim=1).mean())
        for one in (torch.zeros_like(field), network(image, goal).detach())
    )
    assert before > 2
    assert after < 1


# Runs.


@pytest.fixture
def desk(tmp_path):
    stained = recolour(section())
    for name, pixels in (("a", darken(stained)), ("b", stained)):
        (tmp_path / name).mkdir()
        for i in range(2):
            part = pixels[200 * i : 200 * i + 200, :180]
            tifffile.imwrite(tmp_path / name / f"{i}.tif", part, photometric="rgb", tile=(64, 64))
    return tmp_path


def run(desk, method, name="run", **more):
    config = {
        "method": method,
        **SMALL,
        "data": {"a": str(desk / "a"), "b": str(desk / "b"), "patch": 64, "tissue": 0, "epoch": 2},
        "generator": {"ngf": 4, "blocks": 1},
        "epochs": 1,
        "decay": 0,
        "checkpoint_steps": 1,
        "keep": 9,
    } | more
    (desk / "config.yaml").write_text(yaml.safe_dump(config))
    return train(read_train_options(desk / "config.yaml"), desk / name)


@pytest.fixture
def teacher(desk):
    """A colorizer, trained by itself on stained images."""
    data = {"a": str(desk / "b"), "patch": 64, "tissue": 0, "epoch": 2}
    del_discriminator = {
        "method": "colorizer", "data": data, "generator": {"ngf": 2}, "epochs": 1, "decay": 0
    }  # fmt: skip
    (desk / "teacher.yaml").write_text(yaml.safe_dump(del_discriminator))
    return train(read_train_options(desk / "teacher.yaml"), desk / "teach").generators["A2B"]


def stained_counts(desk):
    parts = [tifffile.imread(desk / "b" / f"{i}.tif") for i in (0, 1)]
    return Tally.of(np.concatenate(parts))


def test_a_colorizer_is_a_baseline_by_itself(desk, teacher):
    """`uhrt translate` enhances and colours."""
    info = load_generator(teacher).info
    assert (info.architecture, info.inputs, info.cell) == ("colorizer", ("enhanced",), 64)
    assert list(info.histogram) == stained_counts(desk).counts.tolist()
    translate(desk / "a/0.tif", desk / "x.tif", model=teacher, compression="deflate")
    found = tifffile.imread(desk / "x.tif")
    pixels = tifffile.imread(desk / "a/0.tif")
    z = floats([Stack(("enhanced",), Tally.of(pixels), stained_counts(desk))(pixels)])
    with torch.no_grad():
        expected = load_colorizer(teacher)(z[..., :176])[0].permute(1, 2, 0).numpy()
    expected = (expected * 127.5 + 128).clip(0, 255).astype(np.uint8).astype(int)
    assert np.abs(found[:, :100].astype(int) - expected[:, :100]).max() <= 1


@pytest.mark.parametrize("method", METHODS)
def test_a_given_teacher_stays_as_it_is(desk, teacher, method):
    result = run(desk, method, teacher={"model": str(teacher)})
    assert result.generators.keys() == {"A2B"}
    assert result.steps == 2
    state = torch.load(desk / "run/checkpoints/step-00000002/state.pt", weights_only=True)
    assert not any(key.startswith("teacher") for key in state["learner"]["networks"])


def test_what_is_no_colorizer_is_refused_as_teacher(desk, teacher):
    run(desk, "digital-staining", teacher={"model": str(teacher)})
    wrong = str(desk / "run/A2B.safetensors")
    with pytest.raises(CheckpointError, match="is a resnet generator, not a colorizer"):
        run(desk, "digital-staining", "other", teacher={"model": wrong})


def test_grey_and_deep_dark_fields_are_stained_as_others(desk):
    """One channel or three equal ones, 8 or 16 bits: in training, and by the student."""
    grey = tifffile.imread(desk / "a/0.tif")[..., 0]
    kinds = {
        "rgb8": grey[..., None].repeat(3, axis=2),
        "grey8": grey,
        "grey16": grey.astype(np.uint16) * 257,
    }
    learned, made = [], []
    for name, pixels in kinds.items():
        (desk / name).mkdir()
        tifffile.imwrite(desk / name / "0.tif", pixels, tile=(64, 64))
        data = {"a": str(desk / name), "b": str(desk / "b"), "patch": 64, "tissue": 0, "epoch": 2}
        result = run(desk, "digital-staining", f"run-{name}", data=data, teacher=TEACHER)
        learned.append(load_file(result.generators["A2B"]))
        model = str(desk / "run-rgb8/A2B.safetensors")
        translate(desk / name / "0.tif", desk / "x.tif", model=model, overwrite=True)
        made.append(tifffile.imread(desk / "x.tif"))
    for weights, picture in zip(learned[1:], made[1:], strict=True):
        assert all(torch.equal(weights[key], learned[0][key]) for key in weights)
        assert np.array_equal(picture, made[0])


@pytest.mark.parametrize("method", METHODS)
def test_runs_resume_in_either_stage_and_translate(desk, method):
    result = run(
        desk, method, teacher=TEACHER, validation={"image": str(desk / "a/1.tif"), "every": 1}
    )
    assert result.steps == 4
    assert result.generators.keys() == {"A2B", "teacher"}
    made = {name: load_file(path) for name, path in result.generators.items()}
    log = (desk / "run/log.csv").read_text()
    for step in (3, 1):
        resume_training(desk / f"run/checkpoints/step-0000000{step}")
        for name, path in result.generators.items():
            again = load_file(path)
            assert all(torch.equal(made[name][key], again[key]) for key in again)
        assert (desk / "run/log.csv").read_text() == log
    # The teacher does not learn in the second stage.
    halves = [
        load_file(desk / f"run/checkpoints/step-0000000{i}/teacher.safetensors") for i in (2, 4)
    ]
    assert all(torch.equal(halves[0][key], halves[1][key]) for key in halves[0])
    student, taught = (load_generator(result.generators[name]).info for name in ("A2B", "teacher"))
    assert (student.inputs, taught.inputs) == (("rgb", "enhanced"), ("enhanced",))
    assert student.histogram == taught.histogram == tuple(stained_counts(desk).counts.tolist())
    translate(desk / "a/1.tif", desk / "x.tif", model=result.generators["A2B"])
    found = tifffile.imread(desk / "x.tif")
    assert np.array_equal(tifffile.imread(desk / "run/validation/epoch-0002.tif"), found)
    assert json.loads((desk / "run/run.json").read_text())["seed"] == 0
    assert psnr(floats([found]), floats([tifffile.imread(desk / "b/1.tif")])) > 3
