"""L-LSeSim (Zheng 2021): the result's learned self-similarity is that of the source."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from uhrtranslate.training.losses import (
    adversarial,
    self_similarity,
    similarity_contrast,
    spatial_correlation,
    telling_apart,
)
from uhrtranslate.training.methods.base import GeneratorMethod, Phase, Samples, source_of
from uhrtranslate.training.networks.features import Vgg16
from uhrtranslate.training.networks.making import frozen, make_discriminator, make_generator
from uhrtranslate.training.networks.projectors import ConvProjector, draw_places
from uhrtranslate.training.options import DiscriminatorOptions, GanOptions, GeneratorOptions, Weight

# Greatest changes of a channel's gain and offset in the views that the projections learn from.
GAIN, OFFSET, NOISE = 0.4, 0.2, 0.05


class LSeSimOptions(GanOptions):
    """L-LSeSim's options.

    Attributes:
        adversarial, similarity: weights of the two losses.
        vgg: VGG16 weights in torchvision's layout (.pth, .safetensors), as the paper has; None:
            random weights, which recognise less.
        vgg_width: channels of the first convolutions; 64 with given weights.
        layers: rectified convolutions that are compared, counted from 1.
        patches: places per layer.
        window: side in feature px of the surroundings that a place is compared with.
        width: of the learned projections.
        temperature: of the contrast that they learn from.
    """

    generator: GeneratorOptions = GeneratorOptions(antialias=True, init="xavier")
    discriminator: DiscriminatorOptions = DiscriminatorOptions(antialias=True, init="xavier")
    adversarial: Weight = 1.0
    similarity: Weight = 10.0
    vgg: Path | None = None
    vgg_width: Annotated[int, Field(ge=1, le=64)] = 64
    layers: Annotated[
        tuple[Annotated[int, Field(ge=1, le=13)], ...], Field(min_length=1, max_length=13)
    ] = (4, 7, 9)
    patches: Annotated[int, Field(ge=2, le=65536)] = 256
    window: Annotated[int, Field(ge=2, le=512)] = 64
    width: Annotated[int, Field(ge=1, le=4096)] = 256
    temperature: Annotated[float, Field(gt=0)] = 0.07

    @model_validator(mode="after")
    def _weights_have_a_width(self) -> Self:
        if self.vgg is not None and self.vgg_width != 64:
            raise ValueError("vgg_width must be 64 with vgg, as its weights are")
        return self


class LSeSim(GeneratorMethod):
    """LSGAN one way, and self-similarity behind projections that learn by contrast.

    Raises:
        CheckpointError: the VGG16 weights cannot be used.
    """

    options_class = LSeSimOptions
    options: LSeSimOptions

    def __init__(self, options: LSeSimOptions) -> None:
        super().__init__(options)
        self.groups = {"projector": ("projector",), "judge": ("judge",), "A2B": ("A2B",)}
        vgg = Vgg16(options.layers, options.vgg, options.vgg_width)
        self.fixed["vgg"] = vgg
        projector = ConvProjector(vgg.channels, options.width)
        self.networks = nn.ModuleDict(
            {
                "A2B": make_generator(options.generator),
                "judge": make_discriminator(options.discriminator),
                "projector": projector,  # with torch's weights: tiny ones hold no contrast
            }
        )

    def step(self, samples: Samples) -> Iterator[Phase]:
        """See `Method`."""
        a, b, nets, options = samples["A"], samples["B"], self.networks, self.options
        vgg = self.fixed["vgg"]
        features = [vgg(x) for x in (a, other_look(a), b)]
        places = draw_places(features[0], options.patches)
        maps = [self._similarities(feature, places) for feature in features]
        contrasts = [
            similarity_contrast(query, same, other, options.temperature)
            for query, same, other in zip(*maps, strict=True)
        ]
        contrast = torch.stack(contrasts).mean()
        yield Phase("projector", contrast, {"contrast": contrast})

        fake = nets["A2B"](source_of(samples))
        judge = telling_apart("lsgan", nets["judge"], b, fake.detach())
        yield Phase("judge", judge, {"judge": judge})

        with frozen(nets["judge"], nets["projector"]):
            gan = adversarial("lsgan", nets["judge"](fake), True)
            places = draw_places(features[0], options.patches)
            with torch.no_grad():
                goal = self._similarities(features[0], places)
            own = self._similarities(vgg(fake), places)
            layers = [spatial_correlation(x, y) for x, y in zip(goal, own, strict=True)]
            similarity = torch.stack(layers).mean()
            loss = options.adversarial * gan + options.similarity * similarity
        yield Phase("A2B", loss, {"gan": gan, "similarity": similarity})

    def _similarities(self, features: list[Tensor], places: list[Tensor]) -> list[Tensor]:
        projected = self.networks["projector"](features)
        return [
            self_similarity(layer.float(), place, self.options.window)
            for layer, place in zip(projected, places, strict=True)
        ]


def other_look(x: Tensor) -> Tensor:
    """The same structure in other colours: gains, offsets and noise, drawn on the CPU.

    Args:
        x: [n, 3, h, w] in -1..1.

    Returns: the same shape and range.
    """
    n = len(x)
    gain = 1 + GAIN * (2 * torch.rand(n, 3, 1, 1) - 1)
    offset = OFFSET * (2 * torch.rand(n, 3, 1, 1) - 1)
    noise = NOISE * torch.randn(x.shape)
    return (x * gain.to(x) + offset.to(x) + noise.to(x)).clamp(-1, 1)
