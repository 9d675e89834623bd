"""Which pairs are for training, for validation and for the test; no slide is in two of them."""

import hashlib
from collections.abc import Sequence

from uhrtranslate.errors import OptionError
from uhrtranslate.runs.pairs import SPLITS, Pair


def split_pairs(
    pairs: Sequence[Pair], marks: Sequence[Sequence[str]], shares: Sequence[float], seed: int
) -> list[str]:
    """The split of each pair: whole groups, in an order that only the seed and names decide.

    Pairs belong together that share a group or a slide, directly or through others. Splits that a
    table names are kept. Of the rest, each split gets its share of the groups, rounded; where there
    are too few, train comes first, then validation, then test.

    Args:
        pairs: of the data set.
        marks: of each pair, what identifies its slides, such as hashes of their content.
        shares: of train, validation and test; only their ratios count.
        seed: of the order.

    Raises:
        OptionError: a table names two splits for what belongs together.
    """
    groups = _groups(pairs, marks)
    found = [""] * len(pairs)
    free: list[list[int]] = []
    for group in groups:
        wanted = sorted({pairs[i].split for i in group} - {""})
        if len(wanted) > 1:
            names = [next(pairs[i].name for i in group if pairs[i].split == one) for one in wanted]
            raise OptionError(
                f"{names[0]} and {names[1]} share a slide or a group, but are in {wanted[0]} and "
                f"{wanted[1]}; put them into one split."
            )
        if wanted:
            for i in group:
                found[i] = wanted[0]
        else:
            free.append(group)

    def order(group: list[int]) -> str:
        name = min(pairs[i].name for i in group)
        return hashlib.sha256(f"{seed}\0{name}".encode()).hexdigest()

    counts = _counts(len(free), shares)
    names = [name for name, count in zip(SPLITS, counts, strict=True) for _ in range(count)]
    for group, name in zip(sorted(free, key=order), names, strict=True):
        for i in group:
            found[i] = name
    return found


def _counts(number: int, shares: Sequence[float]) -> list[int]:
    """How many groups each split gets; at least one where it has a share, as far as they go."""
    wanted = [share / sum(shares) * number for share in shares]
    counts = [int(one) for one in wanted]
    most = sorted(range(len(shares)), key=lambda i: (counts[i] - wanted[i], i))
    for i in most[: number - sum(counts)]:
        counts[i] += 1
    for i, share in enumerate(shares):
        richest = max(range(len(shares)), key=lambda k: (counts[k], -k))
        if share > 0 and counts[i] == 0 and counts[richest] > 1:
            counts[i], counts[richest] = 1, counts[richest] - 1
    return counts


def _groups(pairs: Sequence[Pair], marks: Sequence[Sequence[str]]) -> list[list[int]]:
    """Numbers of the pairs that belong together, in the order of the pairs."""
    parent = list(range(len(pairs)))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    seen: dict[str, int] = {}
    for i, (pair, own) in enumerate(zip(pairs, marks, strict=True)):
        keys = [f"slide {mark}" for mark in own] + ([f"group {pair.group}"] if pair.group else [])
        for key in keys:
            other = seen.setdefault(key, i)
            first, second = sorted((root(other), root(i)))
            parent[second] = first
    together: dict[int, list[int]] = {}
    for i in range(len(pairs)):
        together.setdefault(root(i), []).append(i)
    return list(together.values())
