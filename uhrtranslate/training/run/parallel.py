"""Training on several devices under torchrun: samples are shared, gradients are averaged."""

import atexit
import functools
import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Workgroup:
    """The processes that train together.

    Attributes:
        rank: of this process; 0 writes files.
        size: how many there are.
        local: of this process on its machine, and so the number of its device.
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports progress."""
        return self.rank == 0

    def share_weights(self, networks: nn.Module) -> None:
        """Give all processes the first one's weights and running statistics."""
        if self.size > 1:
            for tensor in networks.state_dict().values():
                dist.broadcast(tensor, 0)

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace gradients by their mean over all processes."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= self.size

    def any(self, flag: bool) -> bool:
        """Whether the flag is true in any process; without waiting for the devices."""
        if self.size == 1:
            return flag
        flags = torch.tensor([int(flag)])
        dist.all_reduce(flags, dist.ReduceOp.MAX, _on_the_cpu())
        return bool(flags.item())

    def wait(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            dist.barrier()


def join_workgroup() -> Workgroup:
    """The group of processes that torchrun has started; without torchrun, this process alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Workgroup()
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        _on_the_cpu()  # all processes make it at the same point
        # Its threads may still run when Python ends, which then aborts now and then.
        atexit.register(_part)
    return Workgroup(dist.get_rank(), size, int(os.environ.get("LOCAL_RANK", "0")))


def _part() -> None:
    _on_the_cpu.cache_clear()
    dist.destroy_process_group()


@functools.cache
def _on_the_cpu() -> dist.ProcessGroup | None:
    """All processes once more, for small messages that no device has to be waited for."""
    group: dist.ProcessGroup | None = dist.new_group(backend="gloo")
    return group
