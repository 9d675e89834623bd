"""Translation by a generator whose norm layers are replaced by the chosen normalizer."""

from collections.abc import Callable
from functools import partial
from typing import Any

from uhrtranslate.engine import (
    GLASS_REACH,
    Clock,
    FrozenGenerator,
    GeneratorRunner,
    GeneratorTransform,
    Lanes,
    observe_all,
)
from uhrtranslate.enhance import are_matched, channels_of
from uhrtranslate.errors import InputError, OptionError
from uhrtranslate.geometry import BlendedPlan, CellGrid, TilePlan
from uhrtranslate.geometry.blended import LEAST_SIDE
from uhrtranslate.geometry.tiles import MIN_STEPS
from uhrtranslate.io import (
    Pixels,
    SlideView,
    bilinear_thumbnail,
    make_channels,
    open_view,
    thumbnail,
)
from uhrtranslate.io.background import parse_background
from uhrtranslate.models import GeneratorInfo
from uhrtranslate.normalizers import Normalizer
from uhrtranslate.options import TranslateOptions
from uhrtranslate.recipes.blending import Blending, choose_blending, tile_mismatch
from uhrtranslate.recipes.generator_pool import GeneratorPool
from uhrtranslate.recipes.inputs import Inputs
from uhrtranslate.recipes.precision import choose_precision
from uhrtranslate.recipes.recipe import ImagePlan, Recipe
from uhrtranslate.recipes.resolution import resolution_warning
from uhrtranslate.recipes.tissue_pictures import tissue_shares
from uhrtranslate.tables import NORMALIZERS

# Patch size of most published generators, for checkpoints that do not tell theirs.
USUAL_CELL = 512

_WHY_OPAQUE = "norm layers inside TorchScript cannot follow it"
_WHY_NONE = "no norm layer follows it, see 'uhrt models show'"


