"""The same on a GPU as on the CPU; skipped where there is none."""

import subprocess

import numpy as np
import pytest
import support
import torch
from device_cases import (
    CELL,
    SECTION,
    assert_alike,
    losses_of,
    on_the_cpu,
    trained,
    translated,
    weights,
)
from PIL import Image
from problems import Problem
from support import UHRT, as_generator, small_resnet

from uhrtranslate.engine import CompiledRunner, GeneratorRunner, measure_halo
from uhrtranslate.tables import NORMALIZERS, TRAINING_METHODS
from uhrtranslate.tasks.translate import translate

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
CUDA = torch.device("cuda:0")


@pytest.fixture
def exact(monkeypatch):
    """Convolutions in fp32 as the CPU has them; torch's default on a GPU is TF32."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.mark.parametrize("name", NORMALIZERS)
@pytest.mark.parametrize("mirrored", [False, True], ids=["context", "mirrored"])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize(
    ("devices", "batch"), [(("cuda:0",), 1), (("cuda:0", "cuda:0"), 3)], ids=["one", "twice"]
)
def test_pixels_are_those_of_the_cpu(exact, name, mirrored, masked, devices, batch):
    found = translated(name, mirrored, masked, devices=devices, batch=batch)
    assert_alike(found, on_the_cpu(name, mirrored, masked))


@pytest.mark.parametrize("name", NORMALIZERS)
def test_tf32_is_a_fifth_of_a_grey_level_off_at_most(name):
    off = translated(name, devices=["cuda:0"], batch=2).astype(int) - on_the_cpu(name)
    assert np.abs(off).mean() < 0.2


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("which", ["dtype", "statistics_dtype"])
@pytest.mark.parametrize("name", NORMALIZERS)
def test_reduced_precisions_are_near(name, precision, which):
    found = translated(name, devices=("cuda:0",), batch=2, **{which: precision})
    off = np.abs(found.astype(int) - on_the_cpu(name)).mean()
    assert off < (2 if precision == torch.bfloat16 else 0.5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's, of its own parts
@pytest.mark.parametrize("name", NORMALIZERS)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
def test_compiled_is_as_eager(exact, monkeypatch, name, precision):
    eager = translated(name, devices=("cuda:0",), batch=2, dtype=precision)
    monkeypatch.setattr(support, "GeneratorRunner", CompiledRunner)
    found = translated(name, devices=("cuda:0",), batch=2, dtype=precision)
    if precision == torch.float32:
        assert_alike(found, eager)
    else:
        assert np.abs(found.astype(int) - eager).mean() < 2


def test_results_do_not_depend_on_the_turns_of_devices(exact):
    once = translated("dn", devices=("cuda:0",), batch=2)
    for _ in range(3):
        again = translated("dn", devices=("cuda:0", "cuda:0"), batch=2)
        assert (again == once).all()


def test_a_generator_is_measured_as_on_the_cpu(exact):
    cpu, cuda = (
        GeneratorRunner(as_generator(small_resnet(n_blocks=1), stride=4), device)
        for device in (torch.device("cpu"), CUDA)
    )
    assert measure_halo(cuda) == measure_halo(cpu)


@pytest.mark.parametrize("options", [{}, {"precision": "bf16"}, {"precision": "auto"}], ids=str)
def test_a_whole_image_is_translated(tmp_path, options):
    source = tmp_path / "section.png"
    Image.fromarray(SECTION).save(source)
    results = {}
    for device in ("cpu", "cuda"):
        target = tmp_path / f"on-{device}.png"
        generator = as_generator(small_resnet(n_blocks=1), stride=4)
        how = {"output": target, "generator": generator, "cell": CELL, "tile": 96}
        translate(source, device=device, **how, **(options if device == "cuda" else {}))
        results[device] = np.asarray(Image.open(target)).astype(int)
    assert np.abs(results["cuda"] - results["cpu"]).mean() < (2 if options else 0.2)


def test_the_command_line_uses_a_gpu_where_there_is_one(tmp_path):
    source = tmp_path / "section.png"
    Image.fromarray(SECTION).save(source)
    command = [UHRT, "translate", source, "-o", tmp_path / "out.png", "--cell", "64"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    doctor = subprocess.run([UHRT, "doctor"], capture_output=True, text=True, timeout=300)
    assert "cuda:0" in doctor.stdout


def test_a_batch_that_does_not_fit_is_halved(monkeypatch):
    original, sizes = GeneratorRunner.normalize, []

    def normalize(self, x, fields):
        sizes.append(len(x))
        if len(x) > 1:
            torch.empty(1 << 50, dtype=torch.uint8, device=x.device)  # more than any GPU has
        return original(self, x, fields)

    monkeypatch.setattr(GeneratorRunner, "normalize", normalize)
    found = translated("dn", devices=("cuda:0",), batch=2)
    assert {1, 2} == set(sizes)
    assert np.abs(found.astype(int) - on_the_cpu("dn")).mean() < 0.2


@pytest.mark.parametrize("method", TRAINING_METHODS)
def test_steps_are_those_of_the_cpu(exact, method):
    """Without dropout, which is drawn by each device's own generator of random numbers."""
    _, expected = trained(method, "cpu", dropout=False)
    learner, found = trained(method, "cuda:0", dropout=False)
    assert {p.device for p in learner.networks.parameters()} == {CUDA}
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=5e-2)
    assert found[0] == pytest.approx(expected[0], rel=1e-3)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("method", TRAINING_METHODS)
def test_steps_in_reduced_precision_are_near(method, precision):
    _, expected = trained(method, "cpu", dropout=False)
    _, found = trained(method, "cuda:0", precision, dropout=False)
    assert found[0] == pytest.approx(expected[0], rel=0.1)
    assert all(np.isfinite(list(parts.values())).all() for parts in found)


def test_a_training_state_is_taken_back():
    learner, _ = trained("cyclegan", "cuda:0")
    state = {**learner.state()}
    batch = Problem(paired=False).batch()
    other, _ = trained("cyclegan", "cuda:0", steps=0)
    other.load_state(state)
    for name, value in weights(learner).items():
        assert torch.equal(value, weights(other)[name]), name
    assert losses_of(other.step(batch, epoch=0)) == pytest.approx(
        losses_of(learner.step(batch, epoch=0)), rel=1e-3
    )
