"""Files, damaged as disks, networks and attackers damage them; the same seed, the same damage."""

import random
import re
import struct

EXTREMES = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 1,
)


def mutated(data, others, seed):
    """A damaged copy of a file.

    Args:
        data: the file, bytes.
        others: more files, from which pieces may be spliced in.
        seed: says which damage.
    """
    chance = random.Random(seed)
    damaged = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        damage = chance.choice(KINDS)
        damage(damaged, others, chance)
        if not damaged:
            break
    return bytes(damaged)


def _place(data, chance):
    """Headers are hit as often as all the rest."""
    end = len(data) if chance.random() < 0.5 else min(len(data), 2048)
    return chance.randrange(max(end, 1))


def _bits(data, others, chance):
    for _ in range(chance.choice((1, 1, 8, 64))):
        place = _place(data, chance)
        data[place : place + 1] = bytes([data[place] ^ 1 << chance.randrange(8)])


def _run(data, others, chance):
    place, length = _place(data, chance), chance.choice((1, 4, 64, 4096))
    length = min(length, len(data) - place)
    kind = chance.randrange(3)
    fill = bytes([(0, 255, 0)[kind]]) * length if kind < 2 else chance.randbytes(length)
    data[place : place + length] = fill


def _cut(data, others, chance):
    del data[_place(data, chance) :]


def _repeat(data, others, chance):
    start, length = _place(data, chance), chance.choice((4, 100, 5000))
    place = _place(data, chance)
    data[place:place] = data[start : start + length]


def _splice(data, others, chance):
    other = chance.choice(others)
    start, length = _place(other, chance), chance.choice((16, 1000, 20000))
    place = _place(data, chance)
    data[place : place + length] = other[start : start + length]


def _number(data, others, chance):
    size = chance.choice((1, 2, 4, 8))
    place = _place(data, chance) // size * size
    value = chance.choice(EXTREMES) & (2 ** (8 * size) - 1)
    order = chance.choice(("little", "big"))
    data[place : place + size] = value.to_bytes(size, order)


def _digits(data, others, chance):
    """A number written in text, as in XML, JSON and the descriptions of TIFFs."""
    found = list(re.finditer(rb"\d+", bytes(data[:200_000])))
    if found:
        start, end = chance.choice(found).span()
        length = end - start
        words = (b"9" * length, b"0" * length, b"-1".rjust(length, b"0"), b"9" * (length + 9))
        data[start:end] = chance.choice(words)


def _tag(data, others, chance):
    """A field of a TIFF directory: code, type, count or value."""
    if data[:2] not in (b"II", b"MM") or len(data) < 32:
        return _number(data, others, chance)
    end = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(f"{end}H", data, 2)[0] == 43
    (start,) = struct.unpack_from(end + ("Q" if big else "I"), data, 8 if big else 4)
    head, size = (8, 20) if big else (2, 12)
    if start + head > len(data):
        return None
    (count,) = struct.unpack_from(end + ("Q" if big else "H"), data, start)
    for _ in range(chance.choice((0, 0, 1, 2, 5))):  # to a page further on
        following = start + head + count * size
        if following + 8 > len(data):
            break
        (place,) = struct.unpack_from(end + ("Q" if big else "I"), data, following)
        if not 0 < place < len(data) - head:
            break
        start = place
        (count,) = struct.unpack_from(end + ("Q" if big else "H"), data, start)
    entry = start + head + chance.randrange(max(min(count, 40), 1)) * size
    fields = ((0, "H"), (2, "H"), (4, "Q" if big else "I"), (12 if big else 8, "Q" if big else "I"))
    # The pointer to the next directory too: cycles are made of it.
    place, kind = chance.choice([(entry + at, kind) for at, kind in fields])
    if chance.random() < 0.15:
        place, kind = start + head + count * size, "Q" if big else "I"
    if place + struct.calcsize(kind) > len(data):
        return None
    values = (*EXTREMES, start, chance.randrange(len(data)), chance.randrange(70000))
    value = chance.choice(values) & (2 ** (8 * struct.calcsize(kind)) - 1)
    struct.pack_into(end + kind, data, place, value)
    return None


KINDS = (_bits, _run, _cut, _repeat, _splice, _number, _number, _tag, _tag, _tag, _digits)