class Translator(Recipe):
    """One way to translate images; a `Recipe`.

    Args:
        options: of the translation.
        pool: the generator, which translators may share; None loads `options.model`.

    Raises:
        OptionError, CheckpointError: device, generator and options do not fit together.
    """

    options: TranslateOptions

    def __init__(self, options: TranslateOptions, pool: GeneratorPool | None = None) -> None:
        self.options, self.suffix = options, options.norm
        self.pool = pool or GeneratorPool(options)
        self.generator = self.pool.generator
        parse_background(options.background)  # fail now, not at the first image
        info = self.generator.info
        self.takes_channels = channels_of(info.inputs) == 0
        # Dark-field images often have 16 bits, which an enhanced plane makes visible.
        self.bits_in = 32 if self.takes_channels else 16 if are_matched(info.inputs) else 8
        self.bits_out = options.bits
        self.channels = make_channels(info.channel_names)
        self.shown = info.output_range if options.bits == 32 else None
        if options.bits == 32 and not self.channels:
            raise OptionError(
                f"--bits 32: {self.generator.name} gives a colour or grey picture, which has 8 or "
                "16 bits; for floats, name its channels with uhrt models convert --channels."
            )
        self.white_glass = self._whitens_glass()
        self.mirrored = options.pad == "reflect"
        self.normalizer: Normalizer = NORMALIZERS[options.norm].chosen(options)
        stride = self.generator.info.stride
        usual = -(-USUAL_CELL // stride) * stride
        self.cell = options.cell or self.generator.info.cell or usual
        for name, value in (("cell", self.cell), ("tile", options.tile), ("halo", options.halo)):
            if value is not None and value % stride:
                raise OptionError(
                    f"--{name} {value}: must be a multiple of {stride}, the generator's stride."
                )
        covariance = self.pool.covariance
        # Others than covariant generators may be made for patches of one step.
        least = MIN_STEPS * stride
        self._least = least if covariance.covariant else min(least, max(stride, LEAST_SIDE))
        if self.cell < self._least:
            raise OptionError(f"--cell {self.cell}: the generator needs at least {self._least} px.")
        wanted = options.overlap is not None or not covariance.covariant
        self.blending: Blending | None = None
        if wanted and options.halo is None and not self.mirrored:
            self.blending = choose_blending(options, self.cell, covariance.period)

    @property
    def halo(self) -> int:
        """Halo in px around each tile: as chosen, as published, or the receptive field."""
        if self.options.halo is not None:
            return self.options.halo
        if self.blending:
            return 0
        if not self.mirrored:
            stride = self.generator.info.stride
            least = -(-GLASS_REACH // stride) * stride if self.white_glass else 0
            return max(self.pool.halo, least)
        published = self.normalizer.published_halo
        return 0 if published % self.generator.info.stride else published

    @property
    def surroundings(self) -> str:
        """How tiles are kept from showing, in a few words."""
        return self.blending.note if self.blending else f"halo {self.halo} px"

    def plan(self, view: SlideView) -> ImagePlan:
        """See `Recipe`; for the precision `auto`, candidates are tried on the view."""
        self._check_channels(view)
        normalizer = self.normalizer.at(self._cell_um(view), view.info.path)
        precision: str = self.options.precision
        inputs = self.inputs(view)
        deviation = None
        if precision == "auto":
            precision, deviation = self.pool.ask(choose_precision, view, self.cell, inputs)
        lanes = self.pool.at(precision)
        tiles = self._tiles(view)
        batch = self.options.batch or self.pool.choose_batch(tiles.tile + 2 * tiles.halo)
        how = self.blending
        mismatch = None if how is None else self.pool.ask(tile_mismatch, view, how, inputs)
        warnings = self.warnings(view)
        make = partial(self._transform, view, inputs, normalizer, tiles, lanes)
        return ImagePlan(
            tiles,
            batch,
            self._provenance(precision, normalizer, inputs),
            self._note(view, tiles, batch, precision, deviation, mismatch),
            partial(self._checked, make, view, inputs, warnings),
            self.pool.devices,
            mismatch,
            warnings=warnings,
        )

    def _checked(
        self,
        make: Callable[[Clock], GeneratorTransform],
        view: SlideView,
        inputs: Inputs,
        warnings: dict[str, str],
        clock: Clock,
    ) -> GeneratorTransform:
        """Make a transform; warn of what the generator's planes cannot be made of."""
        if (kind := inputs.no_dark_field) is not None:
            warnings["dark-field"] = (
                f"{view.info.path}: is no dark-field image ({kind}), and {self.generator.name} "
                "takes the enhanced grey of dark fields, so its result cannot be right; translate "
                "a dark field, or make one of this (uhrt enhance --synthesize)."
            )
        return make(clock)

    def freeze(self, view: SlideView) -> FrozenGenerator:
        """The generator with the statistics of a view as constants.

        Raises:
            OptionError: the normalizer's statistics differ from place to place.
        """
        normalizer = self.normalizer.at(self._cell_um(view), view.info.path)
        if not normalizer.uniform:
            raise OptionError(
                f"--norm {self.options.norm}: its statistics differ from place to place, so no "
                "network with constants can have them; use --norm tin, or --norm pooled with "
                "--bandwidth inf."
            )
        if self.mirrored:
            raise OptionError(
                "--pad reflect: every cell is mirrored, which no network does; use --pad context."
            )
        info = self.generator.info
        if self.blending:
            raise OptionError(
                f"{self.generator.name}: is not translation-covariant, so tiles must be blended, "
                "which other programs do not; use 'uhrt translate'."
            )
        if info.inputs != GeneratorInfo.inputs or info.out_channels not in (1, 3):
            raise OptionError(
                f"{self.generator.name}: takes or gives other planes than RGB or grey, which an "
                "exported network cannot; use 'uhrt translate'."
            )
        tiles = self._tiles(view)
        batch = self.options.batch or self.pool.choose_batch(self.cell)
        lanes = self.pool.at("fp32")
        transform = self._transform(view, self.inputs(view), normalizer, tiles, lanes)
        if transform.reach is not None:
            observe_all(view, transform, batch=batch, workers=self.options.workers)
        constants = transform.constants()
        return FrozenGenerator(self.generator.module, info, constants, self.white_glass)

    def _transform(
        self,
        view: SlideView,
        inputs: Inputs,
        normalizer: Normalizer,
        tiles: TilePlan,
        lanes: Lanes[GeneratorRunner],
        clock: Clock | None = None,
    ) -> GeneratorTransform:
        return GeneratorTransform(
            lanes,
            normalizer,
            tiles,
            partial(self._thumbnail, view),
            clock,
            inputs,
            partial(tissue_shares, view, tiles.grid),
            self.bits_out,
            lambda: inputs.contrast,
            self.white_glass,
        )

    def _whitens_glass(self) -> bool:
        """Whether bare glass becomes white: as chosen, or as the generator's file says."""
        chosen, info = self.options.glass, self.generator.info
        white = info.white_glass if chosen == "auto" else chosen == "white"
        if white and (info.inputs != GeneratorInfo.inputs or self.channels):
            raise OptionError(
                f"--glass {chosen}: {self.generator.name} takes or gives other planes than RGB or "
                "grey, in which glass is not white; use --glass translate."
            )
        return white

    def _check_channels(self, view: SlideView) -> None:
        wanted, found = self.generator.info.in_channels, view.samples
        if self.takes_channels and found != wanted:
            names = ", ".join(channel.name for channel in view.info.channels[:8]) or "RGB"
            raise InputError(
                f"{view.info.path}: has {found} channels ({names}), and the generator "
                f"{self.generator.name} takes {wanted}; choose another image or generator."
            )

    def inputs(self, view: SlideView) -> Inputs:
        """What makes the generator's input of a view's pixels."""
        whole = open_view(view.slide, self.options.level, self.options.mpp)
        return Inputs(self.generator.info, whole)

    def _tiles(self, view: SlideView) -> TilePlan:
        grid = CellGrid(view.width, view.height, self.cell)
        if self.blending:
            how = self.blending
            return BlendedPlan(grid, how.tile, 0, how.period, False, how.overlap, how.blend)
        if self.mirrored:
            tile = self.cell
        else:
            tile = self.options.tile or self.pool.choose_tile(
                self.halo, self.cell, view.width, self.options.batch or 1, view.dtype.itemsize
            )
        return TilePlan(grid, tile, self.halo, self.generator.info.stride, self.mirrored)

    def _cell_um(self, view: SlideView) -> float | None:
        """Side of a cell in micrometres; the mean of both axes."""
        return view.mpp and self.cell * (view.mpp[0] * view.mpp[1]) ** 0.5

    def _provenance(self, precision: str, normalizer: Normalizer, inputs: Inputs) -> dict[str, Any]:
        """See `ImagePlan`."""
        options = self.options
        facts = {
            "model": self.generator.name,
            "model_sha256": self.generator.digest,
            "domains": list(self.generator.info.domains),
            "norm": options.norm,
            "cell": self.cell,
            **self._tiling(),
            "pad": options.pad,
            "precision": precision,
        }
        info = self.generator.info
        if info.inputs != GeneratorInfo.inputs:
            facts |= {"inputs": list(info.inputs)}
        if inputs.span:
            facts |= {"input_range": list(inputs.span)}
        if self.channels:
            facts |= {"channels": list(info.channel_names)}
        if self.bits_out != 8:
            facts |= {"bits": self.bits_out}
        if self.bits_out == 32:
            facts |= {"output_range": list(info.output_range)}
        if options.stats_precision:
            facts |= {"stats_precision": options.stats_precision}
        if self.pool.compiled:  # the two kinds of forwards round differently
            facts |= {"compiled": True}
        if options.batch_statistics:
            facts |= {"batch_statistics": True}
        if self.white_glass:
            facts |= {"glass": "white"}
        return facts | normalizer.facts()

    def _tiling(self) -> dict[str, Any]:
        """What the result depends on: not on the tiles if they have a halo."""
        how = self.blending
        if how is None:
            return {"halo": self.halo}
        return {"tile": how.tile, "overlap": how.overlap, "blend": how.blend}

    def _note(
        self,
        view: SlideView,
        tiles: TilePlan,
        batch: int,
        precision: str,
        deviation: float | None,
        mismatch: float | None,
    ) -> str:
        """See `ImagePlan`."""
        around = self.surroundings
        if mismatch is not None:
            around += f", tile mismatch {mismatch:.1f} grey levels"
        if deviation is not None:
            precision += f" ({deviation:.2f} grey levels from fp32)"
        norm = self.options.norm
        if not self.pool.norm_layers:
            opaque = self.generator.info.opaque
            norm += f" (without effect: {_WHY_OPAQUE if opaque else _WHY_NONE})"
        return (
            f"{norm} on {','.join(map(str, self.pool.devices))}, {precision}, "
            f"{self.pool.forwards}, cells of {self.cell} px, "
            f"tiles of {tiles.tile} px{f' by {batch}' if batch > 1 else ''}, "
            f"{around}"
        )

    def warnings(self, view: SlideView) -> dict[str, str]:
        """A sentence if the image's resolution is not known, or not that of the training."""
        told = resolution_warning(view, self.generator.info.mpp, self.generator.name)
        return {"resolution": told} if told else {}

    def _thumbnail(self, view: SlideView) -> Pixels:
        """The whole image scaled to one cell, with sides that the generator accepts."""
        deep = self.takes_channels  # these are fed at their depth
        if self.options.thumbnail == "square" and self.normalizer.source == "thumbnail":
            return bilinear_thumbnail(view, self.cell, self.cell, deep)
        stride = self.generator.info.stride
        share = min(1.0, self.cell / max(view.width, view.height))
        steps = -(-self._least // stride)
        width, height = (
            max(round(side * share / stride), steps) * stride for side in (view.width, view.height)
        )
        return thumbnail(view, width, height, deep)
