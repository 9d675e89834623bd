"""The published geometry through the command line, against what the public code produced."""

import re

import numpy as np
import pytest
from golden import OUTPUTS, cases
from PIL import Image

from uhrtranslate.cli.app import run_program


@pytest.mark.parametrize(
    ("file", "name"), cases("main_P64", "small_P32_affine", "cut_antialias_P64")
)
def test_the_command_matches_the_public_code(file, name, shared, tmp_path, monkeypatch):
    arrays = np.load(shared / "golden" / f"{file}.npz")
    checkpoint, cell, _ = OUTPUTS[file]
    method, kernel, halo = re.fullmatch(r"out_(in|tin|dn|kin)_?(.*?)_p(\d+)", name).groups()
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    Image.fromarray(arrays["input_u8"]).save(source)
    arguments = ["translate", source, "-o", target, "--norm", method, "--pad", "reflect"]
    arguments += ["--model", shared / "golden" / f"{checkpoint}.pth", "--cell", cell]
    arguments += ["--thumbnail", "square"] if method == "tin" else []
    if kernel:
        kind, size = re.fullmatch(r"([a-z]+)(\d+)", kernel).groups()
        arguments += ["--kernel", size, "--kernel-type", kind]
    # 16 px for dn and none for the others is the default, and needs no saying.
    arguments += [] if int(halo) == (16 if method == "dn" else 0) else ["--halo", halo]
    monkeypatch.setattr("sys.argv", ["uhrt", *map(str, arguments), "--quiet"])
    with pytest.raises(SystemExit) as stop:
        run_program()
    assert not stop.value.code
    theirs = (arrays[name].transpose(1, 2, 0) * 127.5 + 128).clip(0, 255).astype(int)
    with Image.open(target) as ours:
        assert np.abs(np.asarray(ours).astype(int) - theirs).max() <= 1
