"""What is decided for a run on a cluster: which slides are shared, and whether devices differ."""

from pathlib import Path

import pytest

pytest.importorskip("distributed")

from uhrtranslate.cluster.crew import Crowd, Done
from uhrtranslate.cluster.orders import Made
from uhrtranslate.cluster.pieces import Receipt
from uhrtranslate.cluster.slides import Slides
from uhrtranslate.io import Found
from uhrtranslate.options import ImageOptions
from uhrtranslate.runs.bands import rows_of_band
from uhrtranslate.runs.events import ImageResult
from uhrtranslate.runs.items import Item, Task


def test_slides_are_shared_if_that_pays():
    assert rows_of_band(3072, 3072, 256, few=True) == 0  # measured: 17 % slower in bands
    assert rows_of_band(6144, 6144, 256, few=True) == 4  # measured: faster
    assert rows_of_band(6144, 6144, 256, few=False) == 0
    assert rows_of_band(20_000, 20_000, 512, few=True) == 4
    assert rows_of_band(30_000, 30_000, 512, few=False) == 0
    for few in (True, False):  # 160 bands of 250 MP
        assert rows_of_band(200_000, 200_000, 512, few=few) == 2 + 2 * few


class Acted:
    """A crew whose workers have the devices that it is given, and do everything at once."""

    def __init__(self, workers, *devices):
        self.workers, self.devices, self.given = workers, devices, []

    def add(self, orders, first=False):
        self.given += orders

    def work(self):
        yield Crowd(self.workers)
        for ordered, (device, precision) in zip(self.given, self.devices, strict=True):
            job = ordered.order.job
            result = ImageResult(
                str(job.source), str(job.target), "done", device="cuda:0", precision=precision
            )
            yield Done(ordered, Receipt(result, "host", device=device), "host")


def test_other_gpus_and_precisions_are_said():
    crew = Acted(2, ("A100", "bf16"), ("A100", "bf16"), ("V100", "bf16"), ("A100", "fp16"))
    names = ["a.tif", "b.tif", "c.tif", "d.tif"]
    tasks = [Task(Item(Found.at(name)), ImageOptions(), Path(f"{name}.out")) for name in names]
    with Slides(crew, tasks, Made(None), lambda event: None) as slides:
        results = [result for _, result in slides.work()]
    assert [sorted(result.warnings) for result in results] == [[], [], ["devices"], ["devices"]]
    assert (
        "c.tif: was computed on V100, bf16, and others of this run on A100, bf16"
        in (results[2].warnings["devices"])
    )
    assert not any(ordered.order.few for ordered in crew.given)


@pytest.mark.parametrize(("slides", "workers", "few"), [(1, 1, True), (2, 3, True), (2, 2, False)])
def test_few_slides_are_shared_by_many_workers(slides, workers, few):
    crew = Acted(workers, *[("A100", "bf16")] * slides)
    tasks = [Task(Item(Found.at(f"{n}.tif")), ImageOptions(), Path(f"{n}")) for n in range(slides)]
    with Slides(crew, tasks, Made(None), lambda event: None) as acted:
        assert len(list(acted.work())) == slides
    assert [ordered.order.few for ordered in crew.given] == [few] * slides
