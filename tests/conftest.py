import os

# Two threads on a busy two-core machine are many times slower than one; subprocesses inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch
from hypothesis import settings
from support import SHARED

torch.set_num_threads(1)
# Whether there is a GPU, which torch finds out once. No process that is started here will see one,
# but for the workers of pytest-xdist, which are told in the second variable what there is.
VISIBLE = os.environ.setdefault(
    "UHRT_TESTS_VISIBLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES", "all")
)
if VISIBLE == "all":
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
else:
    os.environ["CUDA_VISIBLE_DEVICES"] = VISIBLE
GPU = torch.cuda.is_available()
os.environ["CUDA_VISIBLE_DEVICES"] = ""
# How long an example takes says more of the machine than of the code; and every machine tries the
# same examples.
settings.register_profile("uhrt", deadline=None, derandomize=True)
settings.load_profile("uhrt")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _without_gpu():
    """All but the tests of GPUs are the same on every machine, so `auto` finds none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setattr(torch.cuda, "device_count", lambda: 0)
        yield


@pytest.fixture(scope="module")
def with_gpu():
    """For the tests of GPUs."""
    if not GPU:
        pytest.skip("no GPU")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(torch.cuda, "device_count", torch._C._cuda_getDeviceCount)
        if VISIBLE == "all":
            patch.delenv("CUDA_VISIBLE_DEVICES")
        else:
            patch.setenv("CUDA_VISIBLE_DEVICES", VISIBLE)
        yield


@pytest.fixture(scope="session")
def shared():
    """The founders' folder of golden arrays and real slides; a test that asks for it needs it."""
    if not all((SHARED / name).is_dir() for name in ("data", "golden")):
        pytest.skip(f"no {SHARED}: clone beside the founders' shared folder")
    return SHARED


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A folder of images that `server` serves."""
    from served import fill

    served = tmp_path_factory.mktemp("served")
    fill(served)
    return served


@pytest.fixture
def server(served, monkeypatch):
    """A server on this machine, of which reading is tried again at once."""
    from served import serving

    from uhrtranslate.io.files import remote

    monkeypatch.setattr(remote, "PAUSES", (0.01, 0.01))
    with serving(served) as server:
        yield server


def pytest_itemcollected(item):
    """Mark what asks for the shared folder, so that `-m shared` selects exactly these."""
    if "shared" in getattr(item, "fixturenames", ()):
        item.add_marker("shared")
