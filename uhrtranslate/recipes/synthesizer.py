"""Images out of a latent diffusion model: synthesized, or real ones made larger."""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from uhrtranslate.diffusion.tracking import Rows
from uhrtranslate.engine import Clock, DecodedTransform
from uhrtranslate.errors import OptionError
from uhrtranslate.geometry import BlendedPlan, CellGrid, TilePlan
from uhrtranslate.io import Slide, SlideView, discard_state
from uhrtranslate.io.files.atomic import before
from uhrtranslate.io.files.fingerprint import Fingerprint
from uhrtranslate.options import DiffusionOptions
from uhrtranslate.recipes.large_latents import tile_side
from uhrtranslate.recipes.latent_networks import LatentNetworks
from uhrtranslate.recipes.latent_pixels import decoder
from uhrtranslate.recipes.latent_run import LatentRun
from uhrtranslate.recipes.recipe import ImagePlan, Recipe
from uhrtranslate.version import __version__

# Options of the source, which a recipe is given at the size of its result.
OF_SOURCES: dict[str, Any] = {
    "level": None,
    "mpp": None,
    "region": None,
    "source_mpp": None,
    "source_power": None,
}


class Synthesizer(Recipe):
    """Makes one image by a latent diffusion model; a context manager.

    The source is only looked at for its size. Leaving the block after `discard` leaves nothing
    beside the result; without it, what has been computed can be resumed.

    Args:
        method: `synthesize` or `upscale`.
        networks: the model.
        options: with `prompt`.
        target: file of the result.
        picture: what is enlarged, of the size of the result; None for an overview.
        facts: more of the provenance.
        progress: called with px that are gone over before the first one is written.
    """

    suffix = "latent"

    def __init__(
        self,
        method: str,
        networks: LatentNetworks,
        options: DiffusionOptions,
        target: Path,
        picture: Slide | None,
        facts: Mapping[str, Any],
        progress: Callable[[int], None] = lambda pixels: None,
    ) -> None:
        self.options = options.model_copy(update=OF_SOURCES)
        self._method, self._networks, self._given = method, networks, options
        self._target, self._picture, self._facts = target, picture, facts
        self._progress = progress
        self._stack = ExitStack()
        self._rows: Rows | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def discard(self) -> None:
        """Remove the latents, once the result is complete."""
        self._stack.close()
        discard_state(before(self._target))

    def plan(self, view: SlideView) -> ImagePlan:
        """See `Recipe`."""
        networks, options = self._networks, self._given
        model = networks.model
        side, factor = model.tile * model.factor, model.factor
        check_size(self._method, view.width, view.height, side)
        overlap = side // 2 if options.overlap is None else options.overlap
        if overlap % factor or overlap >= side:
            raise OptionError(
                f"--overlap {overlap}: must be a multiple of {factor}, the autoencoder's factor, "
                f"and less than the tile, {side} px."
            )
        run = LatentRun(
            networks, options, view.width, view.height, self._picture, overlap // factor
        )
        tiles = self._tiles(view, side, overlap)
        provenance = self._provenance(run)
        job = self._job(provenance, view.slide.fingerprint())

        def latents() -> Rows:
            if self._rows is None:
                opened = run.latents(self._target, job, self._progress)
                self._rows = self._stack.enter_context(opened)
            return self._rows

        def transform(clock: Clock) -> DecodedTransform:
            return DecodedTransform(tiles, lambda: decoder(latents(), run.tiling, networks))

        decoding = (
            "encoded and decoded without seams"
            if networks.seamless
            else ("encoded and decoded in blended tiles, as the autoencoder has attention")
        )
        count = len(run.tiling.rows) * len(run.tiling.columns)
        note = (
            f"{options.prompt}, {len(run.steps)} steps of {options.sampler} on {count:,} tiles of "
            f"{side} px, {decoding}, {networks.device}"
        )
        devices = (networks.device,)
        return ImagePlan(tiles, networks.batch, provenance, note, transform, devices, work=run.work)

    def _tiles(self, view: SlideView, side: int, overlap: int) -> TilePlan:
        """How the result is cut where it is decoded; seams are looked for between sampled tiles."""
        networks, factor = self._networks, self._networks.model.factor
        if networks.seamless:
            grid = CellGrid(view.width, view.height, side - overlap)
            return TilePlan(grid, tile_side(networks.autoencoder), 0, factor)
        grid, blend = CellGrid(view.width, view.height, side), self._given.blend
        return BlendedPlan(grid, side, 0, factor, False, overlap, blend)

    def _provenance(self, run: LatentRun) -> dict[str, Any]:
        options, networks = self._given, self._networks
        names = ("strength", "guidance", "sampler", "steps", "eta", "seed", "blend", "precision")
        found = {
            "method": self._method,
            "model": networks.name,
            "model_sha256": networks.digest,
            "class": options.prompt,
            **{name: getattr(options, name) for name in names},
            "tile": run.side,
            "overlap": run.overlap * networks.model.factor,
            "decoding": "seamless" if networks.seamless else "blended",
            **self._facts,
        }
        if run.overview is not None:
            found["overview"] = [
                side * networks.model.factor for side in (run.overview.width, run.overview.height)
            ]
        return found

    def _job(
        self, provenance: Mapping[str, Any], source: Fingerprint | None
    ) -> dict[str, Any] | None:
        """Everything that the latents depend on; None if the source may change unnoticed."""
        if source is None:
            return None
        return {
            **source.facts(),
            "uhrt": __version__,
            **provenance,
            "device": self._networks.device.type,
            "batch": self._networks.batch,
        }


def check_size(method: str, width: int, height: int, side: int) -> None:
    """Check that an image is at least as large as a tile.

    Raises:
        OptionError: it is smaller.
    """
    if min(width, height) < side:
        told = "--size" if method == "synthesize" else "the result would have"
        remedy = "choose more" if method == "synthesize" else "choose more, or a larger --factor"
        raise OptionError(
            f"{told} {width}x{height}: the model's tiles have {side} px a side, so both sides must "
            f"have that at least; {remedy}."
        )


def of_text(facts: Mapping[str, Any]) -> Fingerprint:
    """The fingerprint of what is no file, but follows from these facts."""
    text = json.dumps(dict(facts), sort_keys=True)
    return Fingerprint(len(text), 0, hashlib.sha256(text.encode()).hexdigest())
