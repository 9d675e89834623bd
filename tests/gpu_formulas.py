"""What the kernels for GPUs compute, in torch: their reference, and their place without a GPU."""

import sys
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from uhrtranslate.engine import GpuRunner
from uhrtranslate.engine.gpu.twin import twin_of
from uhrtranslate.engine.native.operations import Finish


def mean_and_variance(x: Tensor, unbiased: bool) -> tuple[Tensor, Tensor]:
    var, mean = torch.var_mean(x.double(), (2, 3), correction=int(unbiased))
    return mean.float(), var.float()


def normalize(x: Tensor, mean: Tensor, std: Tensor, finish: Finish, out: Tensor) -> Tensor:
    y = (_shifted(x, finish) - mean[..., None, None]) / std[..., None, None]
    return out.copy_(_finished(y, finish))


def apply_fields(x, fields, finish, out):
    y = torch.stack([fields(i).apply(one) for i, one in enumerate(_shifted(x, finish))])
    return out.copy_(_finished(y, finish))


def sum_rows(x, bias, k, high):
    h = x.shape[2] - high + 1
    parts = [x[:, part * k : part * k + k, part : part + h].float() for part in range(high)]
    return sum(parts) + (0 if bias is None else bias[:, None, None])


def _shifted(x: Tensor, finish: Finish) -> Tensor:
    return x.float() if finish.shift is None else x.float() + finish.shift[:, None, None]


def _finished(y: Tensor, finish: Finish) -> Tensor:
    if finish.weight is not None:
        y = y * finish.weight[:, None, None]
    if finish.bias is not None:
        y = y + finish.bias[:, None, None]
    if finish.slope != 1:
        y = F.leaky_relu(y, finish.slope)
    if finish.added is not None:
        y = y + finish.added.float()
    if any(finish.pads):
        y = F.pad(y, finish.pads, "constant" if finish.mode == "zeros" else finish.mode)
    return y


class Once:
    """Instead of graphs, which only GPUs have."""

    def run(self, name, forward, x):
        return forward(x)


class HostRunner(GpuRunner):
    """All of a GPU's runner but the GPU."""

    _graphs = Once()

    def _prepared(self):
        formulas = sys.modules[__name__]
        return formulas, partial(twin_of, kernels=formulas)
