"""What a method is: facts, networks, optimisers, and steps that say who learns from which loss."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from uhrtranslate.enhance import Tally, are_matched
from uhrtranslate.models import GeneratorInfo, save_native
from uhrtranslate.models.checkpoint import info_of
from uhrtranslate.training.data.drawn import Drawn
from uhrtranslate.training.data.patches import Patches, open_patches
from uhrtranslate.training.networks.plane_maker import PlaneMaker
from uhrtranslate.training.options import GeneratorOptions, RunOptions, TrainOptions

Samples = dict[str, Tensor]
"""One batch: patches by domain (A, B), [n, 3, h, w] float32 in -1..1; and `planes`, what the
generator takes of A, [n, c, h, w], if it is not A itself. Methods that train no generators have
samples of their own.
"""


@dataclass(frozen=True)
class Phase:
    """A loss, and who learns from it.

    Attributes:
        group: name of the optimiser that lowers it.
        loss: scalar with gradient.
        parts: its unweighted parts by name, for the log.
    """

    group: str
    loss: Tensor
    parts: dict[str, Tensor]


@dataclass(frozen=True)
class Stage:
    """A number of epochs with the same kind of step; stages run one after the other.

    Attributes:
        epochs: how many.
        step: the losses of one step, see `Method.step`.
        rate: takes a group and an epoch of this stage, from 0; returns what the group's learning
            rates are multiplied by.
        name: shown with the progress; empty if a method has only one stage.
    """

    epochs: int
    step: Callable[[Samples], Iterator[Phase]]
    rate: Callable[[str, int], float]
    name: str = ""


class Method:
    """One way to train; the constructor makes the networks.

    Attributes:
        options_class: what a user can choose, with the paper's defaults.
        paired: whether it needs pairs of patches that show the same place.
        networks: all networks that learn, by name; checkpoints hold them.
        fixed: networks that only help and never learn, by name; checkpoints leave them out.
        groups: names of the networks that one optimiser moves, by group.
        exported: names of the networks that are exported, by the name of their file (of
            generators, their direction: A2B, B2A).
    """

    options_class: ClassVar[type[RunOptions]]
    paired: ClassVar[bool] = False
    options: RunOptions
    exported: dict[str, str]
    groups: dict[str, tuple[str, ...]]
    networks: nn.ModuleDict

    def __init__(self, options: RunOptions) -> None:
        self.options = options
        self.fixed = nn.ModuleDict()

    @classmethod
    def open_patches(cls, options: Any, drawn: Drawn | None = None) -> Patches:
        """Find and check all images of a training.

        Args:
            options: of `options_class`.
            drawn: slides of a table of pairs of slides, if the data are one.

        Raises:
            InputError: an image cannot be read, is too small, has no tissue, or has no partner.
            OptionError: an image has no such level or mpp.
        """
        raise NotImplementedError

    def save(self, path: Path, name: str, network: nn.Module, mpp: float | None) -> None:
        """Write a network with all that is needed to use it.

        Args:
            path: of the file, in a folder that exists.
            name: in `exported`.
            network: it, or the mean of its weights over time.
            mpp: of the training patches.

        Raises:
            OutputError: it cannot be written.
        """
        raise NotImplementedError

    def know(self, histograms: dict[str, Tally]) -> None:
        """Take in the pooled histograms of the domains, if there are any."""

    def step(self, samples: Samples) -> Iterator[Phase]:
        """Yield the losses of one step, one after the other.

        Before this generator function goes on after a `yield`, the optimiser of that phase has
        moved its weights.
        """
        raise NotImplementedError

    def stages(self) -> list[Stage]:
        """What is done in which epochs: by default, `step` in all of them, at a falling rate."""
        constant, decay = self.options.epochs, self.options.decay
        return [Stage(constant + decay, self.step, lambda _, n: falling_rate(n, constant, decay))]

    def optimisers(self) -> dict[str, Optimizer]:
        """An optimiser for each group, with the rates of the start: Adam by default."""
        lr, betas = self.options.lr, self.options.betas
        return {
            group: Adam([p for name in names for p in self.networks[name].parameters()], lr, betas)
            for group, names in self.groups.items()
        }

    def pictures(self, exports: dict[str, nn.Module], samples: Samples) -> list[Tensor]:
        """Rows of the picture that shows progress.

        Args:
            exports: the networks that would be exported now, by file name, in eval mode.
            samples: the same ones each time.

        Returns: [n, 3, h, w] in -1..1 each.
        """
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """What the method remembers besides weights: tensors in lists and dicts."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""


