"""The kernels, in Triton, which comes with torch for GPUs and compiles each in a second, once.

Features are [n, c, h, w] in memory with their channels innermost. All arithmetic is in float32.
"""

import triton
import triton.language as tl


@triton.jit
def moments(
    x, mean, square, pixels, c, tiles, ROWS: tl.constexpr, STEP: tl.constexpr, C: tl.constexpr
):
    """Mean, and sum of squared differences from it, of ROWS pixels of each channel."""
    tile, sample = tl.program_id(0), tl.program_id(2)
    channel = tl.program_id(1) * C + tl.arange(0, C)
    known = channel < c
    first = tile * ROWS
    x += sample.to(tl.int64) * pixels * c + first.to(tl.int64) * c
    # Differences from one of the values: little cancels out, however far from 0 they are.
    pivot = tl.load(x + channel, mask=known, other=0.0).to(tl.float32)
    once = tl.zeros([STEP, C], tl.float32)
    twice = tl.zeros([STEP, C], tl.float32)
    for step in range(0, ROWS, STEP):
        row = step + tl.arange(0, STEP)
        here = (first + row < pixels)[:, None] & known[None, :]
        value = tl.load(x + row[:, None] * c + channel[None, :], mask=here, other=0.0)
        off = tl.where(here, value.to(tl.float32) - pivot[None, :], 0.0)
        once += off
        twice += off * off
    count = tl.minimum(pixels - first, ROWS)
    apart = tl.sum(once, 0) / count
    place = (sample.to(tl.int64) * tiles + tile) * c + channel
    tl.store(mean + place, pivot + apart, mask=known)
    tl.store(square + place, tl.sum(twice, 0) - apart * apart * count, mask=known)


@triton.jit
def joined(
    mean,
    square,
    to_mean,
    to_var,
    pixels,
    c,
    tiles,
    divisor,
    ROWS: tl.constexpr,
    MANY: tl.constexpr,
    C: tl.constexpr,
):
    """Mean and variance of a channel, of the moments of its parts; in one order, in float64."""
    channel = tl.program_id(0) * C + tl.arange(0, C)
    sample = tl.program_id(1).to(tl.int64)
    known = channel < c
    mean += sample * tiles * c
    square += sample * tiles * c
    total = tl.zeros([C], tl.float64)
    for first in range(0, tiles, MANY):
        tile = first + tl.arange(0, MANY)
        here = (tile < tiles)[:, None] & known[None, :]
        count = tl.minimum(pixels - tile * ROWS, ROWS).to(tl.float64)
        own = tl.load(mean + tile[:, None] * c + channel[None, :], mask=here, other=0.0)
        total += tl.sum(tl.where(here, own.to(tl.float64) * count[:, None], 0.0), 0)
    centre = total / pixels
    total = tl.zeros([C], tl.float64)
    for first in range(0, tiles, MANY):
        tile = first + tl.arange(0, MANY)
        here = (tile < tiles)[:, None] & known[None, :]
        count = tl.minimum(pixels - tile * ROWS, ROWS).to(tl.float64)
        place = tile[:, None] * c + channel[None, :]
        off = tl.load(mean + place, mask=here, other=0.0).to(tl.float64) - centre[None, :]
        own = tl.load(square + place, mask=here, other=0.0).to(tl.float64)
        total += tl.sum(tl.where(here, own + off * off * count[:, None], 0.0), 0)
    tl.store(to_mean + sample * c + channel, centre.to(tl.float32), mask=known)
    tl.store(to_var + sample * c + channel, (total / divisor).to(tl.float32), mask=known)


