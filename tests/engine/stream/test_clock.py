"""Where the time goes: sums, nesting, traces. Time passes when a test says so."""

import json
import threading
from types import SimpleNamespace

import pytest

from uhrtranslate.engine import Clock
from uhrtranslate.engine.stream import clock as module


class Time:
    """Seconds that pass at a word."""

    def __init__(self):
        self.seconds = 100.0

    def passes(self, seconds):
        self.seconds += seconds


@pytest.fixture
def time(monkeypatch):
    time = Time()
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: time.seconds))
    return time


def test_inner_waiting_is_not_counted_twice(time):
    clock = Clock()
    with clock.waiting("outer"):
        time.passes(2)
        with clock.waiting("inner"):
            time.passes(5)
        time.passes(1)
    time.passes(2)
    assert clock.seconds == {"outer": 3, "inner": 5}
    assert clock.shares == {"outer": 0.3, "inner": 0.5}


def test_getting_items_is_waiting(time):
    def slow():
        for item in range(3):
            time.passes(1)
            yield item

    clock = Clock()
    for _ in clock.timed("read", slow()):
        time.passes(10)
    assert clock.seconds == {"read": 3}


def test_devices_work_beside_each_other(time):
    clock = Clock()
    meeting = threading.Barrier(3)

    def work():
        with clock.at_work("tiles"):
            meeting.wait(60)
            meeting.wait(60)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    meeting.wait(60)
    time.passes(5)
    meeting.wait(60)
    for thread in threads:
        thread.join()
    assert clock.device_seconds == 10
    assert clock.seconds == {}


def test_traces_are_chromes(time, tmp_path):
    clock = Clock(traced=True)

    def work():
        with clock.at_work("tiles"):
            time.passes(3)

    with clock.waiting("dense"):
        time.passes(1)
        thread = threading.Thread(target=work, name="device")
        thread.start()
        thread.join()
    clock.write_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    names = {event["args"]["name"]: event["tid"] for event in events if event["ph"] == "M"}
    spans = {event["name"]: event for event in events if event["ph"] == "X"}
    assert spans["tiles"]["tid"] == names["device"] != spans["dense"]["tid"]
    assert (spans["tiles"]["ts"], spans["tiles"]["dur"]) == (1e6, 3e6)
    assert (spans["dense"]["ts"], spans["dense"]["dur"]) == (0, 4e6)


def test_without_a_trace_nothing_is_kept(tmp_path):
    clock = Clock()
    with clock.waiting("dense"):
        pass
    with pytest.raises(ValueError, match="no trace"):
        clock.write_trace(tmp_path / "trace.json")
