"""Several images at once: who hears of what, and what becomes of work that nobody waits for."""

import threading
import time

import pytest

from uhrtranslate.runs.events import Advanced
from uhrtranslate.runs.side_by_side import side_by_side


def deaf(event):
    """Somebody who does not listen."""


@pytest.mark.parametrize("at_once", [1, 2, 3, 9])
def test_so_many_are_worked_on_at_once_and_no_more(at_once):
    lock = threading.Lock()
    busy, most = 0, 0
    together = threading.Barrier(min(at_once, 6))

    def work(item, tell):
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        together.wait(30)  # breaks unless as many are under way
        with lock:
            busy -= 1
        return item * item

    assert dict(side_by_side(work, range(6), at_once, deaf)) == {n: n * n for n in range(6)}
    assert most == min(at_once, 6)


def test_one_at_a_time_is_in_the_callers_thread():
    def work(item, tell):
        return threading.current_thread()

    assert [thread for _, thread in side_by_side(work, "ab", 1, deaf)] == [
        threading.current_thread()
    ] * 2


def test_no_items_are_no_work():
    assert list(side_by_side(lambda item, tell: item, [], 4, deaf)) == []


def test_results_come_as_they_are_done():
    first_is_here = threading.Event()

    def work(item, tell):
        if item == "slow":
            assert first_is_here.wait(30)
        return item

    results = side_by_side(work, ["slow", "fast"], 2, deaf)
    assert next(results) == (1, "fast")
    first_is_here.set()
    assert list(results) == [(0, "slow")]


def test_nobody_is_told_of_two_events_at_once():
    listening = threading.Lock()
    heard = []

    def hear(event):
        assert listening.acquire(blocking=False)
        time.sleep(0.001)
        heard.append(event)
        listening.release()

    def work(item, tell):
        for pixels in range(10):
            tell(Advanced(item, pixels))

    list(side_by_side(work, "abcd", 4, hear))
    assert len(heard) == 40
    for name in "abcd":
        assert [event.pixels for event in heard if event.input == name] == list(range(10))


@pytest.mark.parametrize("ending", [KeyboardInterrupt, GeneratorExit, ValueError])
def test_work_under_way_unwinds_when_the_caller_ends(ending):
    begun, unwound = threading.Semaphore(0), []

    def work(item, tell):
        if item == 0:
            assert begun.acquire(timeout=30)
            return
        try:
            while True:
                tell(Advanced(str(item), 1))
                begun.release()
                time.sleep(0.001)
        finally:
            unwound.append(item)

    results = side_by_side(work, range(10), 2, deaf)
    assert next(results) == (0, None)
    with pytest.raises(ending):
        results.throw(ending())
    # Of the other eight at most the one that took the first's place was begun.
    assert 1 in unwound
    assert len(unwound) <= 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("uhrt-image")]


def test_an_error_of_the_work_ends_it():
    def work(item, tell):
        if item == 3:
            raise ValueError("three")
        return item

    with pytest.raises(ValueError, match="three"):
        list(side_by_side(work, range(100), 2, deaf))
