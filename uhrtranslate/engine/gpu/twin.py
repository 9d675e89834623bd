"""A generator's twin for a GPU: norm layers do what follows them, the next padding included.

A bias before a norm layer is added there, and a map that is padded is written padded, so that
between two convolutions features are read twice and written once.
"""

from collections import Counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from uhrtranslate.engine.forward.layers import SwitchedNorm2d
from uhrtranslate.engine.gpu import operations
from uhrtranslate.engine.gpu.layers import (
    CONVOLUTIONS,
    BiasedConvolution,
    GpuKernels,
    GpuNorm2d,
    Pads,
    ThinConv2d,
    inside,
    is_thin,
    without,
)
from uhrtranslate.engine.native.layers import PADS, NativeSwitch
from uhrtranslate.engine.native.twin import exchanged, join_norm, layer_of, traced
from uhrtranslate.models.resnet import BlurUp


def twin_of(
    module: nn.Module,
    switch: NativeSwitch,
    known: bool,
    kernels: GpuKernels = operations,
) -> nn.Module:
    """The same function of the same weights, whose norm layers are kernels.

    Args:
        module: with its norm layers replaced (`forward.layers.replace_norms`). Its weights stay
            the same, but get their channels last, which cuDNN likes.
        switch: controls the twin's norm layers.
        known: whether the module is one of ours. Others' layers are exchanged, but not joined, as
            nobody knows what their forwards do between them.
        kernels: that layers call.
    """
    anything: Any = module
    anything.to(memory_format=torch.channels_last)
    twin = exchanged(module, lambda layer: _faster(layer, switch))
    graph = traced(twin) if known else None
    return twin if graph is None else _joined(twin, graph, kernels)


def _faster(layer: nn.Module, switch: NativeSwitch) -> nn.Module | None:
    """The layer that does the same and is faster, if there is one."""
    if isinstance(layer, SwitchedNorm2d):
        return GpuNorm2d(layer, switch)
    if isinstance(layer, BlurUp) and layer.is_bilinear:
        # cuDNN's transposed convolution of single channels takes ten times as long.
        return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    return None


def _joined(twin: nn.Module, graph: fx.Graph, kernels: GpuKernels) -> nn.Module:
    layers = dict(twin.named_modules())
    joining = _Joining(twin, graph, layers)
    for node in list(graph.nodes):
        joining.pad_before(node)
    order = {node: i for i, node in enumerate(graph.nodes)}
    norms = [node for node in graph.nodes if isinstance(layer_of(layers, node), GpuNorm2d)]
    for node in norms:
        join_norm(graph, layers, node, order)
        joining.bias(node)
    for node in norms:
        joining.padding(node)
    for node in list(graph.nodes):
        joining.convolution(node, kernels)
    return fx.GraphModule(twin, graph)


class _Joining:
    """Changes a graph and its layers.

    Args:
        twin: gets new layers.
        graph: changed in place.
        layers: of the twin, by name; new ones are added.
    """

    def __init__(self, twin: nn.Module, graph: fx.Graph, layers: dict[str, nn.Module]) -> None:
        self._twin, self._graph, self._layers = twin, graph, layers
        self._uses = Counter(str(node.target) for node in graph.nodes if node.op == "call_module")

    def pad_before(self, node: fx.Node) -> None:
        """Let what is before a convolution pad, if it does not pad by zeros."""
        layer = layer_of(self._layers, node)
        if type(layer) is not nn.Conv2d or layer.padding_mode not in ("reflect", "replicate"):
            return
        above, beside = (int(side) for side in layer.padding)
        self._exchange(node, without(layer, padding=True))
        pads = (beside, beside, above, above)
        with self._graph.inserting_before(node):
            padded = self._graph.call_function(F.pad, (node.args[0], pads, layer.padding_mode))
        node.args = (padded,)

    def bias(self, node: fx.Node) -> None:
        """Let a norm layer add the bias of the convolution before it."""
        norm, source = layer_of(self._layers, node), node.args[0]
        assert isinstance(source, fx.Node)
        before = layer_of(self._layers, source)
        if type(before) not in CONVOLUTIONS or len(source.users) > 1:
            return
        if self._uses[str(source.target)] > 1 or self._uses[str(node.target)] > 1:
            return
        if not isinstance(norm, GpuNorm2d) or not isinstance(before, CONVOLUTIONS):
            return
        if before.bias is not None:
            norm.shift = before.bias
            self._exchange(source, without(before, bias=True))

    def padding(self, node: fx.Node) -> None:
        """Let a norm layer pad its result as one of its users would."""
        found = [(user, how) for user in node.users if (how := self._pads(user)) is not None]
        if not found:
            return
        pads, mode = found[0][1]
        node.kwargs = {**node.kwargs, "pads": pads, "mode": mode}
        others = [user for user in node.users if (user, (pads, mode)) not in found]
        if others:
            with self._graph.inserting_after(node):
                part = self._graph.call_function(inside, (node, pads))
            for user in others:
                user.replace_input_with(node, part)
        for user, how in found:
            if how == (pads, mode):
                user.replace_all_uses_with(node)
                self._graph.erase_node(user)

    def convolution(self, node: fx.Node, kernels: GpuKernels) -> None:
        """Compute a convolution of few channels by rows, and add the bias of others by a kernel."""
        layer = layer_of(self._layers, node)
        if type(layer) not in CONVOLUTIONS or not isinstance(layer, CONVOLUTIONS):
            return
        if isinstance(layer, nn.Conv2d) and is_thin(layer):
            self._exchange(node, ThinConv2d(layer, kernels))
        elif layer.bias is not None:
            self._exchange(node, BiasedConvolution(layer, kernels))

    def _pads(self, node: fx.Node) -> tuple[Pads, str] | None:
        """How a node pads its input, if the kernels can."""
        layer = layer_of(self._layers, node)
        if type(layer) in PADS:
            kind: Any = layer
            pads, mode = tuple(kind.padding), PADS[type(kind)]
        elif node.op == "call_function" and node.target is F.pad:
            given: Any = node.args
            named = dict(zip(("input", "pad", "mode"), given, strict=False)) | node.kwargs
            pads, mode = tuple(named["pad"]), named.get("mode", "constant")
            if mode == "constant" and not named.get("value"):
                mode = "zeros"
        else:
            return None
        fits = len(pads) == 4 and min(pads) >= 0 and mode in PADS.values()
        return (pads, mode) if fits and (node.args[0] is not None) else None

    def _exchange(self, node: fx.Node, layer: nn.Module) -> None:
        name = f"{str(node.target).replace('.', '_')}_{len(self._layers)}"
        self._twin.add_module(name, layer)
        self._layers[name] = layer
        node.target = name
        self._uses[name] += 1