class GeneratorMethod(Method):
    """One way to train generators, which `uhrt translate` runs."""

    options_class: ClassVar[type[TrainOptions]]
    options: TrainOptions

    def __init__(self, options: TrainOptions) -> None:
        super().__init__(options)
        self.exported = {"A2B": "A2B"}
        self._histograms: dict[str, Tally] = {}

    @classmethod
    def open_patches(cls, options: TrainOptions, drawn: Drawn | None = None) -> Patches:
        """See `Method`."""
        inputs = options.generator.inputs
        return open_patches(
            options.data, cls.paired, options.seed, inputs, options.one_domain, drawn
        )

    def save(self, path: Path, name: str, network: nn.Module, mpp: float | None) -> None:
        """See `Method`."""
        save_native(path, network, self.facts(name, mpp))

    def facts(self, direction: str, mpp: float | None) -> GeneratorInfo:
        """The facts of an exported generator, with the histogram that its planes are matched to."""
        info = self.generator_info(direction, mpp)
        if not are_matched(info.inputs):
            return info
        counts = self._histograms["B"].narrowed().counts
        return replace(info, histogram=tuple(counts.tolist()))

    def know(self, histograms: dict[str, Tally]) -> None:
        """Take in the pooled histograms of the domains, for networks that make planes."""
        self._histograms = histograms
        for network in self.fixed.values():
            if isinstance(network, PlaneMaker):
                network.fit(histograms)

    def pictures(self, exports: dict[str, nn.Module], samples: Samples) -> list[Tensor]:
        """Patches, then what generators make of them; the last row is the goal of pairs."""
        rows = []
        for domain, direction in (("A", "A2B"), ("B", "B2A")):
            if domain == "A" or direction in exports or self.paired:
                rows.append(samples[domain])
            if direction in exports:
                taken = source_of(samples) if domain == "A" else samples[domain]
                rows.append(exports[direction](taken))
        return rows

    def generator_info(self, direction: str, mpp: float | None) -> GeneratorInfo:
        """The facts of an exported generator that `uhrt translate` needs.

        Args:
            direction: A2B or B2A.
            mpp: of the training patches.
        """
        generator = self.options.generator
        network = generator if direction == "A2B" else generator.backwards
        return generator_facts(self.options, network, direction, mpp)


def generator_facts(
    options: TrainOptions, network: GeneratorOptions, direction: str, mpp: float | None
) -> GeneratorInfo:
    """The facts of a network; see `GeneratorMethod.generator_info`."""
    return replace(
        info_of(network.family, network.arguments()),
        inputs=network.inputs,
        cell=options.data.patch,
        mpp=mpp,
        domains=options.domains if direction == "A2B" else options.domains[::-1],
        description=options.description or f"Trained with {options.method} by uhrt train.",
    )


def source_of(samples: Samples) -> Tensor:
    """What the generator takes of the source patches, [n, c, h, w] in -1..1."""
    return samples.get("planes", samples["A"])


def falling_rate(epoch: int, constant: int, decay: int) -> float:
    """The usual schedule of learning rates: 1 at first, then falling linearly towards zero.

    Args:
        epoch: from 0.
        constant, decay: epochs at the full rate, and falling.
    """
    return 1 - max(0, epoch + 1 - constant) / (decay + 1)
