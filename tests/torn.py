"""A program for tests: work on devices is broken off at each of its instructions in turn.

After each, the device must take work again, and its thread must end; otherwise the program ends at
once and says at which instruction, and where its threads are. Its exit code is then 1.
"""

import faulthandler
import sys
import threading
import time
from itertools import count

from uhrtranslate import threads
from uhrtranslate.engine import Lanes

sys.unraisablehook = lambda _: None  # finalizers drop the exception, which is known


class Stop(BaseException):
    """What a handler of signals raises."""


def interrupted_at(number, call):
    """Call, with a signal at the `number`-th instruction; whether there are so many."""
    left, came = number, False

    def trace(frame, event, argument):
        nonlocal left, came
        frame.f_trace_opcodes = True
        left -= event == "opcode"
        if left < 0:
            sys.settrace(None)
            came = True
            threads.interrupt(Stop())
        return trace

    try:
        sys.settrace(trace)
        call()
    except Stop:
        assert came
    finally:
        sys.settrace(None)
    return came


begun = set(threading.enumerate())
for number in count():
    sys.stderr.write(f"instruction {number}\n")
    faulthandler.dump_traceback_later(10, exit=True)
    threads._Signals.came = None
    lanes = Lanes([2])
    came = interrupted_at(number, lambda lanes=lanes: list(lanes.map(pow, [1, 2])))
    assert lanes._pool.submit(lanes._run, pow, 3).result() == 8
    lanes._pool.close()
    while set(threading.enumerate()) != begun:
        time.sleep(0.001)
    if not came:
        break
