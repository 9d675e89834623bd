"""What every training method of generators does, and what it takes to add one."""

import csv
import io

import pytest
import torch
import yaml
from extending import package_with, run_uhrt
from PIL import Image
from problems import GENERATOR_METHODS, write_pair
from safetensors.torch import load_file
from test_resume import tensors

from uhrtranslate.enhance import channels_of
from uhrtranslate.errors import OptionError
from uhrtranslate.tables import GENERATOR_FAMILIES, TRAINING_METHODS
from uhrtranslate.training.configuration import make_train_options
from uhrtranslate.training.run.learner import Learner

# All that keeps a method small that a test knows nothing of.
GENERATOR = {"ngf": 4, "blocks": 5, "downs": 5, "width": 8, "depths": [1, 1, 1, 1]}


def make_learner(name, **generator):
    data = {"a": "a", "b": "b", "patch": 64}
    if TRAINING_METHODS[name].options_class.one_domain:
        del data["b"]
    options = {"method": name, "data": data, "generator": {**GENERATOR, **generator}}
    return Learner(make_train_options(options), torch.device("cpu"))


def make_samples(learner, seed):
    random = torch.Generator().manual_seed(seed)
    samples = {domain: 2 * torch.rand(1, 3, 64, 64, generator=random) - 1 for domain in "AB"}
    inputs = learner.options.generator.inputs
    if inputs != ("rgb",):
        shape = (1, channels_of(inputs), 64, 64)
        samples["planes"] = 2 * torch.rand(shape, generator=random) - 1
    return samples


def steps(learner, seed):
    """A step in the first epoch of each stage; gives their phases."""
    phases, epoch = [], 0
    for stage in learner.stages:
        phases += learner.step(make_samples(learner, seed), epoch)
        epoch += stage.epochs
    return phases


def moved_by(learner, seed):
    """Names of the networks that steps change, and their phases."""
    before = [(n, p.detach().clone()) for n, p in learner.networks.named_parameters()]
    phases = steps(learner, seed)
    after = dict(learner.networks.named_parameters())
    return {n.split(".")[0] for n, p in before if not torch.equal(p, after[n])}, phases


@pytest.mark.parametrize("name", GENERATOR_METHODS)
@pytest.mark.parametrize("inputs", [("grey", "enhanced"), ("rgb", "standardised"), ("grey",)])
def test_each_method_trains_a_generator_of_planes(name, inputs):
    """Those that translate their own results make the planes of them; or it refuses the inputs."""
    learner, refused = None, ""
    try:
        learner = make_learner(name, inputs=inputs)
    except OptionError as error:
        refused = str(error)
    if learner is None:
        assert "generator.inputs: " in refused
        return
    moved, phases = moved_by(learner, 1)
    assert moved == set(learner.networks)
    assert all(torch.isfinite(phase.loss) for phase in phases)
    rows = learner.pictures(make_samples(learner, 2))
    assert all(row.shape == (1, 3, 64, 64) for row in rows)
    info = learner.method.generator_info("A2B", 0.5)
    assert (info.inputs, info.in_channels) == (inputs, channels_of(inputs))
    if "B2A" in learner.exports():
        info = learner.method.generator_info("B2A", 0.5)
        assert (info.inputs, info.in_channels) == (("rgb",), 3)


