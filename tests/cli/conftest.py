import io
import os
import shutil
import subprocess
import tempfile
from types import SimpleNamespace

import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image
from support import UHRT, small_resnet

from uhrtranslate.models import GeneratorInfo, save_native


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Inputs: a slide, a photo, a sub-folder with another, and a small generator."""
    folder = tmp_path_factory.mktemp("inputs")
    section = np.tile(skimage.data.immunohistochemistry(), (2, 1, 1))[:700]
    tifffile.imwrite(
        folder / "slide.tif",
        section,
        tile=(256, 256),
        photometric="rgb",
        compression="deflate",
        resolution=(2e4, 2e4),
        resolutionunit="CENTIMETER",
    )
    Image.fromarray(skimage.data.coffee()).save(folder / "photo.png")
    (folder / "more").mkdir()
    Image.fromarray(section[:200, :220]).save(folder / "more" / "slide.png")
    save_native(
        folder / "tiny.safetensors",
        small_resnet(ngf=4, n_blocks=1),
        GeneratorInfo("resnet", {"ngf": 4, "n_blocks": 1}, cell=128),
    )
    return folder


@pytest.fixture
def uhrt(folder):
    """Run the program as a user does; paths are relative to the folder of inputs."""

    def run(*arguments, stdin="", **more):
        return subprocess.run(
            [UHRT, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=folder,
            timeout=120,
            env=os.environ | {"COLUMNS": "120", "OMP_NUM_THREADS": "1"},
            **more,
        )

    return run


@pytest.fixture
def uhrt_here(folder, monkeypatch, capfd):
    """The same in this process, through the program's own entry: a process each takes seconds."""
    from uhrtranslate.cli.app import run_program

    def run(*arguments, stdin=""):
        monkeypatch.chdir(folder)
        monkeypatch.setattr("sys.argv", ["uhrt", *map(str, arguments)])
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin) if isinstance(stdin, str) else stdin)
        monkeypatch.setenv("COLUMNS", "120")
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            run_program()
        printed = capfd.readouterr()
        return SimpleNamespace(
            returncode=stop.value.code or 0, stdout=printed.out, stderr=printed.err
        )

    return run


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium that keeps a log of its network and its console."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium and chromedriver: apt-get install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (
            "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
            "disable-background-networking", "disable-component-update", "disable-sync",
            "disable-dev-shm-usage", "window-size=1280,1200", f"user-data-dir={profile}",
        ):  # fmt: skip
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driving = webdriver.Chrome(options=options, service=Service(driver))
        driving.set_page_load_timeout(60)
        yield driving
        driving.quit()
