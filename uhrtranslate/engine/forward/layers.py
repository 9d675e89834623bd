"""Norm layers that are controlled from outside, and how they replace those of a generator.

`replace_norms` swaps every `nn.InstanceNorm2d` of any module for a `SwitchedNorm2d`. All of them
share one `NormSwitch`, which determines what they do at the moment: plain instance normalization
(as trained), recording statistics, or applying fields. Layers are identified by the order of their
calls in a forward, so a layer that is used twice has two tables.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from uhrtranslate.engine.forward.actions import Action, plain_instance_norm


class NormSwitch:
    """Determines what all replaced norm layers of a module do, and counts their calls."""

    def __init__(self) -> None:
        self.layers = 0
        self._action: Action = plain_instance_norm
        self._calls = 0

    def normalize(self, x: Tensor, eps: float) -> Tensor:
        """Perform the current action; called by the layers."""
        call, self._calls = self._calls, self._calls + 1
        # The device that only computes shapes ("meta") has no autocast.
        with torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False):
            return self._action(call, x, eps)

    def begin(self, action: Action) -> None:
        """Perform `action` from now on, as at the beginning of a forward."""
        self._action, self._calls = action, 0

    @contextmanager
    def doing(self, action: Action) -> Iterator[None]:
        """Perform `action` within the block.

        Blocks may be nested: a forward inside a norm layer of another one keeps its count intact.
        """
        previous = self._action, self._calls
        self.begin(action)
        try:
            yield
        finally:
            self._action, self._calls = previous


class SwitchedNorm2d(nn.Module):
    """An instance norm layer that does what its switch says.

    Running statistics of the replaced layer are not used. By default it performs instance
    normalization of its input, as in training.
    """

    def __init__(self, original: nn.InstanceNorm2d, switch: NormSwitch) -> None:
        super().__init__()
        self.eps = original.eps
        self.weight = original.weight if original.affine else None
        self.bias = original.bias if original.affine else None
        # Not a module: the switch is shared and holds no weights.
        self.switch = switch

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] -> the same, normalized, then affine."""
        y = self.switch.normalize(x, self.eps)
        if self.weight is not None and self.bias is not None:
            y = y * self.weight[:, None, None].to(y.dtype) + self.bias[:, None, None].to(y.dtype)
        return y


def replace_norms(module: nn.Module) -> NormSwitch:
    """Swap every `nn.InstanceNorm2d` inside a module, in place.

    Layers may be nested, affine or not, with or without running statistics. A layer that is used in
    several places stays shared. By default the module computes the same as before (with running
    statistics: the same as in training).

    Args:
        module: any module; a second call with the same module returns the same switch.

    Returns:
        The switch that controls the new layers.

    Example:
        >>> import torch
        >>> from uhrtranslate.engine.forward.actions import Recorder
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.InstanceNorm2d(4))
        >>> switch = replace_norms(net)
        >>> recorder = Recorder()
        >>> with switch.doing(recorder):
        ...     y = net(torch.zeros(1, 3, 8, 8))
        >>> recorder.mean[0].shape
        torch.Size([1, 4])
    """
    replaced = [layer for layer in module.modules() if isinstance(layer, SwitchedNorm2d)]
    switch = replaced[0].switch if replaced else NormSwitch()
    found: dict[int, SwitchedNorm2d] = {}
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.InstanceNorm2d):
                if id(child) not in found:
                    found[id(child)] = SwitchedNorm2d(child, switch)
                setattr(parent, name, found[id(child)])
    switch.layers = len(replaced) + len(found)
    return switch
