"""Where the time goes: sums, nesting, traces."""

import json
import threading
import time

import pytest

from uhrtranslate.engine import Clock


def test_inner_waiting_is_not_counted_twice():
    clock = Clock()
    began = time.perf_counter()
    with clock.waiting("outer"):
        time.sleep(0.02)
        with clock.waiting("inner"):
            time.sleep(0.05)
        time.sleep(0.02)
    total = time.perf_counter() - began
    assert clock.seconds["inner"] >= 0.05
    assert 0.04 <= clock.seconds["outer"] < total - 0.05
    assert sum(clock.seconds.values()) == pytest.approx(total, abs=0.005)
    assert sum(clock.shares.values()) <= 1


def test_getting_items_is_waiting():
    def slow():
        for item in range(3):
            time.sleep(0.01)
            yield item

    clock = Clock()
    assert list(clock.timed("read", slow())) == [0, 1, 2]
    assert clock.seconds["read"] >= 0.03


def test_devices_work_beside_each_other():
    clock = Clock()
    meeting = threading.Barrier(3)

    def work():
        with clock.at_work("tiles"):
            meeting.wait(30)
            time.sleep(0.05)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    meeting.wait(30)
    for thread in threads:
        thread.join()
    assert clock.device_seconds >= 0.1
    assert clock.seconds == {}


def test_traces_are_chromes(tmp_path):
    clock = Clock(traced=True)

    def work():
        with clock.at_work("tiles"):
            time.sleep(0.01)

    with clock.waiting("dense"):
        thread = threading.Thread(target=work, name="device")
        thread.start()
        thread.join()
    clock.write_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    names = {event["args"]["name"]: event["tid"] for event in events if event["ph"] == "M"}
    spans = {event["name"]: event for event in events if event["ph"] == "X"}
    assert spans["tiles"]["tid"] == names["device"] != spans["dense"]["tid"]
    assert spans["tiles"]["dur"] >= 10_000
    assert spans["dense"]["ts"] <= spans["tiles"]["ts"]
    assert spans["dense"]["dur"] >= spans["tiles"]["dur"]


def test_without_a_trace_nothing_is_kept(tmp_path):
    clock = Clock()
    with clock.waiting("dense"):
        pass
    with pytest.raises(ValueError, match="no trace"):
        clock.write_trace(tmp_path / "trace.json")
