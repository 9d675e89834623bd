"""Count the values that a pickle builds, and list what it calls, without unpickling it.

A kilobyte of pickle can nest a pair of the same pair sixty times. Hashing or printing the result
never ends, because it visits each of 2^60 leaves. torch's unpickler runs no code, but it does not
guard against this.
"""

import pickletools
from collections.abc import Iterator
from typing import IO

# Leaves of everything in a pickle, shared parts counted each time; checkpoints have some 10,000.
MOST_LEAVES = 10_000_000

# A container's leaves, in a list of one, as it may grow after others refer to it.
_Leaves = list[int]

_FILLED = {"APPEND": 1, "APPENDS": None, "SETITEM": 2, "SETITEMS": None, "ADDITEMS": None}


def check_pickle(file: IO[bytes]) -> None:
    """Check the size of one pickle without unpickling it.

    Args:
        file: positioned at the pickle's first byte; afterwards just past its last byte.

    Raises:
        ValueError: it is not a valid pickle, or it builds too many values.
    """
    stack: list[_Leaves | None] = []  # None is a mark
    memo: dict[int, _Leaves] = {}
    for opcode, value, _ in pickletools.genops(file):
        name = opcode.name
        if name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else int(str(value))] = _top(stack)
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo.get(int(str(value)), [1]))
        elif name == "MARK":
            stack.append(None)
        elif name == "DUP":
            stack.append(_top(stack))
        elif name in _FILLED:
            taken = _pop(stack, _FILLED[name])
            _top(stack)[0] += taken
            _check(_top(stack)[0])
        else:
            before = opcode.stack_before
            marked = pickletools.markobject in before
            taken = _pop(stack, None if marked else len(before))
            if marked and before[0] is not pickletools.markobject:
                taken += _pop(stack, before.index(pickletools.markobject))
            _check(taken + 1)
            stack.extend([taken + 1] for _ in opcode.stack_after)


def called(file: IO[bytes]) -> Iterator[str]:
    """Names of the functions and classes that a pickle refers to, as `posix.system`.

    Args:
        file: positioned at the pickle's first byte; afterwards just past its last byte.

    Raises:
        ValueError: the bytes from here on are not a pickle.
    """
    words: list[str] = []  # the last two strings
    memo: dict[int, list[str]] = {}
    for opcode, value, _ in pickletools.genops(file):
        if opcode.name in ("GLOBAL", "INST"):
            yield str(value).replace(" ", ".")
        elif opcode.name == "STACK_GLOBAL":
            yield ".".join(words)
        elif opcode.name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if value is None else int(value)] = words[-1:]
        elif opcode.name in ("GET", "BINGET", "LONG_BINGET"):
            words = [*words[-1:], *memo.get(int(str(value)), [])]
        elif isinstance(value, str):
            words = [*words[-1:], value]


def _top(stack: list[_Leaves | None]) -> _Leaves:
    if not stack or stack[-1] is None:
        raise ValueError("a pickle takes from an empty stack")
    return stack[-1]


def _pop(stack: list[_Leaves | None], count: int | None) -> int:
    """Take `count` entries (None: all down to the last mark) off the stack; count their leaves."""
    total = 0
    while count is None or count > 0:
        if not stack:
            raise ValueError("a pickle takes from an empty stack")
        entry = stack.pop()
        if entry is None:
            if count is None:
                break
            raise ValueError("a pickle takes a mark for a value")
        total += entry[0]
        count = None if count is None else count - 1
    return total


def _check(leaves: int) -> None:
    if leaves > MOST_LEAVES:
        raise ValueError(f"it builds more than {MOST_LEAVES:,} values of few bytes")
