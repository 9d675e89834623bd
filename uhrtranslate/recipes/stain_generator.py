"""Stain normalization by a generator, which was trained for one look."""

import dataclasses

from uhrtranslate.engine import GlassKept
from uhrtranslate.errors import OptionError
from uhrtranslate.io import SlideView
from uhrtranslate.options import TranslateOptions
from uhrtranslate.recipes.generator_pool import GeneratorPool
from uhrtranslate.recipes.recipe import ImagePlan
from uhrtranslate.recipes.translator import Translator
from uhrtranslate.tables import MODEL


class StainGenerator(Translator):
    """Brings slides to the look that a generator was trained for; a `Recipe`.

    What it does is what `Translator` does, except that bare glass stays as it is, as with every
    other stain method.

    Raises:
        OptionError: the generator makes no colours.
    """

    def __init__(self, options: TranslateOptions, pool: GeneratorPool | None = None) -> None:
        super().__init__(options, pool)
        self.suffix = MODEL
        self.white_glass = False
        if self.channels or self.takes_channels:
            raise OptionError(
                f"{self.generator.name}: takes or gives channels that are no colours; use "
                "'uhrt translate'."
            )

    def plan(self, view: SlideView) -> ImagePlan:
        """See `Recipe`."""
        plan = super().plan(view)
        return dataclasses.replace(
            plan,
            provenance={"method": MODEL, **plan.provenance},
            transform=lambda clock: GlassKept(plan.transform(clock)),
        )
