"""The same on a GPU as on the CPU; skipped where there is none."""

import copy
import subprocess

import numpy as np
import pytest
import support
import torch
from device_cases import (
    CELL,
    SECTION,
    UNDRAWN,
    assert_alike,
    losses_of,
    on_the_cpu,
    trained,
    translated,
    weights,
)
from kernel_networks import NETWORKS
from PIL import Image
from problems import Problem
from support import UHRT, as_generator, small_resnet

from uhrtranslate.engine import GeneratorRunner, GpuRunner, measure_halo
from uhrtranslate.io.files.journal import Journal
from uhrtranslate.runs.events import Advanced
from uhrtranslate.tables import NORMALIZERS, TRAINING_METHODS
from uhrtranslate.tasks.translate import translate

pytestmark = pytest.mark.usefixtures("with_gpu")
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


@pytest.mark.parametrize("mirrored", [False, True], ids=["context", "mirrored"])
@pytest.mark.parametrize("name", NORMALIZERS)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_kernels_are_as_eager(exact, monkeypatch, name, precision, mirrored):
    how = {"mirrored": mirrored, "devices": ("cuda:0",), "batch": 2, "dtype": precision}
    eager, exactly = translated(name, **how), on_the_cpu(name, mirrored)
    monkeypatch.setattr(support, "GeneratorRunner", GpuRunner)
    found = translated(name, **how)
    if precision == torch.float32:
        assert_alike(found, eager)
    else:
        off, usual = (np.abs(one.astype(int) - exactly).mean() for one in (found, eager))
        assert 0 < off < 1.3 * usual < 5


@pytest.mark.parametrize("family", NETWORKS)
def test_kernels_serve_all_families(exact, family):
    torch.manual_seed(0)
    network = NETWORKS[family]().eval()
    eager, fast = (
        kind(as_generator(copy.deepcopy(network)), CUDA) for kind in (GeneratorRunner, GpuRunner)
    )
    for crops in ([SECTION[:64, :96], SECTION[64:128, 64:160]], [SECTION[:128, :160]]):
        x = eager.to_input(crops)
        expected, moments = eager.plain(x), eager.record(x)
        for _ in range(4):  # the last ones are replayed
            assert torch.allclose(fast.plain(x), expected, atol=1e-3)
            found = fast.record(x)
            for a, b in zip((*moments.mean, *moments.std), (*found.mean, *found.std), strict=True):
                assert torch.allclose(a, b, rtol=1e-3, atol=1e-3)
    assert fast._graphs._made


def test_what_is_replayed_sees_new_pixels_and_leaves_earlier_results():
    runner = GpuRunner(as_generator(small_resnet(n_blocks=1), stride=4), CUDA)
    pictures = [runner.to_input([SECTION[y : y + 64, :64]]) for y in range(0, 80, 8)]
    found = [runner.plain(x) for x in pictures]
    for x, y in zip(pictures, found, strict=True):
        assert torch.equal(runner.plain(x), y)
    assert not torch.equal(found[-1], found[-2])


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


@pytest.mark.parametrize("compile", [False, True], ids=["eager", "kernels"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_interrupted_run_gives_the_same_bytes(tmp_path, monkeypatch, precision, compile):
    monkeypatch.setattr(Journal, "due", property(lambda self: True))
    image = np.tile(SECTION, (3, 2, 1))
    Image.fromarray(image).save(tmp_path / "in.png")
    how = {"cell": CELL, "tile": 128, "halo": 24, "precision": precision, "compile": compile,
           "bits": 16, "device": "cuda:0", "compression": "deflate"}  # fmt: skip
    network = small_resnet(n_blocks=1)

    def run(name, **more):
        generator = as_generator(copy.deepcopy(network), stride=4)
        translate(tmp_path / "in.png", tmp_path / name, generator=generator, **how, **more)

    run("whole.ome.tif")
    done = []

    def stop(event):
        if isinstance(event, Advanced):
            done.append(event.pixels)
            if sum(done) > image.shape[0] * image.shape[1] * 0.6:
                raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        run("resumed.ome.tif", on_event=stop)
    run("resumed.ome.tif", resume=True)
    whole, resumed = ((tmp_path / f"{name}.ome.tif").read_bytes() for name in ("whole", "resumed"))
    assert whole == resumed


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
    _, expected = trained(method, "cpu", **UNDRAWN)
    learner, found = trained(method, "cuda:0", **UNDRAWN)
    assert {p.device for p in learner.networks.parameters()} == {CUDA}
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=0.2, abs=1e-3)
    assert found[0] == pytest.approx(expected[0], rel=1e-3)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("method", TRAINING_METHODS)
def test_steps_in_reduced_precision_are_near(method, precision):
    _, expected = trained(method, "cpu", **UNDRAWN)
    _, found = trained(method, "cuda:0", precision, **UNDRAWN)
    # What the first group of networks to be trained gives: in fp16 its step may be left out, until
    # the scale of gradients is found, and the others see other networks then.
    first = next(iter(expected[0])).split()[0]
    for name in [name for name in expected[0] if name.split()[0] == first]:
        assert found[0][name] == pytest.approx(expected[0][name], rel=0.1)
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
