"""A generator on its device: pixels in, pixels out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from uhrtranslate.engine.forward.actions import (
    AS_TRAINED,
    Action,
    Applier,
    FieldSource,
    MomentRule,
    Recorder,
    StatisticsComplete,
    plain_instance_norm,
)
from uhrtranslate.engine.forward.layers import NormSwitch, replace_norms
from uhrtranslate.engine.forward.stages import in_stages
from uhrtranslate.engine.statistics.moments import Moments
from uhrtranslate.enhance import are_matched, channels_of
from uhrtranslate.errors import CheckpointError, UhrError
from uhrtranslate.geometry import Box
from uhrtranslate.io import MOST_CHANNELS, Pixels
from uhrtranslate.models import Generator, GeneratorInfo
from uhrtranslate.models.stages import Stage, stages_of
from uhrtranslate.pixels import LUMA


class GeneratorRunner:
    """Feeds pixels to a generator and returns its output as pixels.

    0 to 255 of uint8, and 0 to 1 of float32, stand for the generator's range of values.

    The generator's norm layers are replaced in place; `switch` controls them.

    Args:
        generator: as loaded.
        device: where it runs; its weights are moved there.
        dtype: precision of the convolutions, by autocast; norm layers stay in float32.
        statistics_dtype: the same for passes that only record statistics; None: as `dtype`.

    Raises:
        CheckpointError: the generator's input or output is not what its facts say.
    """

    # Whether parts are computed stage by stage, where the generator has stages.
    by_stages: ClassVar[bool] = True

    def __init__(
        self,
        generator: Generator,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        statistics_dtype: torch.dtype | None = None,
    ) -> None:
        self.info: GeneratorInfo = generator.info
        _check_channels(generator)
        self.name = generator.name
        self.device = device
        self.dtype = dtype
        self.statistics_dtype = statistics_dtype
        self.module: nn.Module = generator.module.to(device).eval()
        self.switch: NormSwitch = replace_norms(self.module)
        self._norm_calls: int | None = None

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What parts of a result are computed by; none if all of a tile is computed at once."""
        # On a GPU, small parts would leave it idle.
        return stages_of(self.module) if self.by_stages and self.device.type == "cpu" else ()

    @contextmanager
    def at(self, dtype: torch.dtype) -> Iterator[None]:
        """Within the block, convolutions are computed at another precision."""
        previous, self.dtype = self.dtype, dtype
        try:
            yield
        finally:
            self.dtype = previous

    def plain(self, x: Tensor) -> Tensor:
        """One forward with plain instance normalization; see `forward` for shapes and errors."""
        return self.forward(x, plain_instance_norm)

    def normalize(self, x: Tensor, fields: FieldSource) -> Tensor:
        """One forward in which every norm layer applies its field."""
        return self.forward(x, Applier(fields))

    def normalize_part(self, x: Tensor, fields: FieldSource, part: Box) -> Tensor:
        """A part of what `normalize` gives, computed from no more of the input than it depends on.

        Args:
            x: see `forward`.
            fields: of all of x.
            part: in px from the corner of x.

        Returns:
            [n, c, part.h, part.w] float32; but for rounding the same as of the whole.
        """
        stages = self.stages
        if not stages or fields.size != tuple(x.shape[-2:]):
            return self.normalize(x, fields)[..., *part.slices]
        with torch.inference_mode(), self._precision():
            return in_stages(stages, x, part, self.info.stride, self._compute_stage, fields).float()

    def _compute_stage(
        self, stage: Stage, x: Tensor, fields: FieldSource, call: int
    ) -> tuple[Tensor, int]:
        """See `in_stages`."""
        with self.switch.doing(Applier(fields), call):
            return stage.module(x), self.switch.calls

    def record(self, x: Tensor, rule: MomentRule = AS_TRAINED) -> Moments:
        """The statistics of each sample at every norm layer; the forward ends at the last one."""
        recorder = Recorder(rule, self._norm_calls)
        with suppress(StatisticsComplete):
            self.forward(x, recorder, self.statistics_dtype)
        self._norm_calls = len(recorder.mean)
        return Moments(tuple(recorder.mean), tuple(recorder.std))

    def forward(self, x: Tensor, action: Action, dtype: torch.dtype | None = None) -> Tensor:
        """One forward, without gradients.

        Args:
            x: [n, c, h, w] float32 in the generator's value range, on its device.
            action: what the norm layers do.
            dtype: of the convolutions; None: the runner's.

        Returns:
            The output, [n, c, h, w] float32.

        Raises:
            CheckpointError: the output is not as large as the input.
        """
        with torch.inference_mode(), self._precision(dtype), self.switch.doing(action):
            return self._of_size(self.module(x), x)

    def with_gradients(self, x: Tensor, action: Action) -> Tensor:
        """One forward in float32, which may be part of a graph; else as `forward`."""
        with self.switch.doing(action):
            return self._of_size(self.module(x), x)

    def _precision(self, dtype: torch.dtype | None = None) -> torch.autocast:
        dtype = dtype or self.dtype
        return torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32)

    def _of_size(self, y: Tensor, x: Tensor) -> Tensor:
        """The output in float32, after checking that it is as large as the input."""
        if y.shape[-2:] != x.shape[-2:] or y.ndim != 4:
            raise CheckpointError(
                f"{self.name}: the generator turned {x.shape[-1]} x {x.shape[-2]} px into "
                f"an output of shape {list(y.shape)}; only generators that keep the size "
                f"of images can translate tiles."
            )
        return y.float()

    def to_input(self, pixels: Sequence[Pixels], mirror: int = 0) -> Tensor:
        """Pixels as the generator's input, mirrored by m px.

        Args:
            pixels: [h, w, in_channels] of equal shape and type, uint8 or float32 in 0..1, as
                `recipes.inputs` makes them; or RGB for a generator of grey.
            mirror: m.

        Returns:
            [n, in_channels, h + 2m, w + 2m] float32 in the value range.
        """
        if mirror:
            # Unlike torch, numpy can reflect more than once.
            around = ((mirror, mirror), (mirror, mirror), (0, 0))
            pixels = [np.pad(part, around, mode="reflect") for part in pixels]
        whole = pixels[0].dtype == np.uint8
        held = torch.uint8 if whole else torch.float32
        host = self._host_memory(held, len(pixels), *pixels[0].shape)
        np.stack(pixels, out=host.numpy())
        values = host.to(self.device, non_blocking=True)
        x = values.permute(0, 3, 1, 2).float()
        if self.info.in_channels == 1 and x.shape[1] == 3:
            luma = torch.tensor(LUMA).to(self.device, non_blocking=True)
            x = torch.einsum("nchw,c->nhw", x, luma)[:, None]
        low, high = self.info.value_range
        top = 255 if whole else 1
        return x.contiguous(memory_format=self.layout).mul_((high - low) / top).add_(low)

    @property
    def layout(self) -> torch.memory_format:
        """The fastest layout: on a GPU cuDNN likes both, but torch pads the usual one faster."""
        on_cpu = self.device.type == "cpu"
        return torch.channels_last if on_cpu else torch.contiguous_format

    def to_pixels(self, y: Tensor, bits: int = 8) -> list[Pixels]:
        """[n, c, h, w] float32 in the value range as pixels, [h, w, c] each; grey becomes RGB.

        Args:
            y: the output.
            bits: 8 (uint8, 0 to 255), 16 (uint16, 0 to 65535), or 32 (float32): the value range
                becomes the generator's output range, and what lies beyond is not clipped.

        Raises:
            UhrError: the output is not finite.
        """
        # A sum is finite only if all its numbers are, and takes a fortieth of the time of checking
        # each. Finite numbers so large that their sum is infinite are not a picture either.
        finite = torch.isfinite(y.sum())
        low, high = self.info.value_range
        if bits == 32:
            first, end = self.info.output_range
            values = y.sub(low).mul_((end - first) / (high - low)).add_(first)
        else:
            top = 2**bits - 1
            # Rounds half up, like torchvision's save_image.
            values = y.sub(low).mul_(top / (high - low)).add_(0.5).clamp_(0, top)
            values = values.to(torch.uint8 if bits == 8 else torch.uint16)
        samples = len(self.info.channel_names) or 3
        last = values.expand(-1, samples, -1, -1).permute(0, 2, 3, 1)
        pixels = list(self._host_memory(values.dtype, *last.shape).copy_(last).numpy())
        # Checked last, since the copy has already waited for the device.
        if not bool(finite):
            raise UhrError(
                f"{self.name}: the generator gave values that are not finite; "
                "use --precision fp32, or check the checkpoint."
            )
        return pixels

    def _host_memory(self, dtype: torch.dtype, *shape: int) -> Tensor:
        """Memory for pixels; pinned if there is a GPU, so that it can copy them by itself."""
        return torch.empty(shape, dtype=dtype, pin_memory=self.device.type == "cuda")


