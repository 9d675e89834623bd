"""CUT and FastCUT (Park 2020): each place of the result is like its own place of the source."""

from collections.abc import Iterator
from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from uhrtranslate.training.losses import adversarial, patch_nce, telling_apart
from uhrtranslate.training.methods.base import GeneratorMethod, Phase, Samples, source_of
from uhrtranslate.training.networks.features import channels_of, encode, layers_of
from uhrtranslate.training.networks.making import (
    frozen,
    initialise,
    make_discriminator,
    make_generator,
)
from uhrtranslate.training.networks.plane_maker import PlaneMaker
from uhrtranslate.training.networks.projectors import MlpProjector, draw_places
from uhrtranslate.training.options import DiscriminatorOptions, GanOptions, GeneratorOptions, Weight

Layers = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1, max_length=16)]


class CutOptions(GanOptions):
    """CUT's options.

    Attributes:
        adversarial, nce: weights of the two losses.
        identity: PatchNCE of the target domain's own patches too, with half of the weight.
        layers: numbers of the generator's layers whose outputs are contrasted; by default those of
            the paper, and of a generator with fewer layers those that it has and its last.
        patches: places per layer.
        width: of the projector.
        temperature: of the contrast.
        flip: half of the steps work on mirrored patches, and contrast mirrored features.
    """

    generator: GeneratorOptions = GeneratorOptions(antialias=True, init="xavier")
    discriminator: DiscriminatorOptions = DiscriminatorOptions(antialias=True, init="xavier")
    adversarial: Weight = 1.0
    nce: Weight = 1.0
    identity: bool = True
    layers: Layers = (0, 4, 8, 12, 16)
    patches: Annotated[int, Field(ge=2, le=65536)] = 256
    width: Annotated[int, Field(ge=1, le=4096)] = 256
    temperature: Annotated[float, Field(gt=0)] = 0.07
    flip: bool = False

    @model_validator(mode="after")
    def _layers_are_there(self) -> Self:
        with torch.device("meta"):  # weightless
            offered = layers_of(self.generator.build())
        if not offered:
            raise ValueError("cut takes features of a resnet; set generator.architecture: resnet")
        last = len(offered) - 1
        fitting = tuple(sorted({min(layer, last) for layer in self.layers}))
        if "layers" not in self.model_fields_set:
            object.__setattr__(self, "layers", fitting)  # as it is, it is frozen
        elif max(self.layers) > last:
            raise ValueError(
                f"layers: {max(self.layers)} is behind the generator's last residual block, "
                f"{last}; write layers: {list(fitting)}, or leave layers out"
            )
        return self


class FastCutOptions(CutOptions):
    """FastCUT's options: no identity, a larger weight, mirrored features."""

    nce: Weight = 10.0
    identity: bool = False
    flip: bool = True


class Cut(GeneratorMethod):
    """LSGAN one way, and PatchNCE between the generator's own features."""

    options_class = CutOptions
    options: CutOptions

    def __init__(self, options: CutOptions) -> None:
        super().__init__(options)
        self.groups = {"discriminator": ("judge",), "generator": ("A2B", "projector")}
        generator = make_generator(options.generator)
        projector = MlpProjector(channels_of(generator, options.layers), options.width)
        self.fixed["planes"] = PlaneMaker(options.generator.inputs, "B")
        self.networks = nn.ModuleDict(
            {
                "A2B": generator,
                "judge": make_discriminator(options.discriminator),
                "projector": initialise(projector, "xavier"),
            }
        )

    def step(self, samples: Samples) -> Iterator[Phase]:
        """See `Method`."""
        a, b, nets, options = source_of(samples), samples["B"], self.networks, self.options
        mirrored = options.flip and float(torch.rand(())) < 0.5
        if mirrored:
            a, b = a.flip(3), b.flip(3)
        own = self.fixed["planes"](b)
        sources = torch.cat([a, own]) if options.identity else a
        results = nets["A2B"](sources)
        fake = results[: len(a)]
        judge = telling_apart("lsgan", nets["judge"], b, fake.detach())
        yield Phase("discriminator", judge, {"judge": judge})
        with frozen(nets["judge"]):
            parts = {
                "gan": adversarial("lsgan", nets["judge"](fake), True),
                "nce": self._contrast(a, fake, mirrored),
            }
        nce = parts["nce"]
        if options.identity:
            parts["nce_identity"] = self._contrast(own, results[len(a) :], mirrored)
            nce = 0.5 * (nce + parts["nce_identity"])
        yield Phase("generator", options.adversarial * parts["gan"] + options.nce * nce, parts)

    def _contrast(self, source: Tensor, result: Tensor, mirrored: bool) -> Tensor:
        """PatchNCE between what the generator took and gave, averaged over layers."""
        options, generator = self.options, self.networks["A2B"]
        queries = encode(generator, self.fixed["planes"](result), options.layers)
        if mirrored:  # the features of a mirrored image, mirrored back, against the plain ones
            queries = [feature.flip(3) for feature in queries]
            source = source.flip(3)
        with torch.no_grad():
            keys = encode(generator, source, options.layers)
        places, projector = draw_places(keys, options.patches), self.networks["projector"]
        pairs = zip(projector(queries, places), projector(keys, places), strict=True)
        return torch.stack([patch_nce(q, k, options.temperature) for q, k in pairs]).mean()


class FastCut(Cut):
    """CUT with other defaults."""

    options_class = FastCutOptions
