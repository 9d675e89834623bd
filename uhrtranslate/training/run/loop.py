"""The training loop: batches, steps, and the files that are written between steps."""

import time
from collections import abc
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from uhrtranslate.errors import TrainingError
from uhrtranslate.io.files.disk import write_png
from uhrtranslate.threads import stopping, undivided
from uhrtranslate.training.data.batches import batches
from uhrtranslate.training.data.patches import Patches, Sample
from uhrtranslate.training.run.checkpoint import list_checkpoints, save_checkpoint
from uhrtranslate.training.run.learner import Learner
from uhrtranslate.training.run.log import Log
from uhrtranslate.training.run.sample_grid import draw_samples, sample_grid
from uhrtranslate.training.run.tally import Tally


@dataclass(frozen=True)
class TrainingProgress:
    """The progress of a training.

    Attributes:
        step, steps: how many are done, and how many there are.
        epoch, epochs: the current one, from 1, and how many there are.
        stage: the current one; empty if the method has only one.
        losses: mean of each part since the last report.
        seconds_left: at the pace so far; None at the start.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    stage: str
    losses: dict[str, float]
    seconds_left: float | None


OnProgress = Callable[[TrainingProgress], None]
OnEpoch = Callable[[int], None]


class Training:
    """A training that is ready to run.

    Args:
        learner: takes the steps.
        patches: its samples.
        run: its folder.
        state: to resume from; None at the start.
    """

    def __init__(
        self, learner: Learner, patches: Patches, run: Path, state: dict[str, Any] | None = None
    ) -> None:
        self.learner, self.patches, self.run = learner, patches, run
        if patches.histograms:
            learner.method.know(patches.histograms)
        self.options = learner.options
        share = self.options.batch * learner.group.size
        self.epoch_steps = max(-(-patches.epoch_length() // share), 1)
        self.epochs = sum(stage.epochs for stage in learner.stages)
        self.steps = self.epochs * self.epoch_steps
        self.step = 0
        self._saved: int | None = None  # the step of the newest checkpoint
        self._torn = False
        self._tally = Tally()
        if state is not None:
            self.step = self._saved = state["step"]
            self._tally = Tally(state["tally"])
            learner.load_state(state["learner"])
            if not learner.group.leads:
                torch.manual_seed(self.options.seed + learner.group.rank + 1000 * self.step)

    def go(self, on_progress: OnProgress, on_epoch: OnEpoch) -> dict[str, float]:
        """Run to the end.

        Args:
            on_progress: called at each line of the log.
            on_epoch: called with its number at the end of each epoch.

        Returns: the losses of the last line of the log.

        Raises:
            TrainingError: a loss is infinite or NaN; the last good checkpoint is kept.
            OutputError: something cannot be written.
            InputError: an image can no longer be read.
            KeyboardInterrupt: the program is being stopped. The step in hand was finished, and a
                checkpoint is saved.
        """
        group = self.learner.group
        log = Log(self.run, self.step, self.options.tensorboard) if group.leads else None
        began, first = time.monotonic(), self.step
        losses: dict[str, float] = {}
        try:
            # No signal tears a step, or what belongs to it, apart.
            with undivided():
                fixed = draw_samples(self.patches) if group.leads else None
                with closing(self._batches()) as batches:
                    while samples := self._next(batches):
                        with self._whole():
                            self._learn(samples)
                        pace = (time.monotonic() - began) / (self.step - first)
                        losses = self._report(log, pace, on_progress) or losses
                        self._keep(fixed, log)
                        if self.step % self.epoch_steps == 0 and group.leads:
                            with torch.random.fork_rng():  # its random numbers change nothing
                                on_epoch(self.step // self.epoch_steps)
                if self.step < self.steps:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:  # Ctrl-C, and the signals that the program ends with
            if not self._torn and self._saved != self.step:
                self.save(together=False)
            raise
        except TrainingError as error:
            raise TrainingError(f"{error}{self._last()}") from error
        finally:
            if log is not None:
                log.close()
        return losses

    def _next(self, batches: Iterator[dict[str, Tensor]]) -> dict[str, Tensor] | None:
        """The next batch; None at the end, and for all processes once one of them is stopped."""
        samples = None
        with suppress(KeyboardInterrupt):
            samples = next(batches, None)
        stop = stopping() or (samples is None and self.step < self.steps)
        return None if self.learner.group.any(stop) else samples

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Mark weights as torn where the block is: Python's own Ctrl-C can raise anywhere."""
        self._torn = True
        yield
        self._torn = False

    def _learn(self, samples: dict[str, Tensor]) -> None:
        phases = self.learner.step(samples, self.step // self.epoch_steps)
        self.step += 1
        self._tally.add(self.step, phases)

    def _report(
        self, log: Log | None, pace: float, on_progress: OnProgress
    ) -> dict[str, float] | None:
        """Log the losses where it is time to; they are returned then."""
        at_end = self.step % self.epoch_steps == 0
        to_log = self.step % self.options.log == 0 or self.step == self.steps
        if at_end or to_log or self._is_checkpoint():
            self._tally.read()
        if log is None or not to_log:
            return None
        losses, rate, epoch = self._tally.means(), self.learner.rate, self._epoch()
        log.write({"step": self.step, "epoch": epoch + 1, "lr": rate, **losses})
        place = (self.step, self.steps, epoch + 1, self.epochs)
        stage, _ = self.learner.stage(epoch)
        left = pace * (self.steps - self.step)
        on_progress(TrainingProgress(*place, stage.name, losses, left))
        return losses

    def _keep(self, fixed: dict[str, Tensor] | None, log: Log | None) -> None:
        """Draw the picture of progress and write the checkpoint, where it is time to."""
        epoch = self._epoch() + 1
        at_end = self.step % self.epoch_steps == 0
        if fixed and at_end and epoch % self.options.samples == 0:
            self._show(epoch, fixed, log)
        if self._is_checkpoint():
            self.save()

    def _epoch(self) -> int:
        """That of the last step, from 0."""
        return (self.step - 1) // self.epoch_steps

    def _batches(self) -> abc.Generator[dict[str, Tensor], None, None]:
        """This process's batches for the steps that are left.

        A step's samples are consecutive, the processes' shares one after the other.
        """
        group, size = self.learner.group, self.options.batch

        def sample(number: int) -> Sample:
            step, place = divmod(number, size)
            return self.patches.sample((step * group.size + group.rank) * size + place)

        left, workers = self.steps - self.step, self.options.data.workers
        return batches(sample, self.step * size, left, size, workers)

    def save(self, together: bool = True) -> None:
        """Write a checkpoint, and put its generators into the run's folder.

        Args:
            together: the other processes wait meanwhile, as they are at the same step.

        Raises:
            TrainingError: a weight is infinite or NaN; nothing is written.
            OutputError: it cannot be written.
        """
        if not self.learner.is_sound():
            raise TrainingError(f"step {self.step}: some weights are not finite numbers")
        if self.learner.group.leads:
            state = {
                "step": self.step,
                "tally": self._tally.read(),
                "learner": self.learner.state(),
            }
            save_checkpoint(self.run, self.step, state, self._writers(), self.options.keep)
        self._saved = self.step
        if together:
            self.learner.group.wait()

    def _writers(self) -> dict[str, Callable[[Path], None]]:
        """What writes each network that is exported, by file name."""
        mpp, save = self.patches.mpp(), self.learner.method.save
        return {
            name: partial(save, name=name, network=network, mpp=mpp)
            for name, network in self.learner.exports().items()
        }

    def _is_checkpoint(self) -> bool:
        if self.step == self.steps:
            return True
        every = self.options.checkpoint_steps
        return self.step % (every or self.options.checkpoint * self.epoch_steps) == 0

    def _show(self, epoch: int, fixed: dict[str, Tensor], log: Log | None) -> None:
        pixels = sample_grid(self.learner.pictures(fixed))
        write_png(self.run / "samples" / f"epoch-{epoch:04d}.png", pixels)
        if log is not None:
            log.picture("samples", pixels, self.step)

    def _last(self) -> str:
        saved = list_checkpoints(self.run)
        good = f"the last good checkpoint is {saved[-1]}" if saved else "there is no checkpoint yet"
        return f"; {good}; lower lr, set clip, or choose precision fp32 or bf16."
