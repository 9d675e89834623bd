"""A method and all that changes while it learns: optimisers, loss scaling, the weights' mean."""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from uhrtranslate.errors import TrainingError
from uhrtranslate.training.methods import Phase, make_method
from uhrtranslate.training.options import TrainOptions
from uhrtranslate.training.run.parallel import Workgroup

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Learner:
    """Makes steps of a method.

    Args:
        options: of the training.
        device: where it runs.
        group: the processes that train together.

    Raises:
        CheckpointError: weights that the method needs cannot be read.
    """

    def __init__(
        self, options: TrainOptions, device: torch.device, group: Workgroup | None = None
    ) -> None:
        self.options, self.device = options, device
        self.group = group or Workgroup()
        torch.manual_seed(options.seed)
        self.method = make_method(options)
        self.networks = self.method.networks.to(device).train()
        self.group.share_weights(self.networks)
        torch.manual_seed(options.seed + self.group.rank)  # other dropout, other places
        self.optimisers = {
            name: torch.optim.Adam(
                [p for network in networks for p in self.networks[network].parameters()],
                options.lr,
                options.betas,
            )
            for name, networks in self.method.groups.items()
        }
        self._scaler = torch.amp.GradScaler(device.type, enabled=options.precision == "fp16")
        self._mean = None
        if options.ema is not None:
            self._mean = nn.ModuleDict(
                {name: copy.deepcopy(self.networks[name]) for name in self._exported()}
            )

    def step(self, a: Tensor, b: Tensor, factor: float) -> dict[str, float]:
        """Learn from one batch.

        Args:
            a, b: [n, 3, h, w] float32 in -1..1.
            factor: of the learning rate.

        Returns: the parts of the losses.

        Raises:
            TrainingError: a loss is no finite number; the weights of its group are as they were.
        """
        a, b = a.to(self.device), b.to(self.device)
        dtype = DTYPES[self.options.precision]
        parts: dict[str, float] = {}
        phases = iter(self.method.step(a, b))
        while True:
            with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
                phase = next(phases, None)
            if phase is None:
                break
            parts |= _finite(phase)
            self._learn(phase, factor)
        self._scaler.update()
        self._follow()
        return parts

    def generators(self) -> dict[str, nn.Module]:
        """The networks that are exported, by direction; their mean over time if there is one."""
        networks = self._mean if self._mean is not None else self.networks
        return {d: networks[name] for d, name in self.method.generators.items()}

    def state(self) -> dict[str, Any]:
        """All that is needed to go on bit by bit: tensors and numbers in dicts and lists."""
        cuda = self.device.type == "cuda"
        return {
            "networks": self.networks.state_dict(),
            "optimisers": {name: o.state_dict() for name, o in self.optimisers.items()},
            "scaler": self._scaler.state_dict(),
            "mean": None if self._mean is None else self._mean.state_dict(),
            "method": self.method.state(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self.device) if cuda else None,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take `state` back."""
        self.networks.load_state_dict(state["networks"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        self._scaler.load_state_dict(state["scaler"])
        if self._mean is not None:
            self._mean.load_state_dict(state["mean"])
        self.method.load_state(state["method"])
        if self.group.leads:
            torch.set_rng_state(state["random"])
            if state["random_cuda"] is not None and self.device.type == "cuda":
                torch.cuda.set_rng_state(state["random_cuda"], self.device)

    def is_sound(self) -> bool:
        """Whether all weights are finite numbers."""
        return all(bool(torch.isfinite(p).all()) for p in self.networks.parameters())

    def _exported(self) -> list[str]:
        return list(self.method.generators.values())

    def _learn(self, phase: Phase, factor: float) -> None:
        optimiser = self.optimisers[phase.group]
        parameters = optimiser.param_groups[0]["params"]
        for settings in optimiser.param_groups:
            settings["lr"] = self.options.lr * factor
        optimiser.zero_grad(set_to_none=True)
        self._scaler.scale(phase.loss).backward()  # type: ignore[no-untyped-call]
        self.group.average_gradients(parameters)
        if self.options.clip is not None:
            self._scaler.unscale_(optimiser)
            nn.utils.clip_grad_norm_(parameters, self.options.clip)
        self._scaler.step(optimiser)

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the mean of the generators' weights towards them."""
        if self._mean is None or self.options.ema is None:
            return
        for name, network in self._mean.items():
            newest = self.networks[name].state_dict()
            for key, tensor in network.state_dict().items():
                if tensor.is_floating_point():
                    tensor.lerp_(newest[key], 1 - self.options.ema)
                else:
                    tensor.copy_(newest[key])


def rate_factor(epoch: int, constant: int, decay: int) -> float:
    """What the learning rate is multiplied by: 1, then falling linearly towards zero.

    Args:
        epoch: from 0.
        constant, decay: epochs at the full rate, and falling.
    """
    return 1 - max(0, epoch + 1 - constant) / (decay + 1)


def _finite(phase: Phase) -> dict[str, float]:
    """The parts of a loss as numbers.

    Raises:
        TrainingError: one of them, or the loss, is none.
    """
    parts = {name: float(value.detach()) for name, value in phase.parts.items()}
    for name, value in {**parts, "sum": float(phase.loss.detach())}.items():
        if not math.isfinite(value):
            raise TrainingError(f"the loss {name!r} of the {phase.group} is {value}")
    return parts
