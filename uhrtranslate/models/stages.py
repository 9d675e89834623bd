"""Generators as stages that follow each other, so that each can be computed where it is needed.

A place of the result depends on less and less around it, the nearer to the end one looks; and the
layers near the image's resolution, which take most of the memory, see only a few px. Families whose
forward is a chain of such parts say so by a method `stages`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Stage:
    """A part of a generator, [n, c, h, w] in and out.

    Attributes:
        module: the part.
        before, after: px of the image that a feature of its input and of its output is wide.
        reach: px of the image around a place of its output that this depends on, norm layers
            aside; a multiple of the generator's stride.
        large: whether its feature maps are as large as the image.
    """

    module: nn.Module
    before: int
    after: int
    reach: int
    large: bool = False


def chain(head: nn.Module, blocks: Iterable[nn.Module], tail: nn.Module) -> tuple[Stage, ...]:
    """A generator that halves twice, with blocks of two 3x3 convolutions, and doubles twice.

    Args:
        head: a first convolution of 7 px, and of each scale a convolution and a filter of 3 px at
            most, as halvings have: 3 + 1 + 1 + 2 + 2 px.
        blocks: at a quarter of the size.
        tail: the same backwards, where a doubling sees one neighbour: 4 + 2 + 2 + 1 + 3 px.
    """
    return (
        Stage(head, 1, 4, 12, large=True),
        *(Stage(block, 4, 4, 8) for block in blocks),
        Stage(tail, 4, 1, 12, large=True),
    )


def stages_of(module: nn.Module) -> tuple[Stage, ...]:
    """The stages of a generator, with the layers that it has now; none if its family has none."""
    stages = getattr(module, "stages", None)
    return tuple(stages()) if callable(stages) else ()
