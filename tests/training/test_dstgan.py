"""DSTGAN's losses against what the paper's equations say of the pictures that were made."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from uhrtranslate.errors import OptionError
from uhrtranslate.training.configuration import make_train_options
from uhrtranslate.training.methods.dstgan import Dstgan
from uhrtranslate.training.run.learner import Learner
from uhrtranslate.training.stain_losses import chroma_histogram, grey, hellinger, ssim

SMALL = {
    "method": "dstgan",
    "data": {"a": "a", "b": "b", "patch": 64},
    "generator": {
        "inputs": ["grey"], "width": 8, "depths": [1, 1, 1, 1], "window": 4, "drop_path": 0,
    },
    "discriminator": {"ndf": 4, "layers": 2},
    "texture_width": 4,
    "bins": 16,
    "blur": 0,
    "contrast": 0,
    "saturation": 0,
}  # fmt: skip
TONED = {"generator": {**SMALL["generator"], "inputs": ["toned"]}}
OUTPUTS = (0.1, 0.3, 0.6)
# Parts that are left out by their switch, and what stays of the log.
PARTS = {
    "judge_colour", "judge_texture", "supervised", "content", "gan", "ssim", "histogram",
    "gan_first", "second", "content_second", "gan_second", "confidence",
}  # fmt: skip
SOURCE = {"ssim", "histogram", "gan_first", "second", "content_second", "gan_second", "confidence"}
SWITCHES = [
    ({}, set()),
    ({"supervised": 0}, {"supervised"}),
    ({"content": 0}, {"content", "content_second"}),
    ({"alpha": 0}, {"judge_colour", "gan", "gan_first", "gan_second"}),
    (
        {"alpha": 0, "content": 0},
        {name for name in PARTS if name.startswith(("gan", "judge", "content"))},
    ),
    ({"colour_source": False}, SOURCE),
    ({"ssim": 0}, {"ssim"}),
    ({"histogram": 0}, {"histogram"}),
    ({"two_stage": False}, {"second", "content_second", "gan_second", "confidence"}),
]


def make(**more):
    torch.manual_seed(0)
    method = Dstgan(make_train_options({**SMALL, **more}))
    for layer in method.networks["A2B"].modules():  # colours that differ from grey
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.normal_(layer.weight, 0, 0.3)
    return method


def samples(seed=1):
    random = torch.Generator().manual_seed(seed)
    shape = (2, 3, 64, 64)
    smooth = F.avg_pool2d(torch.rand(4, 3, 72, 72, generator=random), 9, 1)
    return {"A": 1.6 * smooth[:2].view(shape) - 1, "B": 1.9 * smooth[2:].view(shape) - 1}


def parts_of(method, given):
    parts, loss = {}, None
    for phase in method.step(given):
        parts |= phase.parts
        loss = phase.loss if phase.group == "generator" else loss
    return loss, parts


def unit(x):
    return (x + 1) / 2


@pytest.mark.parametrize(
    ("options", "without"), SWITCHES, ids=lambda x: str(sorted(x) if isinstance(x, set) else x)[:40]
)
def test_each_part_has_a_switch(options, without):
    _, parts = parts_of(make(**options), samples())
    assert set(parts) == PARTS - without


@torch.no_grad()
def test_the_targets_loss_is_that_of_its_pictures():
    method, given = make(alpha=0, content=0, colour_source=False), samples()
    loss, parts = parts_of(method, given)
    made = method.networks["A2B"].pictures(grey(given["B"]))
    expected = sum(
        w * np.abs(x.numpy() - given["B"].numpy()).mean()
        for x, w in zip(made, OUTPUTS, strict=True)
    )
    assert loss.item() == parts["supervised"].item() == pytest.approx(expected, rel=1e-5)
    # Without deep supervision the result counts alone.
    method = make(
        alpha=0, content=0, colour_source=False, generator={**SMALL["generator"], "deep": False}
    )
    loss, _ = parts_of(method, given)
    made = method.networks["A2B"](grey(given["B"]))
    assert loss.item() == pytest.approx(np.abs((made - given["B"]).numpy()).mean(), rel=1e-5)


@torch.no_grad()
def test_the_first_stage_is_judged_by_structure_and_histogram():
    method, given = make(alpha=0, content=0, two_stage=False, supervised=0), samples()
    loss, parts = parts_of(method, given)
    y = grey(given["A"])
    made = method.networks["A2B"].pictures(y)
    structure = sum(
        w * (1 - ssim(unit(y), unit(grey(x)))) for x, w in zip(made, OUTPUTS, strict=True)
    )
    goal = chroma_histogram(unit(given["B"]), 16)
    chroma = sum(
        w * hellinger(chroma_histogram(unit(x), 16), goal).mean()
        for x, w in zip(made, OUTPUTS, strict=True)
    )
    assert parts["ssim"].item() == pytest.approx(structure.item(), rel=1e-4)
    assert parts["histogram"].item() == pytest.approx(chroma.item(), rel=1e-4)
    assert loss.item() == pytest.approx((structure + chroma).item(), rel=1e-4)


@torch.no_grad()
def test_of_the_source_the_toned_grey_is_coloured_and_its_structure_kept():
    method, given = make(alpha=0, content=0, two_stage=False, **TONED), samples()
    with pytest.raises(KeyError):
        next(method.step(given))
    given["planes"] = 0.5 * grey(given["A"]) - 0.3
    _, parts = parts_of(method, given)
    made = method.networks["A2B"].pictures(given["planes"])
    for name, y, same in (("toned", given["planes"], True), ("own", grey(given["A"]), False)):
        structure = sum(
            w * (1 - ssim(unit(y), unit(grey(x)))) for x, w in zip(made, OUTPUTS, strict=True)
        )
        assert (parts["ssim"].item() == pytest.approx(structure.item(), rel=1e-4)) == same, name
    target = method.networks["A2B"].pictures(grey(given["B"]))
    known = sum(w * F.l1_loss(x, given["B"]) for x, w in zip(target, OUTPUTS, strict=True))
    assert parts["supervised"].item() == pytest.approx(known.item(), rel=1e-4)
    rows = method.pictures({"A2B": method.networks["A2B"]}, given)
    assert torch.equal(rows[1], made[-1])
    assert torch.equal(rows[3], target[-1])


def test_toned_grey_is_changed_as_the_sources_colours_are():
    torch.manual_seed(1)
    given = samples() | {"planes": grey(samples()["A"])}
    method = make(contrast=0.5, **TONED)
    seen = [method._source_grey(given, given["A"], (0, c, 0)) for c in (0.0, 0.5)]
    assert torch.allclose(seen[0], given["planes"], atol=1e-5)
    assert (seen[1] - given["planes"]).abs().mean() > 0.002


@pytest.mark.parametrize(("weights", "inner"), [("product", OUTPUTS), ("first", (1, 1, 1))])
@torch.no_grad()
def test_the_second_stage_is_compared_with_the_first(weights, inner):
    method, given = make(alpha=0, content=0, second_weights=weights), samples()
    loss, parts = parts_of(method, given)
    network = method.networks["A2B"]
    total = 0.0
    for label, w in zip(network.pictures(grey(given["A"])), OUTPUTS, strict=True):
        for again, v in zip(network.pictures(grey(label)), inner, strict=True):
            total += w * v * (again - label).abs().mean().item()
    assert parts["second"].item() == pytest.approx(total, rel=1e-4)
    first = parts["ssim"] + parts["histogram"]
    trust = np.exp(-4 * first.item())
    assert parts["confidence"].item() == pytest.approx(trust, rel=1e-4)
    expected = parts["supervised"] + first + trust * parts["second"]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_what_teaches_the_second_stage_does_not_learn_from_it():
    method = make()
    first = method._colour("first", grey(samples()["A"]))
    for picture in first.pictures:
        picture.retain_grad()
    second = method._again(first)
    loss, parts = method._second_loss(first, second)
    loss.backward()
    assert [picture.grad for picture in first.pictures] == [None] * 3
    assert method.networks["A2B"].decoder.head.conv.weight.grad.abs().sum() > 0
    assert set(parts) == {"second", "content_second", "gan_second"}


def test_confidence_has_no_gradient_lies_in_0_to_1_and_can_leave_the_judges_out():
    trust = {}
    for confidence in ("all", "pictures"):
        _, parts = parts_of(make(confidence=confidence), samples())
        trust[confidence] = parts["confidence"].item()
        assert not parts["confidence"].requires_grad
        judged = parts["ssim"] + parts["histogram"]
        if confidence == "all":
            judged = judged + 0.5 * parts["gan_first"]
        assert trust[confidence] == pytest.approx(torch.exp(-4 * judged).item(), rel=1e-4)
    assert 0 <= trust["all"] < trust["pictures"] <= 1
    _, parts = parts_of(make(beta=0), samples())
    assert parts["confidence"].item() == 1


def test_what_the_judges_say_is_weighted_by_picture():
    method, given = make(colour_source=False, supervised=0, content=0), samples()
    loss, parts = parts_of(method, given)
    colour, texture = method.networks["judge_colour"], method.networks["judge_texture"]
    with torch.no_grad():
        made = method.networks["A2B"].pictures(grey(given["B"]))
        said = sum(w * F.softplus(-colour(x)).mean() for x, w in zip(made, OUTPUTS, strict=True))
        said = said + F.softplus(-texture(made[-1])).mean()
        assert parts["gan"].item() == pytest.approx(said.item(), rel=1e-4)
        assert loss.item() == pytest.approx(0.5 * said.item(), rel=1e-4)
        fakes = sum(w * F.softplus(colour(x)).mean() for x, w in zip(made, OUTPUTS, strict=True))
        told = 0.5 * (F.softplus(-colour(given["B"])).mean() + fakes)
        assert parts["judge_colour"].item() == pytest.approx(told.item(), rel=1e-4)
        real = 0.5 * sum(F.softplus(-texture(given[name])).mean() for name in "AB")
        told = 0.5 * (real + F.softplus(texture(made[-1])).mean())
        assert parts["judge_texture"].item() == pytest.approx(told.item(), rel=1e-4)


def test_the_generators_loss_does_not_move_the_judges():
    method = make()
    phases = list(method.step(samples()))
    assert [phase.group for phase in phases] == ["judges", "generator"]
    phases[-1].loss.backward()
    for name in ("judge_colour", "judge_texture"):
        assert all(p.grad is None for p in method.networks[name].parameters())


def test_judges_may_take_several_steps():
    phases = list(make(judge_steps=3).step(samples()))
    assert [phase.group for phase in phases] == ["judges"] * 3 + ["generator"]


def test_the_texture_judge_may_see_grey():
    assert make().networks["judge_texture"].layers[0][0].in_channels == 3
    method = make(texture_grey=True, content_first=1)
    assert method.networks["judge_texture"].layers[0][0].in_channels == 1
    _, parts = parts_of(method, samples())
    assert parts["content_first"] > 0


def test_two_decoders_agree_as_in_cagan_and_one_is_exported():
    learner = Learner(make_train_options({**SMALL, "consistency": 5.0}), torch.device("cpu"))
    before = {k: v.clone() for k, v in learner.networks["second"].state_dict().items()}
    phases = learner.step(samples(), epoch=0)
    assert {"consistency", "supervised_other"} <= set(phases[-1].parts)
    after = learner.networks["second"].state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in before)
    assert not any("second" in key for key in learner.exports()["A2B"].state_dict())


def test_a_generator_of_another_family_has_one_picture():
    generator = {"architecture": "resnet", "inputs": ["grey"], "ngf": 4, "blocks": 1}
    learner = Learner(make_train_options({**SMALL, "generator": generator}), torch.device("cpu"))
    assert all(torch.isfinite(phase.loss) for phase in learner.step(samples(), epoch=0))
    info = learner.method.generator_info("A2B", None)
    assert (info.architecture, info.in_channels, info.inputs) == ("resnet", 1, ("grey",))


def test_training_begins_with_the_grey_of_the_patch():
    torch.manual_seed(0)
    method = Dstgan(make_train_options(SMALL))
    y = grey(samples()["A"])
    with torch.no_grad():
        assert (method.networks["A2B"](y) - torch.tanh(y)).abs().mean() < 0.1


def test_source_and_target_are_names_of_the_domains():
    given = {**SMALL, "data": {"epoch": 3}, "source": "slides", "target": "look.png"}
    options = make_train_options(given)
    assert (str(options.data.a), str(options.data.b)) == ("slides", "look.png")
    assert (options.data.patch, options.data.epoch) == (256, 3)
    assert make_train_options(options.model_dump()) == options
    paper = make_train_options({"method": "dstgan", "source": "a", "target": "b"})
    assert (paper.outputs, paper.alpha, paper.beta, paper.batch) == (OUTPUTS, 0.5, 4, 2)
    assert (paper.lr, paper.epochs, paper.decay, paper.data.patch) == (2e-4, 50, 0, 256)
    assert (paper.bins, paper.reach, paper.tau) == (64, 3, 0.02)
    assert paper.generator.inputs == ("toned",)


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ({"data": {}, "target": "b"}, "source is missing"),
        ({"data": {"a": "a"}}, "target is missing"),
        ({"target": "c"}, "target is another name of data.b"),
        ({"generator": {"inputs": ["rgb"]}}, "colours grey"),
        ({"generator": {"heads": [5, 1, 1, 1, 1]}}, "heads 5 do not divide the 48 channels"),
        ({"generator": {"depths": [1, 1]}}, "4 to 8"),
        ({"generator": {"architecture": "resnet"}, "consistency": 1}, "swin-unet"),
        ({"generator": {"width": 8}, "data": {"a": "a", "b": "b", "patch": 48}}, "multiple of 32"),
        ({"outputs": [1, 2]}, "outputs"),
        (
            {"supervised": 0, "content": 0, "alpha": 0, "colour_source": False},
            "nothing would be learned",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(more, part):
    with pytest.raises(OptionError) as caught:
        make_train_options({**SMALL, **more})
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)
