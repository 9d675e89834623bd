"""A generator's twin of native layers, in which neighbouring layers are joined to single passes."""

import copy
import logging
import operator
from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from uhrtranslate.engine.native.doubling import DoubledConv2d, doubles, follows
from uhrtranslate.engine.native.layers import (
    NativeBlurDown,
    NativeConv2d,
    NativeNorm2d,
    NativePad2d,
    NativeSwitch,
    native,
)
from uhrtranslate.models.resnet import BlurUp

_log = logging.getLogger(__name__)
_RELUS = (F.relu, F.relu_, torch.relu, torch.relu_)
_SUMS = (operator.add, operator.iadd, torch.add)
# Layers that do nothing in a forward that does not train.
_IDLE = (nn.Dropout, nn.Dropout2d, nn.Identity)
# Layers whose result nobody else has.
_FRESH = (nn.Conv2d, nn.ConvTranspose2d, NativeConv2d, DoubledConv2d)


def twin_of(module: nn.Module, switch: NativeSwitch, known: bool) -> nn.Module:
    """The same function of the same weights by native layers.

    Args:
        module: with its norm layers replaced (`forward.layers.replace_norms`); not changed.
        switch: controls the twin's norm layers.
        known: whether the module is one of ours. Others' layers are exchanged, but not joined, as
            nobody knows what their forwards do between them.
    """
    twin = exchanged(module, lambda layer: native(layer, switch))
    graph = traced(twin) if known else None
    return twin if graph is None else _joined(twin, graph)


def exchanged(module: nn.Module, other: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
    """A copy with the same weights and other layers.

    Args:
        module: not changed.
        other: the layer in place of one; None leaves it. Layers that are used in several places
            stay shared.
    """
    common = chain(module.parameters(), module.buffers())
    twin = copy.deepcopy(module, {id(part): part for part in common})
    made: dict[int, nn.Module] = {}
    for parent in list(twin.modules()):
        for name, child in list(parent.named_children()):
            layer = made.get(id(child)) or other(child)
            if layer is not None:
                made[id(child)] = layer
                setattr(parent, name, layer)
    return twin


def traced(twin: nn.Module) -> fx.Graph | None:
    """The order of a twin's layers, without those that do nothing; None: nobody can tell."""
    try:
        graph = _Tracer().trace(twin)
    except Exception as error:  # a forward that depends on values or sizes
        _log.debug("layers are not joined: %s", error)
        return None
    layers = dict(twin.named_modules())
    for node in list(graph.nodes):
        if isinstance(layer_of(layers, node), _IDLE):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    return graph


def _joined(twin: nn.Module, graph: fx.Graph) -> nn.Module:
    layers = dict(twin.named_modules())
    for node in list(graph.nodes):
        _join_doubling(graph, twin, layers, node)
    order = {node: i for i, node in enumerate(graph.nodes)}
    taken: dict[NativeConv2d, int] = {}
    for node in list(graph.nodes):
        layer = layer_of(layers, node)
        if isinstance(layer, NativeNorm2d):
            join_norm(graph, layers, node, order)
        elif isinstance(layer, NativeConv2d):
            taken[layer] = taken.get(layer, 0) + 1
            _join_pad(graph, layers, node, layer, taken[layer])
    return fx.GraphModule(twin, graph)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        own = NativeNorm2d | NativeConv2d | NativePad2d | NativeBlurDown | BlurUp
        return isinstance(m, own) or super().is_leaf_module(m, module_qualified_name)


def _join_doubling(
    graph: fx.Graph, twin: nn.Module, layers: dict[str, nn.Module], node: fx.Node
) -> None:
    """Let a convolution double its input itself, if its source does that and nothing else."""
    conv: Any = layer_of(layers, node)
    if not follows(conv) or sum(other.target == node.target for other in graph.nodes) > 1:
        return
    steps: list[Any] = [node.args[0]]
    up: Any = layer_of(layers, steps[0])
    if doubles(up):
        steps.append(steps[0].args[0])
        pad = layer_of(layers, steps[1])
        ring = isinstance(pad, NativePad2d) and (pad.pads, pad.mode) == ((1,) * 4, "replicate")
    else:
        ring = isinstance(up, BlurUp)  # which replicates by itself
    if ring and all(_only_user(step) for step in steps):
        layer = DoubledConv2d(up, conv)
        parent, _, name = str(node.target).rpartition(".")
        setattr(twin.get_submodule(parent), name, layer)
        layers[str(node.target)] = layer
        node.args = (steps[-1].args[0],)
        for step in steps:
            graph.erase_node(step)


def join_norm(
    graph: fx.Graph, layers: dict[str, nn.Module], node: fx.Node, order: dict[fx.Node, int]
) -> None:
    """Let a norm layer do what its only user does, and write where its input was."""
    how: dict[str, Any] = {}
    source: Any = node.args[0]
    before = layer_of(layers, source)
    if isinstance(before, _FRESH) and len(source.users) == 1:
        how["own"] = True
    after = _only_user(node)
    slope = None if after is None else _slope(layers, after)
    if after is not None and slope is not None:
        how["slope"] = slope
        after.replace_all_uses_with(node)
        graph.erase_node(after)
        after = _only_user(node)
    if after is not None and after.op == "call_function" and after.target in _SUMS:
        others: list[Any] = [part for part in after.args if part is not node]
        earlier = len(others) == 1 and isinstance(others[0], fx.Node)
        if earlier and not after.kwargs and order[others[0]] < order[node]:
            how["added"] = others[0]
            after.replace_all_uses_with(node)
            graph.erase_node(after)
    node.kwargs = how


def layer_of(layers: dict[str, nn.Module], node: Any) -> nn.Module | None:
    """The layer that a node calls."""
    calls = isinstance(node, fx.Node) and node.op == "call_module"
    return layers.get(str(node.target)) if calls else None


def _only_user(node: fx.Node) -> fx.Node | None:
    users = list(node.users)
    return users[0] if len(users) == 1 else None


def _slope(layers: dict[str, nn.Module], node: fx.Node) -> float | None:
    """The slope of negative values, if a node is an activation that the kernels know."""
    if node.op == "call_function" and node.target in _RELUS:
        return 0.0
    layer = layer_of(layers, node)
    if isinstance(layer, nn.ReLU):
        return 0.0
    return float(layer.negative_slope) if isinstance(layer, nn.LeakyReLU) else None


def _join_pad(
    graph: fx.Graph,
    layers: dict[str, nn.Module],
    node: fx.Node,
    layer: NativeConv2d,
    uses: int,
) -> None:
    """Let a convolution pad its input itself, if it is used once and does not pad yet."""
    source: Any = node.args[0]
    pad = layer_of(layers, source)
    if isinstance(pad, NativePad2d) and uses == 1 and not any(layer.pads):
        if len(source.users) > 1:
            return
        layer.take(pad)
        node.args = (source.args[0],)
        graph.erase_node(source)