def _check_channels(generator: Generator) -> None:
    """Refuse a generator whose facts do not say what its input and output are."""
    info, how = generator.info, "uhrt models convert --"
    if info.is_foreign:  # it converts to nothing
        how = "a GeneratorInfo that comes with the network: its "
    named = ", ".join(info.inputs)
    try:
        made = channels_of(info.inputs) or info.in_channels
    except ValueError as error:
        raise CheckpointError(f"{generator.name}: its inputs do not fit: {error}.") from None
    if info.in_channels != made and (info.inputs, info.in_channels) != (("rgb",), 1):
        raise CheckpointError(
            f"{generator.name}: the generator takes {info.in_channels} channels, and its inputs "
            f"({named}) make {made}; say what they are with {how}inputs, as rgb,enhanced, or "
            "channels for those of the image."
        )
    if are_matched(info.inputs) and info.histogram is None:
        raise CheckpointError(
            f"{generator.name}: the generator takes {named}, but knows no histogram of the target; "
            f"store one with {how}histogram, as uhrt enhance --save-reference writes it."
        )
    if info.out_channels > MOST_CHANNELS or len(info.channels) not in (0, info.out_channels):
        raise CheckpointError(
            f"{generator.name}: the generator gives {info.out_channels} channels and names "
            f"{len(info.channels)}; name each of up to {MOST_CHANNELS} with {how}channels."
        )
