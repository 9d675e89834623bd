import os

# Two threads on a busy two-core machine are many times slower than one; subprocesses inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
# How long an example takes says more of the machine than of the code.
settings.register_profile("uhrt", deadline=None)
settings.load_profile("uhrt")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
