"""Signals that come between two steps, and threads that must go on, or end, all the same."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from uhrtranslate import threads
from uhrtranslate.threads import Interrupted, Workers, interrupt, result_of, undivided


class Stop(BaseException):
    """What a handler of signals raises."""


@pytest.fixture(autouse=True)
def _no_signal_has_come(monkeypatch):
    monkeypatch.setattr(threads._Signals, "came", None)


def test_a_block_is_not_torn_apart():
    done = []

    def steps():
        with undivided():
            with undivided():
                interrupt(Stop())
                done.append("inner")
            done.append("outer")

    with pytest.raises(Stop):
        steps()
    assert done == ["inner", "outer"]
    with undivided():
        done.append("no signal is left")
    with pytest.raises(Stop):
        interrupt(Stop())


def test_a_signal_is_told_even_if_the_block_fails():
    def fail():
        with undivided():
            interrupt(Stop())
            raise ValueError

    with pytest.raises(Stop) as stop:
        fail()
    assert isinstance(stop.value.__context__, ValueError)


def test_blocks_of_other_threads_do_not_hold_signals_up():
    with Workers(1, "other") as workers:
        inside, end = threading.Event(), threading.Event()

        def work():
            with undivided():
                inside.set()
                return end.wait(30)

        future = workers.submit(work)
        assert inside.wait(30)
        with pytest.raises(Stop):
            interrupt(Stop())
        end.set()
        assert future.result()


def test_nobody_waits_for_results_once_a_signal_came():
    with Workers(1, "image") as images, Workers(1, "device") as devices:
        end = threading.Event()
        late = devices.submit(end.wait, 30)
        waiting = images.submit(result_of, late)
        error = Stop()
        with pytest.raises(Stop):
            interrupt(error)
        with pytest.raises(Interrupted):
            waiting.result(30)
        with pytest.raises(Stop) as again:  # the first was dropped, as finalizers do
            result_of(late)
        assert again.value is error
        end.set()


# A signal comes when a thread has been started, before the pool has noted it; and nobody closes
# the pool, as after an exception whose traceback keeps it alive.
TORN = """
import sys, threading, time
from uhrtranslate.threads import Workers, interrupt
start = threading.Thread.start
def start_and_stop(thread):
    start(thread)
    interrupt(KeyboardInterrupt())
threading.Thread.start = start_and_stop
workers = Workers(1, "torn")
workers.itself = workers
try:
    workers.submit(time.sleep, 0)
except KeyboardInterrupt:
    print("stopped")
"""


def test_a_thread_that_was_just_started_does_not_keep_the_program_alive():
    done = subprocess.run([sys.executable, "-c", TORN], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, "stopped\n", "")


def test_whatever_instruction_a_signal_comes_at_devices_go_on_and_threads_end():
    program = Path(__file__).with_name("torn.py")
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-5000:]
    assert len(done.stderr.splitlines()) > 500  # instructions
