"""What translations need of a device: nothing meets on two of them, and the pixels are right."""

import numpy as np
import pytest
import simulated_device
import torch
from device_cases import CELL, SECTION, assert_alike, on_the_cpu, translated
from PIL import Image
from support import as_generator, small_resnet

from uhrtranslate.engine import (
    GeneratorRunner,
    choose_batch,
    choose_tile,
    measure_halo,
)
from uhrtranslate.engine.forward import devices
from uhrtranslate.models import ResnetGenerator
from uhrtranslate.tables import NORMALIZERS
from uhrtranslate.tasks.translate import translate

simulated_device.install()
SIM = torch.device("sim:0")


class TestTheDeviceItself:
    def test_it_refuses_what_a_gpu_refuses(self):
        x, elsewhere = torch.ones(2, 3, device=SIM), torch.ones(2, 3, device="sim:1")
        for other in (torch.ones(2, 3), torch.ones(1), elsewhere):
            with pytest.raises(RuntimeError, match="same device"):
                x + other
            with pytest.raises(RuntimeError, match="same device"), torch.inference_mode():
                torch.cat([x, other.expand(2, 3)])
        with pytest.raises(RuntimeError, match="numpy"):
            x.numpy()

    def test_it_takes_what_a_gpu_takes(self):
        x = torch.ones(2, 3, device=SIM)
        assert (x * torch.tensor(3.0)).sum().item() == 18
        assert x[torch.tensor([0]), 1:].shape == (1, 2)
        x[1:] = 5
        assert x.cpu().tolist() == [[1, 1, 1], [5, 5, 5]]
        assert (x.device, x.to("sim:1").device.index) == (SIM, 1)

    @pytest.mark.parametrize("inference", [False, True])
    @pytest.mark.parametrize(
        ("kind", "act"),
        [
            ("read", lambda x: x.cpu()),
            ("read", lambda x: x[0, 0].item()),
            ("read", lambda x: bool(x.sum() > 0)),
            ("read", lambda x: x.nonzero()),
            ("read", lambda x: x[x > 0]),
            ("read", lambda x: torch.empty(2, 3).copy_(x)),
            ("upload", lambda x: torch.ones(2).to(x)),
            ("upload", lambda x: torch.tensor([1.0], device=x.device)),
            ("upload", lambda x: x[torch.tensor([True, False])]),
            ("between", lambda x: x.to("sim:1")),
            (None, lambda x: torch.ones(2).to(x.device, non_blocking=True)),
            (None, lambda x: torch.ones(2, device=x.device) * x.shape[0]),
            (None, lambda x: torch.where(x > 0, x, 0.0).to(torch.float64)),
        ],
    )
    def test_it_counts_what_makes_the_host_wait(self, kind, act, inference):
        x = torch.ones(2, 3, device=SIM)
        with simulated_device.counted_waits() as waits, torch.inference_mode(inference):
            act(x)
        assert [what for what, _ in waits.elements()] == ([] if kind is None else [kind])


@pytest.mark.parametrize("name", NORMALIZERS)
@pytest.mark.parametrize("mirrored", [False, True], ids=["context", "mirrored"])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize(
    ("devices", "batch"), [(("sim:0",), 1), (("sim:0", "sim:1"), 3)], ids=["one", "two"]
)
def test_pixels_are_those_of_the_cpu(name, mirrored, masked, devices, batch):
    found = translated(name, mirrored, masked, devices=devices, batch=batch)
    assert_alike(found, on_the_cpu(name, mirrored, masked))


@pytest.mark.parametrize(
    "arguments", [{"affine": True}, {"antialias": True, "antialias_up": True}], ids=str
)
def test_weights_and_buffers_of_all_layers_move(arguments):
    found, expected = (
        translated("dn", network=small_resnet(n_blocks=1, **arguments), devices=[device])
        for device in ("sim:1", "cpu")
    )
    assert_alike(found, expected)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("which", ["dtype", "statistics_dtype"])
def test_precisions_are_those_of_the_cpu(precision, which):
    """The same roundings, though not in the same order as the layouts differ.

    So results are nearer to each other than to those of float32.
    """
    how = {which: precision}
    expected, exact = translated("dn", **how).astype(int), on_the_cpu("dn").astype(int)
    found = translated("dn", devices=("sim:0", "sim:1"), **how)
    off = np.abs(expected - exact).mean()
    assert off > 0.01, "nothing was rounded"
    assert np.abs(found - expected).mean() < 0.7 * off


@pytest.mark.parametrize("device", ["cpu", "sim:0"])
def test_grey_generators_run(device):
    """Their input is a weighted sum of colours, with weights that come from the host."""
    network = ResnetGenerator(in_channels=1, out_channels=1, ngf=4, n_blocks=1)
    runner = GeneratorRunner(
        as_generator(network, in_channels=1, out_channels=1), torch.device(device)
    )
    x = runner.to_input([SECTION[:64, :64]])
    grey = SECTION[:64, :64] @ np.array([0.299, 0.587, 0.114]) / 127.5 - 1
    assert x.shape == (1, 1, 64, 64)
    assert np.allclose(x[0, 0].cpu().numpy(), grey, atol=1e-5)
    (pixels,) = runner.to_pixels(runner.plain(x))
    assert (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize("glass", ["translate", "white"])
def test_a_whole_image_is_translated(monkeypatch, tmp_path, glass):
    """The user's route, from a file to a file."""
    source = tmp_path / "section.png"
    Image.fromarray(SECTION).save(source)
    # The package's own refuses all but CPU and CUDA.
    monkeypatch.setattr(devices, "choose_device", torch.device)
    results = {}
    for device in ("cpu", "sim:0,sim:1"):
        target = tmp_path / f"on-{device[:3]}.png"
        with simulated_device.counted_waits() as waits:
            translate(
                source,
                output=target,
                generator=as_generator(small_resnet(n_blocks=1), stride=4),
                device=device,
                cell=CELL,
                tile=96,
                batch=2,
                glass=glass,
            )
        assert bool(waits) == (device != "cpu"), "it ran elsewhere"
        results[device] = np.asarray(Image.open(target))
    assert_alike(results["sim:0,sim:1"], results["cpu"])
    assert (results["sim:0,sim:1"][:120, :60] == 255).all() == (glass == "white")


def test_a_generator_is_measured_as_on_the_cpu():
    cpu, sim = (
        GeneratorRunner(as_generator(small_resnet(n_blocks=1), stride=4), device)
        for device in (torch.device("cpu"), SIM)
    )
    assert measure_halo(sim) == measure_halo(cpu)
    assert choose_tile(sim, 24, 64, 5000, 1) == choose_tile(cpu, 24, 64, 5000, 1)
    assert choose_batch(sim, 512) == choose_batch(cpu, 512)
