"""From noise to the finished latent of one image, in stages that can be resumed.

An overview (level `overall`) is sampled out of noise, decoded and enlarged; or there is a picture
already. It is encoded, noised as far as the strength says, and denoised at level `patch` (PathUp,
ACM MM 2024). All canvases are cut into the same tiles. What has been finished is counted in steps:
those of the overview, one for its pixels, one for the encoded and noised image, and its own.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np

from uhrtranslate.diffusion.canvas import Canvas, denoise, put
from uhrtranslate.diffusion.noise import noise_rows
from uhrtranslate.diffusion.schedulers import Step, timesteps
from uhrtranslate.diffusion.tracking import Rows
from uhrtranslate.diffusion.weights import Tiling
from uhrtranslate.engine import EnlargedSlide, as_pixels
from uhrtranslate.io import Slide, VirtualSlide, open_view
from uhrtranslate.io.files.atomic import PartialOutput, before
from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.io.files.journal import Job, Journal
from uhrtranslate.options import DiffusionOptions
from uhrtranslate.recipes.latent_networks import LatentNetworks
from uhrtranslate.recipes.latent_pixels import decoded, encoded
from uhrtranslate.tables import BLENDS, SAMPLERS

# Fields of noise of one image: what the overview and the image begin with, and those that the
# steps of each add.
OVERVIEW, IMAGE, OVERVIEW_STEPS, IMAGE_STEPS = 0, 1, 10_000, 20_000

Save = Callable[[int, Sequence[BinaryIO]], None]


@dataclass(frozen=True)
class LatentRun:
    """What is sampled.

    Attributes:
        networks: the model.
        options: of the sampling; `prompt` is a class of the model.
        width, height: px of the image; at least a tile.
        picture: what is enlarged, at the size of the image; None for an overview.
        overlap: of tiles, in latent pixels.
    """

    networks: LatentNetworks
    options: DiffusionOptions
    width: int
    height: int
    picture: Slide | None
    overlap: int

    @property
    def side(self) -> int:
        """Of a tile in px."""
        return self.networks.model.tile * self.networks.model.factor

    @cached_property
    def tiling(self) -> Tiling:
        """Of the image's latent, whose sides are rounded up."""
        factor = self.networks.model.factor
        return self._tiling(-(-self.height // factor), -(-self.width // factor))

    @cached_property
    def overview(self) -> Tiling | None:
        """Of the overview's latent; None if there is none."""
        if self.picture is not None or self.options.strength == 1:
            return None
        model = self.networks.model
        shrunk = model.factor * model.shrink
        return self._tiling(
            *(max(-(-side // shrunk), model.tile) for side in (self.height, self.width))
        )

    def _tiling(self, height: int, width: int) -> Tiling:
        side, window = self.networks.model.tile, BLENDS[self.options.blend]
        return Tiling(height, width, side, self.overlap, window)

    @cached_property
    def steps(self) -> list[Step]:
        """Of the image."""
        return self._steps(self.options.strength)

    @cached_property
    def overview_steps(self) -> list[Step]:
        """Of the overview."""
        return [] if self.overview is None else self._steps(1.0)

    def _steps(self, strength: float) -> list[Step]:
        options, abar = self.options, self.networks.abar
        places = timesteps(len(abar), min(options.steps, len(abar)), strength)
        steps: list[Step] = SAMPLERS[options.sampler](abar, places, options.eta)
        return steps

    @property
    def begun(self) -> int:
        """Steps that are finished when the image's latent is there to be denoised."""
        return 1 if self.overview is None else len(self.overview_steps) + 2

    @property
    def total(self) -> int:
        """Steps in all."""
        return self.begun + len(self.steps)

    @property
    def work(self) -> int:
        """Px that are gone over, by all steps together."""
        return sum(self._pixels(step) for step in range(self.total))

    def _pixels(self, step: int) -> int:
        of_overview = self.overview is not None and step < len(self.overview_steps) + 1
        tiling = self.overview if self.overview and of_overview else self.tiling
        return tiling.height * tiling.width * self.networks.model.factor**2

    @contextmanager
    def latents(
        self, target: Path, job: Job | None, progress: Callable[[int], None]
    ) -> Iterator[Rows]:
        """Compute the latent of an image that will be written to `target`, and read it.

        All that is computed lies in a folder beside the target; see `io.files.atomic.before`.

        Args:
            target: the image's file.
            job: what is made, if it can be resumed; see `journal.State`.
            progress: called with the px that are gone over since the last call.

        Raises:
            OutputError: the disk is full, which loses nothing, or an unfinished run has left its
                state and `options.resume` is not set, or was a different job.
        """
        options = self.options
        with PartialOutput(before(target), options.overwrite, job, options.resume) as output:
            behind = 0 if output.state is None else output.state.rows
            journal = None if job is None else Journal(output.folder, job, self.total)

            def save(number: int, files: Sequence[BinaryIO]) -> None:
                if journal is not None:
                    journal.save(number, files, {})

            image = self._canvas(output.folder, "image", self.tiling)
            with output_errors(target, lambda: self._missing(output.folder)):
                progress(sum(self._pixels(step) for step in range(behind)))
                if self.overview is not None and behind < self.begun - 1:
                    self._make_overview(output.folder, self.overview, behind, save, progress)
                if behind < self.begun:
                    self._begin(output.folder, image, save)
                    progress(self._pixels(self.begun - 1))
                denoise(
                    image,
                    self.tiling,
                    self.networks.predict(self._prompt, "patch"),
                    self.steps,
                    self.networks.model.prediction,
                    seed=options.seed,
                    stream=IMAGE_STEPS,
                    batch=self.networks.batch,
                    start=max(behind - self.begun, 0),
                    finished=lambda number, files: save(self.begun + number, files),
                    progress=lambda share: progress(round(share * self._pixels(self.total - 1))),
                )
            yield image.rows(len(self.steps))

    @property
    def _prompt(self) -> str:
        assert self.options.prompt is not None
        return self.options.prompt

    def _canvas(self, folder: Path, name: str, tiling: Tiling) -> Canvas:
        return Canvas(folder, name, self.networks.model.channels, tiling.height, tiling.width)

    def _noise(self, canvas: Canvas, stream: int) -> Rows:
        seed, channels, width = self.options.seed, canvas.channels, canvas.width
        return lambda y0, y1: noise_rows(seed, stream, channels, width, y0, y1)

    def _make_overview(
        self,
        folder: Path,
        tiling: Tiling,
        behind: int,
        save: Save,
        progress: Callable[[int], None],
    ) -> None:
        """Sample the overview, and write its pixels."""
        canvas, networks = self._canvas(folder, "overview", tiling), self.networks
        if not behind:
            canvas.fill(self._noise(canvas, OVERVIEW), tiling.side)
        denoise(
            canvas,
            tiling,
            networks.predict(self._prompt, "overall"),
            self.overview_steps,
            networks.model.prediction,
            seed=self.options.seed,
            stream=OVERVIEW_STEPS,
            batch=networks.batch,
            start=behind,
            finished=save,
            progress=lambda share: progress(round(share * self._pixels(0))),
        )
        rows = canvas.rows(len(self.overview_steps))
        with (folder / "overview.pixels").open("w+b") as file:
            for image in decoded(rows, tiling, networks):
                file.write(as_pixels(image[None])[0].tobytes())
            save(len(self.overview_steps) + 1, [file])
        progress(self._pixels(0))

    def _begin(self, folder: Path, canvas: Canvas, save: Save) -> None:
        """Write the latent that is denoised: encoded and noised, or noise alone."""
        noise = self._noise(canvas, IMAGE)
        with canvas.writing(0) as file:
            if self.picture is None and self.overview is None:
                for y in range(0, canvas.height, self.tiling.side):
                    put(file, noise(y, min(y + self.tiling.side, canvas.height)))
            else:
                picture = self.picture or self._enlarged(folder)
                y = 0
                for rows in encoded(picture, self.tiling, self.networks):
                    end = y + rows.shape[1]
                    if self.steps:
                        first, field = self.steps[0], noise(y, end)
                        rows = np.float32(first.alpha) * rows + np.float32(first.sigma) * field
                    put(file, rows)
                    y = end
            save(self.begun, [file])

    def _enlarged(self, folder: Path) -> Slide:
        """The overview's middle, as large as the image."""
        assert self.overview is not None
        model = self.networks.model
        width, height = (
            side * model.factor for side in (self.overview.width, self.overview.height)
        )
        pixels = np.memmap(folder / "overview.pixels", np.uint8, "r", shape=(height, width, 3))
        slide = VirtualSlide(width, height, lambda x, y, w, h: pixels[y : y + h, x : x + w])
        w, h = self.width / model.shrink, self.height / model.shrink
        box = ((width - w) / 2, (height - h) / 2, w, h)
        return EnlargedSlide(open_view(slide), self.width, self.height, box)

    def _missing(self, folder: Path) -> int:
        """Bytes that a full disk lacks for the latents."""
        files = 4 if any(step.past for step in self.steps) else 2
        needed = files * self._canvas(folder, "image", self.tiling).nbytes
        with suppress(OSError):
            needed -= sum(file.stat().st_size for file in folder.rglob("image.*"))
        return max(needed, 1)
