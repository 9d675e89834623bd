"""Recipes as workers make them: a generator is loaded once per worker, and checked."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from uhrtranslate.errors import CheckpointError
from uhrtranslate.options import ImageOptions, StainOptions, TranslateOptions
from uhrtranslate.recipes.generator_pool import GeneratorPool
from uhrtranslate.recipes.recipe import Recipe
from uhrtranslate.recipes.stain_generator import StainGenerator
from uhrtranslate.recipes.stain_network import StainNetwork
from uhrtranslate.recipes.translator import Translator

# How the client loads a generator that it does not run: workers may have other devices than it.
CLIENTS_OWN = {"device": "cpu", "compile": False, "cluster": None}

_pools: dict[str, GeneratorPool] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class TranslatorMaker:
    """A `Maker` of translators.

    Attributes:
        digests: of the generators that the client has loaded, by the names of their files.
        keep_glass: as a stain method, which leaves bare glass as it is.
    """

    digests: Mapping[str, str] = field(default_factory=dict)
    keep_glass: bool = False

    def __call__(self, options: ImageOptions) -> Recipe:
        """The recipe.

        Raises:
            CheckpointError: the worker has another generator under this name than the client.
        """
        if not isinstance(options, TranslateOptions):
            raise TypeError(f"{type(options).__name__} cannot be used to translate")
        kind = StainGenerator if self.keep_glass else Translator
        return kind(options, _pool(options, self.digests.get(options.model)))


@dataclass(frozen=True)
class StainNetworkMaker:
    """A `Maker` of `StainNetwork`, from its file."""

    weights: Path

    def __call__(self, options: ImageOptions) -> Recipe:
        """The recipe."""
        assert isinstance(options, StainOptions)
        return StainNetwork(options, self.weights)


def _pool(options: TranslateOptions, digest: str | None) -> GeneratorPool:
    """The generator of some options, loaded if it is not there; only the last one is kept.

    Workers may live longer than the file: what is kept is loaded again if it is not what is wanted.
    """
    key = options.model_dump_json(include=set(GeneratorPool.IDENTITY))
    with _lock:
        pool = _pools.get(key)
        if pool is None or digest not in (None, pool.generator.digest):
            _pools.clear()
            pool = _pools[key] = GeneratorPool(options)
    if digest not in (None, pool.generator.digest):
        raise CheckpointError(
            f"{options.model}: is another file for this worker than for the client (SHA-256 "
            f"{pool.generator.digest[:12]}, not {digest[:12] if digest else None}); put the same "
            "file where all machines find it."
        )
    return pool
