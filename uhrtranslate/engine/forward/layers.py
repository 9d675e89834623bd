"""Norm layers that are controlled from outside, and how they replace those of a generator.

`replace_norms` swaps every layer of any module whose statistics depend on the pixels that it sees
for a `SwitchedNorm2d`: instance norms, group norms, and batch norms without running statistics.
All of them share one `NormSwitch`, which determines what they do at the moment: plain normalization
(as trained), recording statistics, or applying fields. Layers are identified by the order of their
calls in a forward, so a layer that is used twice has two tables.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uhrtranslate.engine.forward.actions import Action, plain_instance_norm


class NormSwitch:
    """Determines what all replaced norm layers of a module do, and counts their calls."""

    def __init__(self) -> None:
        self.layers = 0
        self._action: Action = plain_instance_norm
        self._calls = 0

    def normalize(self, x: Tensor, eps: float, share: int = 1) -> Tensor:
        """Perform the current action; called by the layers."""
        call, self._calls = self._calls, self._calls + 1
        # The device that only computes shapes ("meta") has no autocast.
        with torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False):
            return self._action(call, x, eps, share)

    @property
    def calls(self) -> int:
        """How many norm layers have been called since the forward began."""
        return self._calls

    def begin(self, action: Action, call: int = 0) -> None:
        """Perform `action` from now on, as at the beginning of a forward or before a later call."""
        self._action, self._calls = action, call

    @contextmanager
    def doing(self, action: Action, call: int = 0) -> Iterator[None]:
        """Perform `action` within the block; see `begin`.

        Blocks may be nested: a forward inside a norm layer of another one keeps its count intact.
        """
        previous = self._action, self._calls
        self.begin(action, call)
        try:
            yield
        finally:
            self._action, self._calls = previous


class SwitchedNorm2d(nn.Module):
    """A norm layer that does what its switch says.

    By default it normalizes its input as in training, with the statistics of each sample's channels
    or groups of channels. Running statistics of the replaced layer are not used.

    Args:
        original: an instance norm, a group norm, or a batch norm. That becomes an instance norm,
            since batches here are of unrelated tiles.
        switch: controls the layer.
    """

    def __init__(self, original: nn.Module, switch: NormSwitch) -> None:
        super().__init__()
        layer: Any = original
        self.eps: float = layer.eps
        self.share = 1
        if isinstance(layer, nn.GroupNorm):
            self.share = layer.num_channels // layer.num_groups
        self.weight: nn.Parameter | None = layer.weight if layer.affine else None
        self.bias: nn.Parameter | None = layer.bias if layer.affine else None
        # Not a module: the switch is shared and holds no weights.
        self.switch = switch

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] -> the same, normalized, then affine.

        Group norms may see sequences too, [n, c, length]. These have no places in the image, so
        they are normalized as in training whatever the switch says.
        """
        if x.ndim != 4:
            return F.group_norm(x, x.shape[1] // self.share, self.weight, self.bias, self.eps)
        y = self.switch.normalize(x, self.eps, self.share)
        if self.weight is not None:
            y = y * self.weight[:, None, None].to(y.dtype)
        if self.bias is not None:
            y = y + self.bias[:, None, None].to(y.dtype)
        return y


def norm_kind(layer: nn.Module) -> tuple[str, bool] | None:
    """The kind of a norm layer, and whether `replace_norms` replaces it; None for other layers.

    A batch norm is replaced if it uses the statistics of its input: because it has no running ones,
    or because it is in training mode. Layer norms of single positions depend on no other pixel.
    """
    if isinstance(layer, nn.InstanceNorm2d):
        return "instance", True
    if isinstance(layer, nn.GroupNorm):
        return "group", True
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        own = layer.training or layer.running_mean is None
        flat = isinstance(layer, nn.BatchNorm2d | nn.SyncBatchNorm)
        return ("batch statistics", flat) if own else ("batch", False)
    for kind, base in _KEPT.items():
        if isinstance(layer, base):
            return kind, False
    return None


_KEPT = {"instance": nn.modules.instancenorm._InstanceNorm, "layer": nn.LayerNorm}


def forget_running_statistics(module: nn.Module) -> int:
    """Make all batch norms use the statistics of their input, in place; how many did not."""
    changed = 0
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.running_mean is not None:
            layer.track_running_stats = False
            layer.running_mean = layer.running_var = layer.num_batches_tracked = None
            changed += 1
    return changed


def replace_norms(module: nn.Module) -> NormSwitch:
    """Swap every norm layer that sees its neighbourhood inside a module, in place.

    These are instance norms, group norms, and batch norms that use the statistics of their input
    (see `norm_kind`). Layers may be nested, affine or not. A layer that is used in several places
    stays shared. By default the module computes the same as before for each sample of a batch
    (instance norms with running statistics: the same as in training).

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
            kind = norm_kind(child)
            if kind is not None and kind[1]:
                if id(child) not in found:
                    found[id(child)] = SwitchedNorm2d(child, switch)
                setattr(parent, name, found[id(child)])
    switch.layers = len(replaced) + len(found)
    return switch
