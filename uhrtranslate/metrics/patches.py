"""Where patches are cut for figures over populations."""

import numpy as np

Box = tuple[int, int, int, int]  # x, y, w, h in px


def patches_across_borders(
    width: int, height: int, period: int, size: int, count: int, seed: int
) -> list[Box]:
    """Boxes with a tile border in their middle half, so that a seam is in plain sight.

    The DN paper cuts its patches across the grid of the inference. Here, borders of both axes are
    drawn with equal probability, wherever an axis has one with room for a patch on both sides.

    Args:
        width, height: of the image in px.
        period: of the grid in px; its first line is the image's edge.
        size: of the square patches in px.
        count: of boxes; they may overlap.
        seed: of the draw.

    Returns: (x, y, w, h) inside the image; none where no border has room for a patch.

    Raises:
        ValueError: the period, the size or the count is below 1.
    """
    _check(period, size, count)
    random = np.random.default_rng(seed)
    if size > min(width, height):
        return []
    columns, rows = (_lines(length, period, size) for length in (width, height))
    axes = [axis for axis, lines in enumerate((columns, rows)) if len(lines)]
    boxes: list[Box] = []
    for _ in range(count if axes else 0):
        start = [int(random.integers(0, length - size + 1)) for length in (width, height)]
        axis = axes[int(random.integers(len(axes)))]
        line = int(random.choice((columns, rows)[axis]))
        room = (width, height)[axis] - size
        jitter = int(random.integers(-(size // 4), size // 4 + 1))
        start[axis] = min(max(line - size // 2 + jitter, 0), room)
        boxes.append((start[0], start[1], size, size))
    return boxes


def random_patches(width: int, height: int, size: int, count: int, seed: int) -> list[Box]:
    """Boxes anywhere, as of a real population that knows no grid.

    Args: see `patches_across_borders`.

    Returns: (x, y, w, h) inside the image; none where the image is smaller than a patch.

    Raises:
        ValueError: the size or the count is below 1.
    """
    _check(1, size, count)
    if size > min(width, height):
        return []
    random = np.random.default_rng(seed)
    x = random.integers(0, width - size + 1, count)
    y = random.integers(0, height - size + 1, count)
    return [(int(left), int(top), size, size) for left, top in zip(x, y, strict=True)]


def _lines(length: int, period: int, size: int) -> range:
    """Borders that a patch inside the image can have in its middle."""
    half = size // 2
    first = -(-half // period) or 1
    last = (length - (size - half)) // period
    return range(period * first, period * last + 1, period)


def _check(period: int, size: int, count: int) -> None:
    if min(period, size, count) < 1:
        raise ValueError(f"period {period}, size {size}, count {count}: 1 or more is needed")
