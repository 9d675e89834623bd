"""Stain normalization by a StainNet, which was trained for one target."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save
from torch import Tensor

from uhrtranslate.engine import ColourTable
from uhrtranslate.errors import CheckpointError, InputError, OutputError
from uhrtranslate.io import Pixels, SlideView
from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.models.checkpoint import read_safetensors, read_tree
from uhrtranslate.models.load import digest_file
from uhrtranslate.options import StainOptions
from uhrtranslate.recipes.colour import ColourRecipe
from uhrtranslate.recipes.stain_reference import Reference, method_of, sample_file
from uhrtranslate.stain import colour_map
from uhrtranslate.stain.stainnet import StainNet, distil, stainnet_from


class StainNetwork(ColourRecipe):
    """Brings slides to the colours that a StainNet was trained for; a `Recipe`.

    Raises:
        CheckpointError: the file `weights` holds no StainNet.
    """

    options: StainOptions

    def __init__(self, options: StainOptions, weights: Path) -> None:
        self.options = options
        self.suffix = options.method
        self._weights = weights
        self._network = _load_stainnet(weights)
        self._digest = digest_file(weights)

    def mapping(self, view: SlideView, warnings: dict[str, str]) -> Callable[[Pixels], Pixels]:
        """See `ColourRecipe`."""
        return ColourTable(self._network.transform)

    def provenance(self) -> dict[str, Any]:
        """See `ImagePlan`."""
        return {
            "method": self.options.method,
            "model": self._weights.name,
            "model_sha256": self._digest,
        }

    def note(self, view: SlideView) -> str:
        """See `ImagePlan`."""
        return f"{self.options.method} to {self._weights}"


def distil_normalizer(source: Path | str, reference: Reference, options: StainOptions) -> StainNet:
    """Train a StainNet to map colours as a method does for one slide.

    Args:
        source: a slide like those the network is meant for.
        reference: whose colours it gets.
        options: method, samples, seed.

    Raises:
        InputError: the slide has too little tissue.
    """
    method = method_of(options)
    colours = sample_file(source, options)
    try:
        mapping = colour_map(method, method.fit(colours), reference.fit)
    except InputError as error:
        raise InputError(f"{source}: {error}; choose another slide.") from error
    # Add greys and glass, so that the network keeps white white.
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    white = np.repeat(grey[200:], 1 + len(colours) // 400, axis=0)
    every = np.concatenate([colours, grey, white])
    return distil(every, mapping(every), options.seed)


def save_stainnet(path: Path, network: StainNet) -> None:
    """Write a StainNet's weights as safetensors, with the keys of the original authors.

    Raises:
        OutputError: it cannot be written.
    """
    if path.suffix != ".safetensors":
        raise OutputError(f"{path}: weights are written as .safetensors; name it so.")
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(save(network.state_dict()))


def _load_stainnet(path: Path) -> StainNet:
    if path.suffix == ".safetensors":
        state: Any = read_safetensors(path)[0]
    else:
        state = read_tree(path)
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    try:
        if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
            raise CheckpointError("holds no weights by name")
        return stainnet_from(state)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}.") from error
