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


def mutated(data, name, case, other=b""):
    """A damaged copy of a file.

    Args:
        data: the file, bytes.
        name: of the file; with `case` it says which damage, whatever other files there are.
        case: number of the damage.
        other: another file, from which pieces may be spliced in; none: from this one.
    """
    chance = random.Random(f"{name} {case}")
    damaged = bytearray(data)
    kinds = TIFF_KINDS if data[:2] in (b"II", b"MM") else KINDS
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        damage = chance.choice(kinds)
        damage(damaged, other or data, chance)
        if not damaged:
            break
    return bytes(damaged)


def _place(data, chance):
    """Headers are hit as often as all the rest."""
    end = len(data) if chance.random() < 0.5 else min(len(data), 2048)
    return chance.randrange(max(end, 1))


def _bits(data, other, chance):
    for _ in range(chance.choice((1, 1, 8, 64))):
        place = _place(data, chance)
        data[place : place + 1] = bytes([data[place] ^ 1 << chance.randrange(8)])


def _run(data, other, chance):
    place, length = _place(data, chance), chance.choice((1, 4, 64, 4096))
    length = min(length, len(data) - place)
    kind = chance.randrange(3)
    fill = bytes([(0, 255, 0)[kind]]) * length if kind < 2 else chance.randbytes(length)
    data[place : place + length] = fill


def _cut(data, other, chance):
    del data[_place(data, chance) :]


def _repeat(data, other, chance):
    start, length = _place(data, chance), chance.choice((4, 100, 5000))
    place = _place(data, chance)
    data[place:place] = data[start : start + length]


def _splice(data, other, chance):
    start, length = _place(other, chance), chance.choice((16, 1000, 20000))
    place = _place(data, chance)
    data[place : place + length] = other[start : start + length]


def _number(data, other, chance):
    size = chance.choice((1, 2, 4, 8))
    place = _place(data, chance) // size * size
    value = chance.choice(EXTREMES) & (2 ** (8 * size) - 1)
    order = chance.choice(("little", "big"))
    data[place : place + size] = value.to_bytes(size, order)


def _digits(data, other, chance):
    """A number written in text, as in XML, JSON and the descriptions of TIFFs."""
    found = list(re.finditer(rb"\d+", bytes(data[:200_000])))
    if found:
        start, end = chance.choice(found).span()
        length = end - start
        words = (b"9" * length, b"0" * length, b"-1".rjust(length, b"0"), b"9" * (length + 9))
        data[start:end] = chance.choice(words)


def _tag(data, other, chance):
    """A field of a TIFF directory: code, type, count, value, or one number of a table."""
    entries = list(_entries(data))
    if not entries:
        return _number(data, other, chance)
    order, big, place = chance.choice(entries)
    wide, size = ("Q", 8) if big else ("I", 4)
    kind, count = struct.unpack_from(order + "H" + wide, data, place + 2)
    form = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(kind, wide)
    width = struct.calcsize(form)
    value = place + 4 + size
    choices = [(place, "H"), (place + 2, "H"), (place + 4, wide), (value, wide), (value, form)]
    if count * width > size:  # the numbers lie elsewhere
        (start,) = struct.unpack_from(order + wide, data, value)
        choices += [(start + width * chance.randrange(min(count, 1000)), form)] * 3
    at, form = chance.choice(choices)
    width = struct.calcsize(form)
    if at + width > len(data):
        return None
    (old,) = struct.unpack_from(order + form, data, at)
    values = (
        *EXTREMES, place, chance.randrange(len(data)), chance.randrange(70000), len(data),
        len(data) - 1, old - 1, old + 1, old * 2, old // 2,
        *[old ^ 1 << chance.randrange(8 * width)] * 12,
    )  # fmt: skip
    struct.pack_into(order + form, data, at, chance.choice(values) & (2 ** (8 * width) - 1))
    return None


def _link(data, other, chance):
    """The pointer from one directory of a TIFF to the next: circles are made of it."""
    places = [(order, big, end) for order, big, _, end in _directories(data)]
    if places:
        order, big, end = chance.choice(places)
        form = "Q" if big else "I"
        if end + struct.calcsize(form) <= len(data):
            target = chance.choice((0, 8, 16, end, chance.randrange(len(data)), len(data)))
            struct.pack_into(order + form, data, end, target)


def _directories(data):
    """Directories of a TIFF, those below others too: byte order, BigTIFF?, entries, their end."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]))
    if order is None or len(data) < 16:
        return
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    wide, head, size = ("Q", 8, 20) if big else ("I", 2, 12)
    todo, seen = [struct.unpack_from(order + wide, data, 8 if big else 4)[0]], set()
    while todo and len(seen) < 20:
        start = todo.pop()
        if start in seen or not 0 < start <= len(data) - head:
            continue
        seen.add(start)
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
        entries = [start + head + size * n for n in range(min(count, 60))]
        entries = [place for place in entries if place + size <= len(data)]
        end = start + head + size * count
        yield order, big, entries, end
        if end + struct.calcsize(wide) <= len(data):
            todo.append(struct.unpack_from(order + wide, data, end)[0])
        todo += [
            struct.unpack_from(order + wide, data, place + (12 if big else 8))[0]
            for place in entries
            if struct.unpack_from(order + "H", data, place)[0] == 330
        ]


def _entries(data):
    for order, big, entries, _ in _directories(data):
        for place in entries:
            yield order, big, place


KINDS = (_bits, _run, _cut, _repeat, _splice, _number, _number, _digits)
TIFF_KINDS = (*KINDS, *[_tag] * 8, _link)
