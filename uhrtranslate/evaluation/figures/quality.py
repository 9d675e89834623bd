"""How natural an image looks, without a reference."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from uhrtranslate.errors import InputError
from uhrtranslate.evaluation.figures.base import Evaluated, Figure, Figures, Sums
from uhrtranslate.evaluation.images import opened, read8
from uhrtranslate.evaluation.patches import Setup
from uhrtranslate.io import Pixels, SlideView, stated_by
from uhrtranslate.io.files.disk import write_text
from uhrtranslate.metrics.niqe import (
    NiqeModel,
    dump_niqe,
    fit_niqe,
    load_niqe,
    niqe_features,
    niqe_score,
)
from uhrtranslate.report import Group, Measure

# Side of the blocks whose natural scene statistics are taken, and how many at most: a mean over
# thousands of patches of 96 px hardly changes with more.
_BLOCK, _BLOCKS = 960, 64


class Quality(Figure):
    """NIQE, against a model of good images: from a file, or fitted to the real images."""

    group = Group("Quality without reference", {"niqe": Measure("NIQE", "lower", 3)})

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        path = setup.options.niqe
        self._model = None if path is None else _load(path)
        self._fitted = False

    def of_image(self, image: Evaluated, sums: Sums) -> Figures:
        """See `Figure`."""
        model = self._pristine()
        if model is None:
            return {}
        found = [niqe_features(pixels)[0] for pixels in self._blocks(image.view)]
        return {"niqe": niqe_score(np.concatenate(found), model), "niqe_model": model.digest}

    def _pristine(self) -> NiqeModel | None:
        """The given model, or one fitted to the real images at the first call."""
        if self._model is None and self.setup.real and not self._fitted:
            self._fitted = True
            try:
                self._model = fit_niqe(self._real_blocks())
                if self.setup.options.save_niqe is not None:
                    write_text(self.setup.options.save_niqe, dump_niqe(self._model) + "\n")
            except InputError as error:  # too few sharp patches; the other figures remain
                self.setup.warnings.append(f"no NIQE: {error}")
        return self._model

    def _real_blocks(self) -> Iterator[Pixels]:
        for image in self.setup.real:
            o = self.setup.options
            with opened(image, None, o.mpp, None, stated_by(o, if_unknown=True)) as view:
                yield from self._blocks(view)

    def _blocks(self, view: SlideView) -> Iterator[Pixels]:
        """All blocks of a view, or a seeded choice of them."""
        boxes = [
            (x, y, min(_BLOCK, view.width - x), min(_BLOCK, view.height - y))
            for y in range(0, view.height, _BLOCK)
            for x in range(0, view.width, _BLOCK)
        ]
        random = np.random.default_rng(self.setup.options.seed)
        for i in sorted(random.permutation(len(boxes))[:_BLOCKS]):
            yield read8(view, *boxes[i])


def _load(path: Path) -> NiqeModel:
    try:
        return load_niqe(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, InputError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason}).") from error
