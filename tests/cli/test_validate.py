import functools
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from uhrtranslate.engine.native import build
from uhrtranslate.engine.native.build import Built

MODEL = ("--model", "tiny.safetensors")


@pytest.fixture(scope="module")
def made(folder, tmp_path_factory):
    """One result of each format."""
    from uhrtranslate import translate

    out = tmp_path_factory.mktemp("made")
    for name in ("a.tif", "a.ome.tif", "a.svs", "a.ome.zarr", "a.v05.ome.zarr", "a.png"):
        translate(folder / "slide.tif", out / name, model=str(folder / "tiny.safetensors"))
    return out


def validate(uhrt, path):
    done = uhrt("validate", path, "--json")
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize(
    ("name", "openslide", "bioformats", "advice"),
    [
        ("a.tif", 1, 1, None),
        ("a.ome.tif", 1, 1, None),
        ("a.svs", 1, 1, None),
        ("a.ome.zarr", 0, None, None),
        ("a.v05.ome.zarr", 0, None, None),
        ("a.png", 0, None, "mpp"),
    ],
)
def test_results_are_good(uhrt, made, name, openslide, bioformats, advice):
    code, found = validate(uhrt, made / name)
    assert code == 0
    assert found["status"] == "good"
    assert found["error"] is None
    viewers = {viewer["name"].split(",")[0]: viewer for viewer in found["viewers"]}
    assert viewers["OpenSlide"]["levels"] == openslide
    if name.endswith("zarr"):
        version = "0.5" if "v05" in name else "0.4"
        assert found["format"] == f"OME-Zarr {version}"
        assert ("QuPath" in viewers) == (version == "0.5"), "those that do not read it are named"
    if bioformats is not None:
        assert viewers["Bio-Formats"]["levels"] == bioformats
        assert found["mpp"][0] == pytest.approx([0.5, 0.5])
    assert advice is None or any(advice in sentence for sentence in found["advice"])


def test_a_pyramid_is_seen_by_the_right_programs(uhrt, tmp_path):
    import numpy as np

    from uhrtranslate.io import OutputSpec, open_writer

    pixels = np.random.default_rng(0).integers(0, 256, (600, 700, 3), np.uint8)
    seen = {}
    for name in ("a.tif", "a.ome.tif", "a.svs"):
        spec = OutputSpec(700, 600, mpp=(0.5, 0.5), tile=128, smallest=128, objective_power=20)
        with open_writer(tmp_path / name, spec) as writer:
            writer.write(0, 0, pixels)
        _, found = validate(uhrt, tmp_path / name)
        levels = [viewer["levels"] for viewer in found["viewers"]]
        seen[name] = (levels, any("ome-tiff" in line for line in found["advice"]))
    assert seen["a.tif"] == ([4, 4, 1, 4], True)
    assert seen["a.ome.tif"] == ([1, 4, 4, 4], False)
    assert seen["a.svs"][0][0] == 4


@pytest.mark.parametrize("damage", ["cut", "junk", "gone"])
def test_bad_files_are_told(uhrt, made, tmp_path, damage):
    path = tmp_path / "bad.tif"
    whole = (made / "a.tif").read_bytes()
    if damage != "gone":
        path.write_bytes(whole[:-3000] if damage == "cut" else b"junk" * 100)
    done = uhrt("validate", path, made / "a.tif")
    assert done.returncode == 1
    assert "bad.tif" in done.stderr
    assert "Traceback" not in done.stderr
    assert "a.tif: good" in done.stdout.replace("\n", "")


def test_a_damaged_tile_is_found(uhrt, made, tmp_path):
    import tifffile

    path = tmp_path / "bad.tif"
    data = bytearray((made / "a.tif").read_bytes())
    with tifffile.TiffFile(made / "a.tif") as tiff:
        offset = tiff.pages[0].dataoffsets[-1]
    data[offset : offset + 2] = b"\0\0"
    path.write_bytes(data)
    code, found = validate(uhrt, path)
    assert code == 1
    assert found["status"] == "bad"
    assert "damaged" in found["error"]