@triton.jit(
    do_not_specialize=["h", "w", "out_h", "out_w", "top", "left", "cols_px", "cols_cell", "columns"]
)
def apply(
    x, out, centre, scale, cols, first, end, deficit, gain, gap_centre, gap_scale,
    shift, weight, bias, added,
    c, h, w, out_h, out_w, top, left, cols_px, cols_cell, columns,
    added_sample, added_row, added_px, slope,
    MODE: tl.constexpr, FIELD: tl.constexpr, DIVIDE: tl.constexpr, GAPS: tl.constexpr,
    SHIFT: tl.constexpr, WEIGHT: tl.constexpr, BIAS: tl.constexpr, ADDED: tl.constexpr,
    W: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """Normalize W pixels of a row of the padded result, and do what follows.

    MODE is of the padding: 0 zeros, 1 reflect, 2 replicate.
    """
    out_col = tl.program_id(0) * W + tl.arange(0, W)
    out_row = tl.program_id(1)
    blocks = tl.cdiv(c, C)
    sample = (tl.program_id(2) // blocks).to(tl.int64)
    channel = tl.program_id(2) % blocks * C + tl.arange(0, C)
    known = channel < c
    row, col = out_row - top, out_col - left
    inside = (row >= 0) & (row < h) & (col >= 0) & (col < w)
    if MODE == 1:
        row = tl.where(row < 0, -row, row)
        row = tl.where(row >= h, 2 * h - 2 - row, row)
        col = tl.where(col < 0, -col, col)
        col = tl.where(col >= w, 2 * w - 2 - col, col)
    else:
        row = tl.minimum(tl.maximum(row, 0), h - 1)
        col = tl.minimum(tl.maximum(col, 0), w - 1)
    # Of what lies beyond the last pixel of the result nothing is stored; it must be in the map.
    col = tl.minimum(tl.maximum(col, 0), w - 1)
    stored = (out_col < out_w)[:, None] & known[None, :]
    start = (sample * h + row) * w * c
    value = tl.load(x + start + col[:, None] * c + channel[None, :], mask=stored, other=0.0)
    value = value.to(tl.float32)
    if SHIFT:
        value += tl.load(shift + channel, mask=known, other=0.0)[None, :]
    if FIELD:
        mean = tl.zeros([W, C], tl.float32)
        spread = tl.zeros([W, C], tl.float32)
        place = row.to(tl.int64) * columns * c
        # The columns of cells that any of these pixels depends on: both ends grow with the pixel.
        low = tl.program_id(0) * W - left
        high = tl.minimum(low + W, out_w - left) - 1
        leftmost = tl.where(high < w, low, tl.minimum(low, 2 * w - 2 - high))
        rightmost = tl.where(low < 0, tl.maximum(high, -low), high)
        begin = tl.load(first + tl.minimum(tl.maximum(leftmost, 0), w - 1))
        stop = tl.load(end + tl.minimum(tl.maximum(rightmost, 0), w - 1))
        for column in range(begin, stop):
            share = tl.load(cols + col * cols_px + column * cols_cell)
            at = place + column * c + channel
            mean += share[:, None] * tl.load(centre + at, mask=known, other=0.0)[None, :]
            spread += share[:, None] * tl.load(scale + at, mask=known, other=0.0)[None, :]
        if GAPS:
            lack = tl.load(deficit + row * w + col)[:, None]
            up = tl.load(gain + row * w + col)[:, None]
            mean = (
                mean + tl.load(gap_centre + channel, mask=known, other=0.0)[None, :] * lack
            ) * up
            spread = (
                spread + tl.load(gap_scale + channel, mask=known, other=0.0)[None, :] * lack
            ) * up
    else:
        at = sample * c + channel
        mean = tl.load(centre + at, mask=known, other=0.0)[None, :]
        spread = tl.load(scale + at, mask=known, other=1.0)[None, :]
    value = (value - mean) / spread if DIVIDE else (value - mean) * spread
    if WEIGHT:
        value *= tl.load(weight + channel, mask=known, other=0.0)[None, :]
    if BIAS:
        value += tl.load(bias + channel, mask=known, other=0.0)[None, :]
    value = tl.where(value < 0, value * slope, value)
    if ADDED:
        at = sample * added_sample + row.to(tl.int64) * added_row + col[:, None] * added_px
        value += tl.load(added + at + channel[None, :], mask=stored, other=0.0).to(tl.float32)
    if MODE == 0:
        value = tl.where(inside[:, None], value, 0.0)
    target = out + (sample * out_h + out_row) * out_w * c
    place = out_col[:, None] * c + channel[None, :]
    tl.store(target + place, value.to(out.dtype.element_ty), mask=stored)


@triton.jit(do_not_specialize=["height", "h", "w"])
def sum_rows(
    x, out, bias, c, height, h, w,
    BIAS: tl.constexpr, K: tl.constexpr, HIGH: tl.constexpr, W: tl.constexpr,
):  # fmt: skip
    """Add up what each row of a filter gave; the result has its channels first."""
    col = tl.program_id(0) * W + tl.arange(0, W)
    row, sample = tl.program_id(1), tl.program_id(2).to(tl.int64)
    there = col < w
    for channel in tl.static_range(K):
        total = tl.zeros([W], tl.float32)
        for part in tl.static_range(HIGH):
            start = (sample * height + row + part) * w * c + part * K + channel
            total += tl.load(x + start + col * c, mask=there, other=0.0).to(tl.float32)
        if BIAS:
            total += tl.load(bias + channel)
        tl.store(out + ((sample * K + channel) * h + row) * w + col, total, mask=there)
