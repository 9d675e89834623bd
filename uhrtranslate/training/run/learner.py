"""A method and its state while it learns: optimisers, loss scaling, the mean of the weights."""

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from uhrtranslate.tables import TRAINING_METHODS
from uhrtranslate.training.methods.base import Method, Phase, Samples, Stage
from uhrtranslate.training.options import RunOptions
from uhrtranslate.training.run.parallel import Workgroup

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Learner:
    """Makes the steps of a method.

    Attributes:
        stages: of the method, see `Stage`.
        rate: the highest learning rate of the last step.

    Args:
        options: of the training.
        device: where it runs.
        group: the processes that train together.

    Raises:
        CheckpointError: weights that the method needs cannot be read.
    """

    def __init__(
        self, options: RunOptions, device: torch.device, group: Workgroup | None = None
    ) -> None:
        self.options, self.device = options, device
        self.group = group or Workgroup()
        torch.manual_seed(options.seed)
        self.method: Method = TRAINING_METHODS[options.method](options)
        self.networks = self.method.networks.to(device).train()
        self.method.fixed.to(device).eval().requires_grad_(False)
        self.group.share_weights(self.networks)
        torch.manual_seed(options.seed + self.group.rank)  # its own dropout and places
        self.stages = self.method.stages()
        self.rate = 0.0
        self.optimisers = self.method.optimisers()
        self._rates = {  # initial learning rates, which schedules multiply
            name: [settings["lr"] for settings in optimiser.param_groups]
            for name, optimiser in self.optimisers.items()
        }
        self._scaler = torch.amp.GradScaler(device.type, enabled=options.precision == "fp16")
        self._mean = None
        if options.ema is not None:
            exported = self.method.exported.values()
            self._mean = nn.ModuleDict({n: copy.deepcopy(self.networks[n]) for n in exported})

    def step(self, samples: Samples, epoch: int) -> list[Phase]:
        """Learn from one batch, without waiting for the device.

        Args:
            samples: patches by domain, [n, 3, h, w] float32 in -1..1.
            epoch: of the training, from 0.

        Returns: the losses, detached and unchecked: they may be infinite or NaN.
        """
        stage, epoch = self.stage(epoch)
        samples = {name: x.to(self.device) for name, x in samples.items()}
        dtype = DTYPES[self.options.precision]
        done: list[Phase] = []
        phases = iter(stage.step(samples))
        while True:
            with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
                phase = next(phases, None)
            if phase is None:
                break
            self._learn(phase, stage.rate(phase.group, epoch))
            parts = {name: part.detach() for name, part in phase.parts.items()}
            done.append(replace(phase, loss=phase.loss.detach(), parts=parts))
        moved = [group for p in done for group in self.optimisers[p.group].param_groups]
        self.rate = max(group["lr"] for group in moved)
        self._scaler.update()
        self._follow()
        return done

    def stage(self, epoch: int) -> tuple[Stage, int]:
        """The stage that an epoch of the training belongs to, and its number in that stage."""
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage, epoch
            epoch -= stage.epochs
        raise IndexError("the training has fewer epochs")

    @torch.no_grad()
    def pictures(self, samples: Samples) -> list[Tensor]:
        """The method's rows for the picture that shows progress."""
        on_device = {name: x.to(self.device) for name, x in samples.items()}
        exports = {name: network.eval() for name, network in self.exports().items()}
        rows = self.method.pictures(exports, on_device)
        for network in exports.values():
            network.train()
        return rows

    def exports(self) -> dict[str, nn.Module]:
        """The networks to export, by file name; with `ema`, their mean over time; not copied."""
        networks = self._mean if self._mean is not None else self.networks
        return {file: networks[name] for file, name in self.method.exported.items()}

    def state(self) -> dict[str, Any]:
        """What is needed to resume with the same bits: tensors and numbers in dicts and lists."""
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
        """Restore what `state` returned."""
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
        sound = [torch.isfinite(p).all() for p in self.networks.parameters()]
        return bool(torch.stack(sound).all())

    def _learn(self, phase: Phase, factor: float) -> None:
        optimiser = self.optimisers[phase.group]
        for settings, rate in zip(optimiser.param_groups, self._rates[phase.group], strict=True):
            settings["lr"] = rate * factor
        parameters = [p for settings in optimiser.param_groups for p in settings["params"]]
        optimiser.zero_grad(set_to_none=True)
        self._scaler.scale(phase.loss).backward()  # type: ignore[no-untyped-call]
        self.group.average_gradients(parameters)
        if self.options.clip is not None:
            self._scaler.unscale_(optimiser)
            nn.utils.clip_grad_norm_(parameters, self.options.clip)
        self._scaler.step(optimiser)

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the mean of the exported networks' weights towards them."""
        if self._mean is None or self.options.ema is None:
            return
        for name, network in self._mean.items():
            newest = self.networks[name].state_dict()
            for key, tensor in network.state_dict().items():
                if tensor.is_floating_point():
                    tensor.lerp_(newest[key], 1 - self.options.ema)
                else:
                    tensor.copy_(newest[key])