@pytest.mark.parametrize("name", GENERATOR_METHODS)
def test_each_method_moves_all_its_networks_and_resumes_to_the_bit(name):
    learner = make_learner(name)
    assert learner.options.method == name
    moved, phases = moved_by(learner, 1)
    assert moved == set(learner.networks)
    assert {phase.group for phase in phases} == set(learner.optimisers)
    for phase in phases:
        assert all(torch.isfinite(x) for x in (phase.loss, *phase.parts.values()))
        assert not any(x.requires_grad for x in (phase.loss, *phase.parts.values()))

    file = io.BytesIO()
    torch.save(learner.state(), file)
    steps(learner, 2)
    resumed = make_learner(name)
    resumed.load_state(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    steps(resumed, 2)
    pairs = list(zip(tensors(learner.state()), tensors(resumed.state()), strict=True))
    assert len(pairs) > 20
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("name", GENERATOR_METHODS)
def test_each_method_exports_generators_that_their_facts_describe(name):
    learner = make_learner(name)
    assert "A2B" in learner.exports()
    for direction, generator in learner.exports().items():
        info = learner.method.generator_info(direction, 0.5)
        assert (info.cell, info.mpp, info.in_channels) == (64, 0.5, channels_of(info.inputs))
        assert info.domains == (("B", "A") if direction == "B2A" else ("A", "B"))
        family = GENERATOR_FAMILIES[info.architecture]
        family.build(**info.arguments).load_state_dict(generator.state_dict())
    rows = learner.pictures(make_samples(learner, 3))
    assert all(row.shape == (1, 3, 64, 64) for row in rows)
    assert all(network.training for network in learner.networks.values())


# Two stages, two kinds of optimisers with rates of their own, a network that never learns, and an
# option: nothing that another method has.
DISTILLED = '''"""A teacher learns to colour grey patches; then the generator learns from it."""

import torch.nn.functional as F
from torch import nn, optim

from uhrtranslate.training.methods.base import GeneratorMethod, Phase, Stage, falling_rate
from uhrtranslate.training.networks.making import make_generator
from uhrtranslate.training.options import Count, TrainOptions


class DistilledOptions(TrainOptions):
    """Attributes: lessons: epochs of the teacher."""

    lessons: Count = 1


class Distilled(GeneratorMethod):
    """Distillation."""

    options_class = DistilledOptions

    def __init__(self, options):
        super().__init__(options)
        self.networks = nn.ModuleDict(
            {"teacher": nn.Conv2d(1, 3, 3, padding=1), "A2B": make_generator(options.generator)}
        )
        grey = nn.Conv2d(3, 1, 1, bias=False)
        nn.init.constant_(grey.weight, 1 / 3)
        self.fixed["grey"] = grey

    def optimisers(self):
        teacher, student = self.networks["teacher"], self.networks["A2B"]
        return {
            "teacher": optim.SGD(teacher.parameters(), 0.1, momentum=0.9),
            "student": optim.AdamW(student.parameters(), self.options.lr),
        }

    def stages(self):
        lessons, epochs = self.options.lessons, self.options.epochs
        return [
            Stage(lessons, self.teach, lambda _, epoch: 1.0, "teacher"),
            Stage(epochs, self.step, lambda _, epoch: falling_rate(epoch, 1, epochs), "student"),
        ]

    def teach(self, samples):
        b = samples["B"]
        loss = F.l1_loss(self.networks["teacher"](self.fixed["grey"](b)), b)
        yield Phase("teacher", loss, {"teaching": loss})

    def step(self, samples):
        a = samples["A"]
        goal = self.networks["teacher"](self.fixed["grey"](a)).detach()
        loss = F.l1_loss(self.networks["A2B"](a), goal)
        yield Phase("student", loss, {"learning": loss})
'''


@pytest.mark.slow
def test_a_new_method_is_a_file_and_a_line(tmp_path):
    """It trains in stages, resumes to the bit, and its generator translates."""
    line = '"distilled": "training.methods.distilled:Distilled",'
    copy = package_with(
        tmp_path, "training/methods/distilled.py", DISTILLED, "TRAINING_METHODS", line
    )
    desk = write_pair(tmp_path / "desk")
    config = {
        "method": "distilled",
        "data": {"a": "a", "b": "b", "patch": 64, "tissue": 0.1, "epoch": 3},
        "generator": {"ngf": 4, "blocks": 1},
        "epochs": 2,
        "log": 1,
        "checkpoint_steps": 2,
        "keep": 9,
    }
    (desk / "config.yaml").write_text(yaml.safe_dump(config))
    done = run_uhrt(copy, "train", "config.yaml", "-o", "run", cwd=desk)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "run/A2B.safetensors\n"
    assert "student: epoch 3/3, step 9/9: learning" in done.stderr
    made = load_file(desk / "run/A2B.safetensors")
    log = (desk / "run/log.csv").read_text()
    rows = list(csv.DictReader(log.splitlines()))
    assert [row["teaching"] != "" for row in rows] == [True] * 3 + [False] * 6
    assert [row["learning"] != "" for row in rows] == [False] * 3 + [True] * 6
    assert [float(row["lr"]) for row in rows[::3]] == [0.1, 2e-4, pytest.approx(2e-4 * 2 / 3)]

    # From within the first stage.
    done = run_uhrt(copy, "train", "--resume", "run/checkpoints/step-00000002", cwd=desk)
    assert done.returncode == 0, done.stderr
    again = load_file(desk / "run/A2B.safetensors")
    assert all(torch.equal(made[key], again[key]) for key in made)
    assert (desk / "run/log.csv").read_text() == log

    model = ("--model", "run/A2B.safetensors")
    done = run_uhrt(copy, "translate", "a/0.png", *model, "-o", "x.png", cwd=desk)
    assert done.returncode == 0, done.stderr
    with Image.open(desk / "x.png") as result:
        assert result.size == (512, 512)

    done = run_uhrt(copy, "train", "config.yaml", "--set", "lesons=2", cwd=desk)
    assert done.returncode == 2
    assert "lesons: there is no such option; lessons is near" in done.stderr
    assert "distilled" in run_uhrt(copy, "train", "--help", cwd=desk).stdout
