"""Small generators of every family, with weights that make the output depend on all of them."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from uhrtranslate.tables import GENERATOR_FAMILIES


@pytest.fixture
def make() -> Callable[..., nn.Module]:
    """Build a small generator whose norms are not the identity; `seed` makes it differ."""

    def build(family: str = "resnet", seed: int = 0, **arguments) -> nn.Module:
        torch.manual_seed(seed)
        if family == "resnet":
            arguments = {"ngf": 2, "n_blocks": 1, **arguments}
        module = GENERATOR_FAMILIES[family].build(**arguments)
        with torch.no_grad():
            for key, tensor in module.state_dict().items():
                if tensor.ndim == 1:
                    tensor.copy_(0.5 + torch.rand_like(tensor))
                if key.endswith("num_batches_tracked"):
                    tensor.fill_(7)
        return module.eval()

    return build
