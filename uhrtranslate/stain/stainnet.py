"""StainNet (Kang et al., 2021): a network of 1 x 1 convolutions, which is a map of colours.

Three layers of 32 channels: 1,283 weights. Checkpoints of the authors load as they are (keys
`rgb_trans.0.weight`, ...); a small one can be distilled from any other method.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from uhrtranslate.errors import CheckpointError
from uhrtranslate.stain.base import Colours, rounded

CHANNELS = 32
# Training of a distilled network: colours per step, steps, and the learning rate at first.
BATCH, STEPS, RATE = 4096, 2000, 1e-2


class StainNet(nn.Module):
    """Colours in and out as [n, 3, h, w] in -1..1.

    Args:
        channels: of the hidden layers.
        layers: convolutions, at least 2.
    """

    def __init__(self, channels: int = CHANNELS, layers: int = 3) -> None:
        super().__init__()
        widths = [3, *[channels] * (layers - 1), 3]
        parts: list[nn.Module] = []
        for number in range(layers):
            if number:
                parts.append(nn.ReLU())
            parts.append(nn.Conv2d(widths[number], widths[number + 1], 1))
        self.rgb_trans = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y: Tensor = self.rgb_trans(x)
        return y

    @torch.inference_mode()
    def transform(self, colours: Colours) -> Colours:
        """Map colours, [n, 3] uint8."""
        x = torch.from_numpy(colours.astype(np.float32) / 127.5 - 1).T[None, :, :, None]
        y = self(x)[0, :, :, 0].T.numpy()
        return rounded((y + 1) * 127.5)


def stainnet_from(state: Mapping[str, Tensor]) -> StainNet:
    """A network with weights in the authors' layout.

    Raises:
        CheckpointError: the weights are of no StainNet; the text has no file name in it.
    """
    weights = [value for name, value in state.items() if name.endswith(".weight")]
    if not weights or any(w.ndim != 4 or w.shape[2:] != (1, 1) for w in weights):
        raise CheckpointError("is no StainNet: its layers are no 1 x 1 convolutions")
    network = StainNet(weights[0].shape[0], len(weights))
    try:
        network.load_state_dict(dict(state))
    except RuntimeError as error:
        raise CheckpointError("is no StainNet: its layers have other names or sizes") from error
    return network.eval()


def distil(colours: Colours, goals: Colours, seed: int = 0, steps: int = STEPS) -> StainNet:
    """A network that maps colours as another method does.

    Args:
        colours, goals: before and after, [n, 3] uint8; colours that a slide does not have are best
            among them too, so that the network knows what to do with them.
        seed: of weights and batches.
        steps: of training.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = StainNet()
    x, y = (torch.from_numpy(c.astype(np.float32) / 127.5 - 1) for c in (colours, goals))
    optimiser = torch.optim.Adam(network.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        some = torch.randint(len(x), (min(BATCH, len(x)),), generator=generator)
        found = network(x[some].T[None, :, :, None])[0, :, :, 0].T
        loss = (found - y[some]).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()