class TestTheDoctor:
    def test_finds_nothing_wrong_here(self, uhrt):
        done = uhrt("doctor", "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["problems"] == []
        assert found["devices"][-1]["name"] == "cpu"
        assert all(found["codecs"][name] for name in ("jpeg", "deflate", "lzw", "zstd", "none"))
        assert found["versions"]["torch"]
        assert "he2ihc" in found["generators"]

    def test_speaks_to_people_too(self, uhrt):
        done = uhrt("doctor")
        assert done.returncode == 0
        for row in ("device cpu", "GPUs", "Triton", "C++ compiler", "kernels"):
            assert f" {row} " in done.stdout

    def test_tells_what_is_broken(self, monkeypatch):
        from uhrtranslate.tasks import doctor

        monkeypatch.setattr(doctor, "built", lambda: Built("/usr/bin/g++", "cache", "a.so", None))
        monkeypatch.setattr(doctor, "PACKAGES", ("torch", "no-such-package"))
        monkeypatch.setattr(doctor, "EXTRAS", (("no_such_module", "zarr", "--format ome-zarr"),))
        found = doctor.diagnose()
        assert any("no-such-package" in problem for problem in found.problems)
        assert found.missing == ("--format ome-zarr: pip install 'uhrtranslate[zarr]'",)

    def test_tells_of_the_compiler_and_the_kernels(self, tmp_path, monkeypatch):
        from uhrtranslate.tasks import doctor

        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.setattr(build, "library", functools.cache(build.library.__wrapped__))
        found = doctor.diagnose()
        if found.kernels.reason is None:
            assert Path(str(found.kernels.library)).parent == tmp_path / "uhrtranslate"
            assert Path(str(found.kernels.library)).is_file()
            assert found.devices[-1].forwards == "compiled"
        monkeypatch.setattr(build.shutil, "which", lambda name: None)
        monkeypatch.setattr(build, "library", functools.cache(build.library.__wrapped__))
        found = doctor.diagnose()
        assert found.kernels.compiler is None
        assert found.kernels.library is None
        assert found.devices[-1].forwards == "not compiled (no C++ compiler)"
        if sys.platform == "linux":
            assert "apt install g++" in str(found.kernels.reason)
            assert any("apt install g++" in part for part in found.missing)
        assert found.problems == ()

    def test_tells_of_a_compiler_that_fails(self, tmp_path, monkeypatch):
        failing = tmp_path / "cc"
        failing.write_text("#!/bin/sh\n[ $1 = --version ] && echo cc 3 && exit\nexit 1\n")
        failing.chmod(0o755)
        monkeypatch.setenv("CXX", str(failing))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.setattr(build, "library", functools.cache(build.library.__wrapped__))
        found = build.built()
        if sys.platform == "linux":
            assert found.compiler == f"{failing} (cc 3)"
            assert "cannot compile the kernels" in str(found.reason)

    def test_tells_of_a_gpu_without_triton_and_of_a_torch_without_cuda(self, monkeypatch):
        from uhrtranslate.tasks import doctor

        gpu = SimpleNamespace(name="H100", total_memory=8 << 30, major=9, minor=0)
        monkeypatch.setattr(doctor, "find_spec", lambda name: None)
        monkeypatch.setattr(doctor.torch.cuda, "device_count", lambda: 1)
        monkeypatch.setattr(doctor.torch.cuda, "get_device_properties", lambda number: gpu)
        monkeypatch.setattr(doctor.torch.version, "cuda", "13.0")
        found = doctor.diagnose()
        assert found.cuda == "CUDA 13.0, 1 GPU found"
        assert [device.name for device in found.devices] == ["cuda:0", "cpu"]
        assert not found.triton
        assert doctor.NO_TRITON in found.missing
        monkeypatch.setattr(doctor.torch.cuda, "device_count", lambda: 0)
        monkeypatch.setattr(doctor.torch.version, "cuda", None)
        monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
        found = doctor.diagnose()
        assert found.cuda == "none, as this torch is made without CUDA"
        assert doctor.NO_TRITON not in found.missing
        assert doctor.NO_CUDA in found.missing
