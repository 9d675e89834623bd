"""Nuclei by a network of Cellpose 3 (Stringer & Pachitariu 2025), whose weights the user names.

Cellpose 4 is left out: it needs torchvision. The network sees what the classical detector sees,
hematoxylin and DAB together, on a fixed scale: Cellpose's own, of each picture's percentiles, would
make the nuclei of a block depend on what else is in it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import center_of_mass

from uhrtranslate.errors import require, warnings_kept
from uhrtranslate.extractors.weights import digest, fit_weights, read_weights
from uhrtranslate.metrics.dab import hed_stains
from uhrtranslate.metrics.nuclei import RADIUS, USUAL_MPP, Points
from uhrtranslate.metrics.planes import Pixels

# Density that the network is shown as 1: about the 99th percentile of stained sections.
_TOP = 0.2
# Of those weights whose file does not say it: px that a nucleus has where they were trained.
_OLD_NUCLEI, _OLD_NUCLEI_PX = "nucleitorch_0", 17.0
_USUAL_PX = 30.0


class CellposeFinder:
    """Finds nuclei as `find_nuclei` does.

    Args:
        path: a network of Cellpose 3, as its `save_model` writes it (or the same as safetensors).

    Attributes:
        name: with letters of the weights' digest.

    Raises:
        CheckpointError: the file holds no such network.
        MissingExtraError: Cellpose is not installed.
    """

    def __init__(self, path: Path) -> None:
        state = read_weights(path)
        models: Any = require("cellpose.models", "nuclei")
        model = models.CellposeModel(gpu=False, pretrained_model=False)  # loads nothing
        usual = torch.full((1,), _USUAL_PX)
        full = {"diam_mean": usual, "diam_labels": usual} | state
        fit_weights(model.net, full, path, "Cellpose 3")
        model.diam_mean = float(full["diam_mean"][0])
        if path.name == _OLD_NUCLEI:
            model.diam_mean = _OLD_NUCLEI_PX
        self.name = f"cellpose-{path.stem}-{digest(path)}"
        self._model = model

    def find(self, pixels: Pixels, mpp: float | None) -> tuple[Points, NDArray[np.bool_]]:
        """Centres of nuclei as rows of y and x, and the px that belong to nuclei, [h, w].

        Args:
            pixels: [h, w, 3] uint8.
            mpp: micrometres per px; None takes the usual resolution.
        """
        shown = (hed_stains(pixels, 0) + hed_stains(pixels, 2)) / _TOP
        with warnings_kept():  # and so one area at a time
            labels, *_ = self._model.eval(
                shown.astype(np.float32),
                channels=[0, 0],
                normalize=False,
                diameter=2 * RADIUS / (mpp or USUAL_MPP),
            )
        found = labels > 0
        names = np.arange(1, int(labels.max()) + 1)
        centres = np.array(center_of_mass(found, labels, names)).reshape(-1, 2)
        return np.rint(centres).astype(np.int64), found
