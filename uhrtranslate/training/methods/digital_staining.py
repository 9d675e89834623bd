"""Digital staining with knowledge distillation (Xu et al.), from unpaired images.

A student paints stained images from dark fields and their enhanced grey. It learns from a frozen
teacher, which has learned the colours of stained images from their lightness, from a discriminator,
and from a network that leads back to the dark field.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn, optim

from uhrtranslate.enhance import channels_of
from uhrtranslate.models import GeneratorInfo
from uhrtranslate.training.image_pool import ImagePool
from uhrtranslate.training.losses import adversarial, telling_apart
from uhrtranslate.training.methods.base import (
    GeneratorMethod,
    Phase,
    Samples,
    Stage,
    falling_rate,
    generator_facts,
    source_of,
)
from uhrtranslate.training.methods.colorizer import (
    ColorizerNetwork,
    chroma_error,
    load_colorizer,
)
from uhrtranslate.training.networks.making import frozen, make_discriminator, make_generator
from uhrtranslate.training.options import GanOptions, GeneratorOptions, Section, Weight

Epochs = Annotated[int, Field(ge=0)]


class TeacherOptions(Section):
    """The colorizer that the student learns from.

    Attributes:
        model: a trained one (see method colorizer); None: it is trained first, on data.b.
        ngf: channels at full size.
        norm: batch or instance.
        epochs, decay: of its training, at the full learning rate, then falling.
        lr: learning rate.
    """

    model: Path | None = None
    ngf: Annotated[int, Field(ge=1, le=512)] = 64
    norm: Literal["instance", "batch"] = "batch"
    epochs: Epochs = 200
    decay: Epochs = 100
    lr: Annotated[float, Field(gt=0, le=1)] = 1e-4


class StudentNetwork(GeneratorOptions):
    """The student.

    Attributes:
        inputs: rgb, then the grey plane that the teacher colours: enhanced, or for ablations
            standardised, or grey.
    """

    inputs: tuple[str, ...] = ("rgb", "enhanced")

    @field_validator("inputs")
    @classmethod
    def _inputs_have_grey(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(names) != 2 or names[0] != "rgb" or channels_of(names[1:]) != 1:
            raise ValueError("inputs must be rgb and a grey plane, such as [rgb, enhanced]")
        return names


class DigitalStainingOptions(GanOptions):
    """Options of digital staining; data.a are dark fields, data.b stained images.

    Attributes:
        teacher: a section, see `TeacherOptions`.
        adversarial, distillation, cycle: weights of the losses; at 0, what a loss needs is left
            out: the discriminator, the teacher, the network back.
        pool: earlier results that the discriminator is shown again.
    """

    generator: StudentNetwork = StudentNetwork()
    teacher: TeacherOptions = TeacherOptions()
    epochs: Epochs = 200
    decay: Epochs = 100
    lr: Annotated[float, Field(gt=0, le=1)] = 1e-4
    adversarial: Weight = 1.0
    distillation: Weight = 5.0
    cycle: Weight = 80.0
    pool: Annotated[int, Field(ge=0, le=10_000)] = 50


class DigitalStaining(GeneratorMethod):
    """LSGAN, distillation from a colorizer, and the way back.

    Raises:
        CheckpointError: the given teacher cannot be read, or is none.
    """

    options_class = DigitalStainingOptions
    options: DigitalStainingOptions

    def __init__(self, options: DigitalStainingOptions) -> None:
        super().__init__(options)
        self.networks = nn.ModuleDict({"A2B": make_generator(options.generator)})
        self.groups = {"student": ("A2B",)}
        if options.cycle:
            self.networks["back"] = make_generator(options.generator.backwards)
            self.groups["student"] += ("back",)
        if options.adversarial:
            self.networks["judge"] = make_discriminator(options.discriminator)
            self.groups["discriminator"] = ("judge",)
        teacher, self.taught = options.teacher, bool(options.distillation)
        if self.taught and teacher.model is not None:
            self.fixed["teacher"] = load_colorizer(teacher.model)
        elif self.taught:
            self.networks["teacher"] = make_generator(self.teacher_network)
            self.groups["teacher"] = ("teacher",)
            self.exported = {"A2B": "A2B", "teacher": "teacher"}
        self.pool = ImagePool(options.pool)

    @property
    def teacher_network(self) -> ColorizerNetwork:
        """What a teacher that is trained first is like."""
        teacher = self.options.teacher
        inputs = self.options.generator.inputs[-1:]
        return ColorizerNetwork(ngf=teacher.ngf, norm=teacher.norm, inputs=inputs)

    def optimisers(self) -> dict[str, optim.Optimizer]:
        """See `Method`; the teacher has a rate of its own."""
        made = super().optimisers()
        for settings in made["teacher"].param_groups if "teacher" in made else ():
            settings["lr"] = self.options.teacher.lr
        return made

    def stages(self) -> list[Stage]:
        """The teacher, unless one is given; then the student."""
        student = super().stages()
        if "teacher" not in self.networks:
            return student
        constant, decay = self.options.teacher.epochs, self.options.teacher.decay
        rate = lambda _, n: falling_rate(n, constant, decay)  # noqa: E731
        named = Stage(student[0].epochs, student[0].step, student[0].rate, "student")
        return [Stage(constant + decay, self.teach, rate, "teacher"), named]

    def teach(self, samples: Samples) -> Iterator[Phase]:
        """The step of the teacher."""
        loss = chroma_error(self.networks["teacher"].train(), samples["B"])
        yield Phase("teacher", loss, {"chroma": loss})

    def step(self, samples: Samples) -> Iterator[Phase]:
        """See `Method`."""
        nets, options, b = self.networks, self.options, samples["B"]
        fake = nets["A2B"](source_of(samples))
        loss, parts = self.errors(fake, samples)
        if options.adversarial:
            with frozen(nets["judge"]):
                parts["gan"] = adversarial("lsgan", nets["judge"](fake), True)
            loss = loss + options.adversarial * parts["gan"]
        yield Phase("student", loss, parts)
        if options.adversarial:
            judge = telling_apart("lsgan", nets["judge"], b, self.pool.swap(fake.detach()))
            yield Phase("discriminator", judge, {"judge": judge})

    def errors(self, fake: Tensor, samples: Samples) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum of the losses without a discriminator, and its parts."""
        parts, loss = {}, torch.zeros((), device=fake.device)
        if self.taught:
            parts["distillation"] = F.l1_loss(fake, self.lesson(samples))
            loss = loss + self.options.distillation * parts["distillation"]
        if self.options.cycle:
            parts["cycle"] = F.l1_loss(self.networks["back"](fake), samples["A"])
            loss = loss + self.options.cycle * parts["cycle"]
        return loss, parts

    @torch.no_grad()
    def lesson(self, samples: Samples) -> Tensor:
        """What the teacher makes of the grey plane, [n, 3, h, w] in -1..1."""
        place = self.fixed if "teacher" in self.fixed else self.networks
        colours: Tensor = place["teacher"].eval()(source_of(samples)[:, -1:])
        return colours

    def pictures(self, exports: dict[str, nn.Module], samples: Samples) -> list[Tensor]:
        """Dark field, grey plane, the teacher's colours if there is one, the student's."""
        planes = source_of(samples)
        rows = [samples["A"], planes[:, -1:].expand(-1, 3, -1, -1)]
        if self.taught:
            training = self.networks.training
            rows.append(self.lesson(samples))
            self.networks.train(training)
        rows.append(exports["A2B"](planes))
        return [*rows, samples["B"]] if self.paired else rows

    def generator_info(self, direction: str, mpp: float | None) -> GeneratorInfo:
        """See `Method`; the direction `teacher` is A2B by the teacher alone."""
        if direction != "teacher":
            return super().generator_info(direction, mpp)
        return generator_facts(self.options, self.teacher_network, "A2B", mpp)

    def state(self) -> dict[str, Any]:
        """See `Method`."""
        return {"pool": list(self.pool.images)}

    def load_state(self, state: dict[str, Any]) -> None:
        """See `Method`."""
        device = next(self.networks.parameters()).device
        self.pool.images = [image.to(device) for image in state["pool"]]
