"""L-LSeSim (Zheng 2021): the result's learned self-similarity is that of the source."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from uhrtranslate.training.losses import (
    adversarial,
    self_similarity,
    similarity_contrast,
    spatial_correlation,
)
from uhrtranslate.training.method_options import LSeSimOptions
from uhrtranslate.training.methods.base import Method, Phase
from uhrtranslate.training.networks.features import Vgg16
from uhrtranslate.training.networks.generators import frozen, make_discriminator, make_generator
from uhrtranslate.training.networks.projectors import ConvProjector, draw_places

# Greatest changes of a channel's gain and offset in the views that the projections learn from.
GAIN, OFFSET, NOISE = 0.4, 0.2, 0.05


class LSeSim(Method):
    """LSGAN one way, and self-similarity behind projections that learn by contrast.

    Args:
        options: of the method.

    Raises:
        CheckpointError: the VGG16 weights cannot be used.
    """

    def __init__(self, options: LSeSimOptions) -> None:
        self.options = options
        self.groups = {name: (name,) for name in ("projector", "judge", "A2B")}
        self.generators = {"A2B": "A2B"}
        self.vgg = Vgg16(options.layers, options.vgg, options.vgg_width)
        projector = ConvProjector(self.vgg.channels, options.width)
        self.networks = nn.ModuleDict(
            {
                "A2B": make_generator(options.generator),
                "judge": make_discriminator(options.discriminator),
                "projector": projector,  # with torch's weights: tiny ones hold no contrast
            }
        )

    def step(self, a: Tensor, b: Tensor) -> Iterator[Phase]:
        """See `Method`."""
        nets, options = self.networks, self.options
        self.vgg.to(a.device)
        features = [self.vgg(x) for x in (a, other_look(a), b)]
        places = draw_places(features[0], options.patches)
        maps = [self._similarities(feature, places) for feature in features]
        contrasts = [
            similarity_contrast(query, same, other, options.temperature)
            for query, same, other in zip(*maps, strict=True)
        ]
        contrast = torch.stack(contrasts).mean()
        yield Phase("projector", contrast, {"contrast": contrast})

        fake = nets["A2B"](a)
        judge = 0.5 * (
            adversarial("lsgan", nets["judge"](b), True)
            + adversarial("lsgan", nets["judge"](fake.detach()), False)
        )
        yield Phase("judge", judge, {"judge": judge})

        with frozen(nets["judge"], nets["projector"]):
            gan = adversarial("lsgan", nets["judge"](fake), True)
            places = draw_places(features[0], options.patches)
            with torch.no_grad():
                goal = self._similarities(features[0], places)
            own = self._similarities(self.vgg(fake), places)
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
