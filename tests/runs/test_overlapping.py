"""One after another, each begun while the one before it is finished."""

import threading

import numpy as np
import pytest
from PIL import Image
from torch import nn

from uhrtranslate.models import Generator, GeneratorInfo
from uhrtranslate.options import make_options
from uhrtranslate.recipes.generator_pool import GeneratorPool
from uhrtranslate.recipes.translator import Translator
from uhrtranslate.runs import one_image
from uhrtranslate.runs.events import Advanced, ImageResult
from uhrtranslate.runs.overlapping import overlapping

PATIENCE = 60


def deaf(event):
    """Somebody who does not listen."""


def result(item):
    return ImageResult(str(item), None, "done")


def test_the_next_is_computed_while_one_is_finished_and_never_with_it():
    begun = [threading.Event() for _ in range(5)]
    computing, most = threading.Lock(), 0
    busy = []

    def work(item, tell, computed):
        nonlocal most
        assert computing.acquire(blocking=False)
        begun[item].set()
        busy.append(item)
        most = max(most, len(busy))
        computing.release()
        computed()
        if item + 1 < len(begun):
            assert begun[item + 1].wait(PATIENCE)
        busy.remove(item)
        return item * item

    # Each waits for the next, which so is begun before its own end.
    assert list(overlapping(work, range(5), deaf)) == [(n, n * n) for n in range(5)]
    assert most == 2


def test_without_a_word_the_next_begins_when_the_last_has_ended():
    busy = threading.Lock()

    def work(item, tell, computed):
        assert busy.acquire(blocking=False)
        tell(Advanced(str(item), 1))
        busy.release()
        return item

    assert [number for number, _ in overlapping(work, "abcd", deaf)] == [0, 1, 2, 3]


def test_results_are_told_in_order_whichever_is_done_first():
    second_is_done = threading.Event()
    heard = []

    def work(item, tell, computed):
        tell(Advanced(item, 1))
        computed()
        if item == "slow":
            assert second_is_done.wait(PATIENCE)
        tell(result(item))
        if item == "fast":
            second_is_done.set()
        return item

    items = ["slow", "fast", "last"]
    assert [item for _, item in overlapping(work, items, heard.append)] == items
    assert [event.input for event in heard if isinstance(event, ImageResult)] == items
    assert heard.index(Advanced("fast", 1)) < heard.index(result("slow"))


def test_one_alone_is_in_the_callers_thread_and_none_is_no_work():
    def work(item, tell, computed):
        computed()
        return threading.current_thread()

    assert list(overlapping(work, "a", deaf)) == [(0, threading.current_thread())]
    assert list(overlapping(work, "", deaf)) == []


@pytest.mark.parametrize("ending", [KeyboardInterrupt, GeneratorExit, ValueError])
def test_work_under_way_unwinds_when_the_caller_ends(ending):
    second_is_begun, unwound = threading.Event(), []

    def work(item, tell, computed):
        if item == 0:
            computed()
            assert second_is_begun.wait(PATIENCE)
            return
        try:
            second_is_begun.set()
            while True:
                tell(Advanced(str(item), 1))
        finally:
            unwound.append(item)

    results = overlapping(work, range(10), deaf)
    assert next(results) == (0, None)
    with pytest.raises(ending):
        results.throw(ending())
    assert unwound == [1]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("uhrt-image")]


def test_an_error_of_the_work_ends_it():
    def work(item, tell, computed):
        computed()
        if item == 3:
            raise ValueError("three")
        return item

    with pytest.raises(ValueError, match="three"):
        list(overlapping(work, range(100), deaf))


@pytest.mark.parametrize("small", [True, False])
def test_small_images_alone_leave_the_next_its_turn(tmp_path, monkeypatch, small):
    monkeypatch.setattr(one_image, "SMALL", 40 * 30 * 3 - (not small))
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    said = []
    target = tmp_path / "b.png"
    options = make_options({"cell": 32, "norm": "in", "pad": "reflect", "compile": False})
    info = GeneratorInfo("tiny", stride=1, halo=4, cell=32)
    generator = Generator(nn.Conv2d(3, 3, 1), info, "tiny", "0" * 64)
    recipe = Translator(options, GeneratorPool(options, generator))
    one_image.process_file(
        recipe, tmp_path / "a.png", target, computed=lambda: said.append(target.exists())
    )
    assert said == ([False] if small else [])
    assert target.exists()
