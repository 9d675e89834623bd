"""CUT and FastCUT (Park 2020): each place of the result is like its own place of the source."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from uhrtranslate.training.losses import adversarial, patch_nce
from uhrtranslate.training.method_options import CutOptions
from uhrtranslate.training.methods.base import Method, Phase
from uhrtranslate.training.networks.features import channels_of, encode
from uhrtranslate.training.networks.generators import (
    frozen,
    initialise,
    make_discriminator,
    make_generator,
)
from uhrtranslate.training.networks.projectors import MlpProjector, draw_places


class Cut(Method):
    """LSGAN one way, and PatchNCE between the generator's own features.

    Args:
        options: of the method; FastCUT is one with other defaults.
    """

    def __init__(self, options: CutOptions) -> None:
        self.options = options
        self.groups = {"discriminator": ("judge",), "generator": ("A2B", "projector")}
        self.generators = {"A2B": "A2B"}
        generator = make_generator(options.generator)
        projector = MlpProjector(channels_of(generator, options.layers), options.width)
        self.networks = nn.ModuleDict(
            {
                "A2B": generator,
                "judge": make_discriminator(options.discriminator),
                "projector": initialise(projector, "xavier"),
            }
        )

    def step(self, a: Tensor, b: Tensor) -> Iterator[Phase]:
        """See `Method`."""
        nets, options = self.networks, self.options
        mirrored = options.flip and float(torch.rand(())) < 0.5
        if mirrored:
            a, b = a.flip(3), b.flip(3)
        sources = torch.cat([a, b]) if options.identity else a
        results = nets["A2B"](sources)
        fake = results[: len(a)]
        judge = 0.5 * (
            adversarial("lsgan", nets["judge"](b), True)
            + adversarial("lsgan", nets["judge"](fake.detach()), False)
        )
        yield Phase("discriminator", judge, {"judge": judge})
        with frozen(nets["judge"]):
            parts = {
                "gan": adversarial("lsgan", nets["judge"](fake), True),
                "nce": self._contrast(a, fake, mirrored),
            }
        nce = parts["nce"]
        if options.identity:
            parts["nce_identity"] = self._contrast(b, results[len(a) :], mirrored)
            nce = 0.5 * (nce + parts["nce_identity"])
        yield Phase("generator", options.adversarial * parts["gan"] + options.nce * nce, parts)

    def _contrast(self, source: Tensor, result: Tensor, mirrored: bool) -> Tensor:
        """PatchNCE between an image and its translation, averaged over layers."""
        options, generator = self.options, self.networks["A2B"]
        queries = encode(generator, result, options.layers)
        if mirrored:  # the features of a mirrored image, mirrored back, against the plain ones
            queries = [feature.flip(3) for feature in queries]
            source = source.flip(3)
        with torch.no_grad():
            keys = encode(generator, source, options.layers)
        places = draw_places(keys, options.patches)
        return self._mean(self._project(queries, places), self._project(keys, places))

    def _project(self, features: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        projected: list[Tensor] = self.networks["projector"](features, places)
        return projected

    def _mean(self, queries: list[Tensor], keys: list[Tensor]) -> Tensor:
        temperature = self.options.temperature
        pairs = zip(queries, keys, strict=True)
        return torch.stack([patch_nce(q, k, temperature) for q, k in pairs]).mean()
