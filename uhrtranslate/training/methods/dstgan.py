"""DSTGAN (Du et al.): grey is coloured in the target's look, with deep supervision in two stages.

Patches of the target (B) are coloured under supervision. Those of the source (A) have no truth:
their first colouring is judged by structure and by its histogram, and then becomes the label of a
second stage, which colours the grey of the first. Where the paper leaves a choice, an option says
which.

What keeps grey keeps lightness, too. So the source's grey is by default toned first, once per
slide, to be as dense as the target; the paper's grey is `generator: {inputs: [grey]}`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from uhrtranslate.models.swin_unet import SwinUnet
from uhrtranslate.training.appearance import change_appearance
from uhrtranslate.training.losses import Gan, adversarial
from uhrtranslate.training.methods.base import GeneratorMethod, Phase, Samples, source_of
from uhrtranslate.training.networks.making import (
    frozen,
    initialise,
    make_discriminator,
    make_generator,
)
from uhrtranslate.training.networks.texture import LAYERS, TextureDiscriminator
from uhrtranslate.training.options import (
    Count,
    GanOptions,
    GeneratorOptions,
    Share,
    Weight,
)
from uhrtranslate.training.stain_losses import chroma_histogram, content, grey, hellinger, ssim

PATCH = 256
Look = tuple[float, float, float]
"""Greatest changes of blur, contrast and saturation, as of `change_appearance`."""


class DstganOptions(GanOptions):
    """DSTGAN's options. A weight of 0 leaves a part out.

    Attributes:
        source, target: folders or images, other names of `data.a` and `data.b`.
        outputs: weights of the generator's pictures, the coarsest first; without
            `generator.deep` only the result counts.
        supervised: weight of the difference from the target's own colours (eq. 1).
        content: weight of the difference of the texture discriminator's features (eq. 4).
        content_layers: weights of its four layers.
        alpha: weight of what the discriminators say (eqs. 2, 3).
        gan: vanilla (cross-entropy, non-saturating) or lsgan.
        colour_source: whether the source is coloured in training at all (eq. 13).
        ssim: weight of the structure of the source's grey (eq. 7).
        histogram: weight of the target's histogram (eq. 9).
        content_first: weight of eq. 4 between the source and its first colouring, which the paper
            names and then leaves out.
        two_stage: whether the first colouring teaches a second stage (eqs. 11, 12).
        beta: how fast the second stage counts less as the first is worse.
        confidence: what the first stage is judged by for that: all of its losses, or without what
            the discriminators say.
        second_weights: of the pictures of the second stage made of the first's: products of
            `outputs`, or the first stage's alone, as printed, which is three times as much.
        judge_steps: steps of the discriminators for each of the generator.
        texture_width: channels of the texture discriminator after its first convolution.
        texture_grey: whether it sees grey instead of colours.
        bins, reach, tau: of histograms: bins along each axis, where the axes end, width of kernels.
        blur, contrast, saturation: greatest changes of the generator's input: standard deviation in
            px, and shares. The target keeps its own colours as its goal.
        consistency: weight of the difference between two decoders' pictures of the source, as in
            CAGAN; 0: one decoder.
    """

    generator: GeneratorOptions = GeneratorOptions(architecture="swin-unet", inputs=("toned",))
    epochs: Annotated[int, Field(ge=0)] = 50
    decay: Annotated[int, Field(ge=0)] = 0
    batch: Annotated[int, Field(ge=1, le=1024)] = 2
    outputs: tuple[Weight, Weight, Weight] = (0.1, 0.3, 0.6)
    supervised: Weight = 1.0
    content: Weight = 1.0
    content_layers: tuple[Weight, Weight, Weight, Weight] = (0.1, 0.2, 0.3, 0.4)
    alpha: Weight = 0.5
    gan: Gan = "vanilla"
    colour_source: bool = True
    ssim: Weight = 1.0
    histogram: Weight = 1.0
    content_first: Weight = 0.0
    two_stage: bool = True
    beta: Weight = 4.0
    confidence: Literal["all", "pictures"] = "all"
    second_weights: Literal["product", "first"] = "product"
    judge_steps: Count = 1
    texture_width: Annotated[int, Field(ge=1, le=512)] = 64
    texture_grey: bool = False
    bins: Annotated[int, Field(ge=4, le=256)] = 64
    reach: Annotated[float, Field(gt=0, le=20)] = 3.0
    tau: Annotated[float, Field(gt=0, le=10)] = 0.02
    blur: Annotated[float, Field(ge=0, le=5)] = 0.5
    contrast: Share = 0.1
    saturation: Share = 0.1
    consistency: Weight = 0.0

    @model_validator(mode="before")
    @classmethod
    def _name_domains(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("data", {}), dict):
            return values
        values = dict(values)
        data = {"patch": PATCH, **values.get("data", {})}
        for name, domain in (("source", "a"), ("target", "b")):
            place = values.pop(name, None)
            if place is None:
                continue
            if data.get(domain) is not None:
                raise ValueError(f"{name} is another name of data.{domain}; leave one out")
            data[domain] = place
        for name, domain in (("source", "a"), ("target", "b")):
            if data.get(domain) is None:
                raise ValueError(f"{name} is missing; name a folder or an image")
        return {**values, "data": data}

    @model_validator(mode="after")
    def _fits_dstgan(self) -> Self:
        if self.generator.inputs not in (("toned",), ("grey",)):
            raise ValueError("dstgan colours grey; set generator.inputs: [toned] or [grey]")
        if self.data.patch % 2**LAYERS:
            raise ValueError(f"data.patch must be a multiple of {2**LAYERS}")
        if self.consistency and self.generator.architecture != "swin-unet":
            raise ValueError("consistency needs generator.architecture: swin-unet")
        if not (self.supervised or self.content or self.alpha or self.colour_source):
            raise ValueError("all weights are 0, so nothing would be learned")
        return self


@dataclass(frozen=True)
class _Coloured:
    """Pictures that one pass of the generator made, and how much each counts.

    Attributes:
        name: of the pass, for the log.
        pictures: [n, 3, h, w] each, in -1..1.
        weights: of each.
        results: those of full detail, which textures are judged by, and their weights.
    """

    name: str
    pictures: list[Tensor]
    weights: list[float]
    results: list[tuple[Tensor, float]]


class Dstgan(GeneratorMethod):
    """Supervised colouring of the target, and of the source in two stages."""

    options_class = DstganOptions
    options: DstganOptions

    def __init__(self, options: DstganOptions) -> None:
        super().__init__(options)
        generator = make_generator(options.generator)
        made = {"A2B": generator}
        if isinstance(generator, SwinUnet):
            generator.start_from_grey()
        if options.consistency:
            other = make_generator(options.generator)
            assert isinstance(other, SwinUnet)
            made["second"] = other.decoder
        judges: dict[str, nn.Module] = {}
        if options.alpha:
            judges["judge_colour"] = make_discriminator(options.discriminator)
        if options.alpha or options.content or options.content_first:
            network = TextureDiscriminator(
                1 if options.texture_grey else 3, options.texture_width, options.data.patch
            )
            judges["judge_texture"] = initialise(network, options.discriminator.init)
        self.groups = {"generator": tuple(made)}
        if judges:
            self.groups["judges"] = tuple(judges)
        self.networks = nn.ModuleDict(made | judges)

    def step(self, samples: Samples) -> Iterator[Phase]:
        """See `Method`."""
        options = self.options
        look = (options.blur, options.contrast, options.saturation)
        target, source = samples["B"], change_appearance(samples["A"], *look)
        y = self._source_grey(samples, source, look)
        passes = [self._colour("target", grey(change_appearance(target, *look)))]
        if options.colour_source:
            passes.append(self._colour("first", y))
            if options.two_stage:
                passes.append(self._again(passes[-1]))
        if "judges" in self.groups:
            for _ in range(options.judge_steps):
                yield self._judge(passes, source, target)
        with frozen(*(self.networks[name] for name in self.groups.get("judges", ()))):
            loss, parts = self._target_loss(passes[0], target)
            if options.consistency:
                second, more = self._second_decoder(y, target, look)
                loss, parts = loss + second, parts | more
            if options.colour_source:
                more_loss, more = self._source_loss(passes[1:], y, source, target)
                loss, parts = loss + more_loss, parts | more
            yield Phase("generator", loss, parts)

    # Passes of the generator.

    def _source_grey(self, samples: Samples, source: Tensor, look: Look) -> Tensor:
        """What is coloured of the source, [n, 1, h, w]: its toned grey, changed too, or its own."""
        if self.options.generator.inputs == ("grey",):
            return grey(source)
        return grey(change_appearance(samples["planes"].expand(-1, 3, -1, -1), *look))

    def _pictures(self, x: Tensor) -> list[Tensor]:
        network = self.networks["A2B"]
        return network.pictures(x) if isinstance(network, SwinUnet) else [network(x)]

    def _weights(self, pictures: Sequence[Tensor]) -> list[float]:
        return list(self.options.outputs) if len(pictures) == 3 else [1.0]

    def _colour(self, name: str, x: Tensor) -> _Coloured:
        pictures = self._pictures(x)
        return _Coloured(name, pictures, self._weights(pictures), [(pictures[-1], 1.0)])

    def _again(self, first: _Coloured) -> _Coloured:
        """Colour the grey of each picture of the first stage, which gets no gradient by this."""
        again = self._pictures(grey(torch.cat(first.pictures).detach()))
        inner = self._weights(again)
        if self.options.second_weights == "first":
            inner = [1.0] * len(inner)
        # By picture of the first stage, then by picture of the second.
        rows = list(zip(*(one.chunk(len(first.pictures)) for one in again), strict=True))
        pictures = [picture for row in rows for picture in row]
        weights = [w * v for w in first.weights for v in inner]
        results = [(row[-1], w) for row, w in zip(rows, first.weights, strict=True)]
        return _Coloured("second", pictures, weights, results)

    # Discriminators.

    def _seen(self, x: Tensor) -> Tensor:
        """What the texture discriminator sees of a picture."""
        return grey(x) if self.options.texture_grey else x

    def _score(self, done: _Coloured, real: bool) -> Tensor:
        """How far all scores of a pass are from the right answer."""
        texture = [(self._seen(picture), weight) for picture, weight in done.results]
        colour = list(zip(done.pictures, done.weights, strict=True))
        total = self._scored("judge_colour", colour, real)
        return total + self._scored("judge_texture", texture, real)

    def _scored(self, judge: str, shown: list[tuple[Tensor, float]], real: bool) -> Tensor:
        kind = self.options.gan
        scores = self.networks[judge](torch.cat([x for x, _ in shown])).chunk(len(shown))
        losses = zip(scores, shown, strict=True)
        return torch.stack([w * adversarial(kind, score, real) for score, (_, w) in losses]).sum()

    def _judge(self, passes: Sequence[_Coloured], source: Tensor, target: Tensor) -> Phase:
        """Both discriminators' losses; all passes count alike."""
        parts = {}
        kind = self.options.gan
        for name in self.groups["judges"]:
            judge, fakes = self.networks[name], []
            if name == "judge_colour":
                real = adversarial(kind, judge(target), True)
            else:
                both = [self._seen(x) for x in (source, target)]
                real = torch.stack([adversarial(kind, judge(x), True) for x in both]).mean()
            for done in passes:
                shown = [(x.detach(), w) for x, w in zip(done.pictures, done.weights, strict=True)]
                if name == "judge_texture":
                    shown = [(self._seen(x).detach(), w) for x, w in done.results]
                fakes.append(self._scored(name, shown, False) / sum(w for _, w in shown))
            parts[name] = 0.5 * (real + torch.stack(fakes).mean())
        return Phase("judges", torch.stack(list(parts.values())).sum(), parts)

    def _content(self, shown: Sequence[tuple[Tensor, float]], goals: Sequence[Tensor]) -> Tensor:
        judge = self.networks["judge_texture"]
        assert isinstance(judge, TextureDiscriminator)
        losses = []
        for (picture, weight), goal in zip(shown, goals, strict=True):
            with torch.no_grad():
                wanted = judge.features(self._seen(goal))
            found = judge.features(self._seen(picture))
            losses.append(weight * content(found, wanted, self.options.content_layers))
        return torch.stack(losses).sum()

    # The generator's losses.

    def _target_loss(self, done: _Coloured, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 5."""
        options = self.options
        parts = {}
        total = torch.zeros((), device=target.device)
        if options.supervised:
            parts["supervised"] = _differences(done, [target] * len(done.pictures))
            total = total + options.supervised * parts["supervised"]
        if options.content:
            parts["content"] = self._content(done.results, [target])
            total = total + options.content * parts["content"]
        if options.alpha:
            parts["gan"] = self._score(done, True)
            total = total + options.alpha * parts["gan"]
        return total, parts

    def _source_loss(
        self, passes: Sequence[_Coloured], y: Tensor, source: Tensor, target: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 13; y is the grey that the first stage was made of."""
        options, first = self.options, passes[0]
        parts = {}
        pictures = torch.zeros((), device=source.device)
        if options.ssim:
            parts["ssim"] = self._structure(first, y)
            pictures = pictures + options.ssim * parts["ssim"]
        if options.histogram:
            parts["histogram"] = self._chroma(first, target)
            pictures = pictures + options.histogram * parts["histogram"]
        total = pictures
        if options.alpha:
            parts["gan_first"] = self._score(first, True)
            total = total + options.alpha * parts["gan_first"]
        judged = total if options.confidence == "all" else pictures
        if options.content_first:
            parts["content_first"] = self._content(first.results, [source])
            total = total + options.content_first * parts["content_first"]
        for second in passes[1:]:
            # Detached, as the first stage must not become worse for the second to count less.
            trust = torch.exp(-options.beta * judged.detach()).clamp(0, 1)
            loss, more = self._second_loss(first, second)
            total, parts = total + trust * loss, parts | more | {"confidence": trust}
        return total, parts

    def _structure(self, first: _Coloured, y: Tensor) -> Tensor:
        """Eq. 7."""
        pairs = zip(first.pictures, first.weights, strict=True)
        return torch.stack([w * (1 - ssim(_unit(y), _unit(grey(x)))) for x, w in pairs]).sum()

    def _chroma(self, first: _Coloured, target: Tensor) -> Tensor:
        """Eq. 9."""
        shape = (self.options.bins, self.options.reach, self.options.tau)
        with torch.no_grad():
            goal = chroma_histogram(_unit(target), *shape)
        found = chroma_histogram(_unit(torch.cat(first.pictures)), *shape)
        pairs = zip(found.chunk(len(first.pictures)), first.weights, strict=True)
        return torch.stack([w * hellinger(one, goal).mean() for one, w in pairs]).sum()

    def _second_loss(self, first: _Coloured, second: _Coloured) -> tuple[Tensor, dict[str, Tensor]]:
        """Eqs. 11 and 12 without the weight."""
        options = self.options
        labels = [x.detach() for x in first.pictures]
        each = len(second.pictures) // len(labels)
        repeated = [label for label in labels for _ in range(each)]
        parts = {"second": _differences(second, repeated)}
        total = parts["second"]
        if options.content:
            parts["content_second"] = self._content(second.results, labels)
            total = total + options.content * parts["content_second"]
        if options.alpha:
            parts["gan_second"] = self._score(second, True)
            total = total + options.alpha * parts["gan_second"]
        return total, parts

    def _second_decoder(
        self, source: Tensor, target: Tensor, look: Look
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """CAGAN's other decoder: it colours the target, too, and the source as the first does."""
        network, other = self.networks["A2B"], self.networks["second"]
        assert isinstance(network, SwinUnet)
        y = grey(change_appearance(target, *look))
        made = other(network.encoder(y), y, True)
        alone = _Coloured("other", made, self._weights(made), [])
        known = _differences(alone, [target] * len(made))
        features = network.encoder(source)
        one, two = network.decoder(features, source, True), other(features, source, True)
        pairs = zip(one, two, self._weights(one), strict=True)
        apart = torch.stack([w * F.l1_loss(x, z) for x, z, w in pairs]).sum()
        loss = self.options.supervised * known + self.options.consistency * apart
        return loss, {"supervised_other": known, "consistency": apart}

    def pictures(self, exports: dict[str, nn.Module], samples: Samples) -> list[Tensor]:
        """See `Method`; the target is coloured, too, as its own colours are known."""
        rows = []
        for x, y in ((samples["A"], source_of(samples)), (samples["B"], grey(samples["B"]))):
            rows += [x, exports["A2B"](y)]
        return rows


def _differences(done: _Coloured, goals: Sequence[Tensor]) -> Tensor:
    """Weighted mean absolute differences (eqs. 1 and 11)."""
    triples = zip(done.pictures, goals, done.weights, strict=True)
    return torch.stack([w * F.l1_loss(x, goal) for x, goal, w in triples]).sum()


def _unit(x: Tensor) -> Tensor:
    """-1..1 to 0..1."""
    return (x + 1) / 2
