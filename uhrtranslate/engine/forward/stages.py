"""A forward that applies fields, stage by stage: each computes what the later ones depend on.

The halo is computed where it matters: by the first layers all of it, by the last ones hardly any.
And stages with feature maps as large as the image are computed in strips, so that a tile's memory
is that of its small maps. Strips overlap by as much as a stage sees, which is exact: results differ
from those of the whole tile by no more than the rounding of convolutions of another shape.
"""

from collections.abc import Callable, Sequence

from torch import Tensor

from uhrtranslate.engine.forward.actions import FieldSource
from uhrtranslate.geometry import Box, spans
from uhrtranslate.models.stages import Stage

# Px of a strip at most, without its overlap, but for strips as low as the second number says.
STRIP_PIXELS, LOWEST_STRIP = 320 << 10, 128


def in_stages(
    stages: Sequence[Stage],
    x: Tensor,
    part: Box,
    stride: int,
    compute: Callable[[Stage, Tensor, FieldSource, int], tuple[Tensor, int]],
    fields: FieldSource,
) -> Tensor:
    """A part of the output of all stages.

    Args:
        stages: of a generator, as `stages_of` gives them.
        x: its input, [n, c, h, w]; sides are multiples of the stride.
        part: of the output, in px from the corner of x.
        stride: of the generator.
        compute: a stage, its input, fields of that, and how many norm layers were called before;
            gives the stage's output and how many have been called then.
        fields: of all of x.

    Returns:
        [n, c, part.h, part.w].
    """
    whole = Box(0, 0, x.shape[-1], x.shape[-2])
    # What each stage's input and output must have, from the last to the first.
    wanted = [_widened(part, 0, stride, whole)]
    for stage in reversed(stages):
        wanted.append(_widened(wanted[-1], stage.reach, stride, whole))
    wanted.reverse()
    box, call = whole, 0
    for stage, gives in zip(stages, wanted[1:], strict=True):
        made, begun = [], call
        for strip in _strips(gives, stride) if stage.large else [gives]:
            needs = _widened(strip, stage.reach, stride, whole)
            inside = _cut(x, box, needs, stage.before)
            y, call = compute(stage, inside, fields.within(needs), begun)
            made.append((_cut(y, needs, strip, stage.after), strip))
        x, box = _joined(made, gives, stage.after), gives
    return _cut(x, box, part, stages[-1].after)


def _widened(part: Box, reach: int, stride: int, whole: Box) -> Box:
    """A part and what is within reach of it, to multiples of the stride, inside the whole."""
    left, top = (max(start - reach, 0) // stride * stride for start in (part.x, part.y))
    right = min(-(-(part.x + part.w + reach) // stride) * stride, whole.w)
    bottom = min(-(-(part.y + part.h + reach) // stride) * stride, whole.h)
    return Box(left, top, right - left, bottom - top)


def _strips(part: Box, stride: int) -> list[Box]:
    """A part in strips of about equal height."""
    most = max(STRIP_PIXELS // part.w, LOWEST_STRIP)
    height = -(-part.h // -(-part.h // most))
    height = -(-height // stride) * stride
    return [Box(part.x, part.y + y0, part.w, y1 - y0) for y0, y1 in spans(part.h, height)]


def _cut(x: Tensor, box: Box, part: Box, scale: int) -> Tensor:
    """The features of a part of a box, as a view; each is as many px wide as the scale says."""
    top, left = (part.y - box.y) // scale, (part.x - box.x) // scale
    return x[..., top : top + part.h // scale, left : left + part.w // scale]


def _joined(made: Sequence[tuple[Tensor, Box]], part: Box, scale: int) -> Tensor:
    """A part that is put together of its strips."""
    first = made[0][0]
    if len(made) == 1:
        return first
    shape = len(first), part.h // scale, part.w // scale, first.shape[1]
    whole = first.new_empty(shape).permute(0, 3, 1, 2)
    for y, strip in made:
        _cut(whole, part, strip, scale).copy_(y)
    return whole
