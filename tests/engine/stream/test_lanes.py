"""Work shared by devices: order, look-ahead, failures; and memory that does not suffice."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import skimage.data
import torch
from support import ArraySink, ArraySource, as_generator, small_resnet
from torch import nn

from uhrtranslate.engine import GeneratorRunner, GeneratorTransform, Lanes, choose_devices, stream
from uhrtranslate.errors import OptionError, UhrError
from uhrtranslate.geometry import CellGrid, TilePlan
from uhrtranslate.normalizers import DN, KIN, TIN, Pooled

CPU = torch.device("cpu")
IMAGE = np.ascontiguousarray(skimage.data.immunohistochemistry()[:300, :401])
IMAGE[:130, :130] = 245  # glass, so that the thumbnail is asked for


def translated(runners, normalizer, batch=1):
    plan = TilePlan(CellGrid(401, 300, 64), 96, 24, 4)
    transform = GeneratorTransform(
        Lanes(runners), normalizer, plan, lambda: IMAGE[::4, ::4][:64, :64]
    )
    sink = ArraySink(300, 401)
    stream(ArraySource(IMAGE), transform, sink, batch=batch)
    return sink.pixels


class TestLanes:
    def test_results_come_in_order(self):
        meeting = threading.Barrier(3)

        def work(device, item):
            if item < 3:
                meeting.wait(60)  # which takes a device each
            time.sleep(0.002 * (7 - item % 7))
            return device, item

        results = list(Lanes(["a", "b", "c"]).map(work, range(50)))
        assert [item for _, item in results] == list(range(50))
        assert {device for device, _ in results} == {"a", "b", "c"}

    def test_a_device_does_one_thing_at_a_time(self):
        busy = {"a": threading.Lock(), "b": threading.Lock()}

        def work(device, item):
            assert busy[device].acquire(blocking=False)
            time.sleep(0.001)
            busy[device].release()
            return item

        assert list(Lanes(list(busy)).map(work, range(40))) == list(range(40))

    def test_each_works_within_its_own_setting_on_devices_that_all_share(self):
        inside = dict.fromkeys("ab")

        @contextmanager
        def setting(device, name):
            assert inside[device] is None  # nobody else is at work on it
            inside[device] = name
            yield
            inside[device] = None

        def work(device, item):
            time.sleep(0.001)
            return inside[device]

        bare = Lanes(list(inside))
        lanes = {name: bare.within(partial(setting, name=name)) for name in ("one", "other")}
        with ThreadPoolExecutor() as threads:
            found = {
                name: threads.submit(lambda some=some: list(some.map(work, range(30))))
                for name, some in lanes.items()
            }
        assert {name: set(future.result()) for name, future in found.items()} == {
            "one": {"one"}, "other": {"other"}
        }  # fmt: skip

    def test_items_are_taken_a_few_ahead_only(self):
        taken = []

        def items():
            for item in range(100):
                taken.append(item)
                yield item

        for done, _ in enumerate(Lanes(["a", "b"]).map(lambda device, item: item, items())):
            assert len(taken) - done <= 4

    def test_the_first_failure_ends_it(self):
        def work(device, item):
            if item == 3:
                raise ValueError("three")
            return item

        results = Lanes(["a", "b"]).map(work, range(1000))
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="three"):
            next(results)


@pytest.mark.parametrize("normalizer", [DN(), KIN(kernel=3), TIN(), Pooled()], ids=repr)
@pytest.mark.parametrize("batch", [1, 2])
def test_several_devices_give_the_same_bytes(normalizer, batch):
    def runners(count):
        return [GeneratorRunner(as_generator(small_resnet()), CPU) for _ in range(count)]

    alone = translated(runners(1), normalizer, batch)
    assert alone.std() > 20
    assert np.array_equal(translated(runners(3), normalizer, batch), alone)


class Greedy(nn.Module):
    """Runs out of memory on more than so many px, as a GPU does."""

    def __init__(self, most):
        super().__init__()
        self.network, self.most = small_resnet(), most

    def forward(self, x):
        if x.shape[0] * x.shape[2] * x.shape[3] > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.network(x)


def test_batches_that_do_not_fit_are_halved(caplog):
    one = 144 * 144
    reference = translated([GeneratorRunner(as_generator(small_resnet()), CPU)], DN())
    found = translated([GeneratorRunner(as_generator(Greedy(one)), CPU)], DN(), batch=4)
    assert np.abs(reference.astype(int) - found).max() <= 1
    assert "did not fit in memory" in caplog.text


def test_a_tile_that_does_not_fit_is_told():
    with pytest.raises(UhrError, match="choose a smaller --tile"):
        translated([GeneratorRunner(as_generator(Greedy(100)), CPU)], DN(), batch=4)


def test_devices_of_a_list():
    assert choose_devices("cpu, cpu") == [CPU, CPU]
    for wrong in ("cpu,", "cpu,tpu", "cpu,cuda:99"):
        with pytest.raises(OptionError, match="--device"):
            choose_devices(wrong)
