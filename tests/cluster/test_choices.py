"""What is decided for a run on a cluster: which slides are shared, and whether devices differ."""

from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("distributed")

from uhrtranslate.cluster.crew import Crowd, Done
from uhrtranslate.cluster.orders import Made
from uhrtranslate.cluster.pieces import Receipt
from uhrtranslate.cluster.slides import Slides
from uhrtranslate.io import Found
from uhrtranslate.options import ImageOptions, make_options
from uhrtranslate.recipes.translator import Translator
from uhrtranslate.runs.bands import divide, rows_of_band
from uhrtranslate.runs.events import ImageResult
from uhrtranslate.runs.items import Item, Task
from uhrtranslate.runs.one_image import begin
from uhrtranslate.runs.prepared import opened, prepare


def test_slides_are_shared_if_that_pays():
    assert rows_of_band(3072, 3072, 256, 2) == 6  # two even bands
    assert rows_of_band(3072, 3072, 256, 8) == 4
    assert rows_of_band(3072, 3072, 256, 1) == 0  # nobody may come; uneven bands would take longer
    assert rows_of_band(3072, 3072, 512, 2) == 0  # too few rows of cells
    assert rows_of_band(2048, 2048, 256, 2) == 0
    assert rows_of_band(6144, 6144, 256, 2) == rows_of_band(6144, 6144, 256, 1) == 4
    assert rows_of_band(6144, 6144, 256, 0) == 0
    assert rows_of_band(5888, 5888, 256, 2) == 6  # 23 rows: four bands for two workers, not five
    assert rows_of_band(20_000, 20_000, 512, 1) == rows_of_band(20_000, 20_000, 512, 16) == 4
    assert rows_of_band(20_000, 20_000, 512, 2) == 5  # eight bands, four for each
    assert rows_of_band(30_000, 30_000, 512, 0) == 0
    for sharers in (0, 8):  # 160 bands of 250 MP
        assert rows_of_band(200_000, 200_000, 512, sharers) == (4 if sharers else 2)


@pytest.mark.parametrize(
    ("tile", "starts"),
    [(512, [0, 1536]), (1536, [0, 1536]), (1024, None), (2048, None)],  # uneven ones take longer
)
def test_small_slides_are_shared_in_even_bands_alone(tmp_path, tile, starts):
    Image.new("RGB", (3072, 3072)).save(tmp_path / "a.png")
    options = make_options({"norm": "dn", "tile": tile, "cell": 256, "compile": False})
    translator = Translator(options)
    with opened(translator, tmp_path / "a.png") as slide:
        prepared = prepare(translator, slide, tmp_path / "a.tif")
        divided = divide(prepared, begin(prepared, lambda event: None), None, sharers=2)
    assert (divided and [y0 for y0, _ in divided.bands]) == starts


@pytest.mark.parametrize(
    ("norm", "height", "rows", "cells"),
    [
        # A tile's halo reaches into the next row of cells, and DN's field one further.
        ("dn", 2048, 4, [(0, 6), (2, 8)]),
        ("dn", 4608, 9, None),  # 22 rows would be computed, of 18: by each band alone
        ("pooled", 4608, 9, [(0, 17), (1, 18)]),
        ("in", 2048, 4, None),
    ],
)
def test_statistics_that_bands_would_compute_again_are_recorded_once(
    tmp_path, norm, height, rows, cells
):
    Image.new("RGB", (256, height)).save(tmp_path / "a.png")
    options = make_options({"norm": norm, "tile": 256, "cell": 256, "compile": False})
    translator = Translator(options)
    with opened(translator, tmp_path / "a.png") as slide:
        prepared = prepare(translator, slide, tmp_path / "a.tif")
        divided = divide(prepared, begin(prepared, lambda event: None), rows)
    assert divided is not None
    assert (divided.cells and list(divided.cells)) == cells


class Acted:
    """A crew whose workers have the devices that it is given, and take orders in turns."""

    def __init__(self, workers, *devices):
        self.workers, self.devices, self.given, self.begun = workers, devices, [], 0

    def add(self, orders, first=False):
        self.given += orders

    def waiting(self):
        return self.given[self.begun :]

    def work(self):
        yield Crowd(self.workers)
        self.begun = self.workers
        for ordered, (device, precision) in zip(self.given, self.devices, strict=True):
            job = ordered.order.job
            result = ImageResult(
                str(job.source), str(job.target), "done", device="cuda:0", precision=precision
            )
            yield Done(ordered, Receipt(result, "host", device=device), "host")
            self.begun += 1


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


@pytest.mark.parametrize(
    ("workers", "sharers"),
    [
        (1, [1]),  # of jobs, the first comes alone
        (1, [0, 0]),
        (3, [2, 2]),
        (64, [0] * 64),
        (65, [0] * 64),  # as one client joins the bands of all
        (2, [0, 0]),
        (2, [0, 0, 0, 2]),  # when the others are done, both have the last one
        (3, [0, 0, 0, 2, 3]),
    ],
)
def test_slides_that_are_too_few_for_all_workers_are_shared(workers, sharers):
    crew = Acted(workers, *[("A100", "bf16")] * len(sharers))
    places = [Path(f"{number}.tif") for number in range(len(sharers))]
    tasks = [Task(Item(Found.at(place)), ImageOptions(), place / "out") for place in places]
    with Slides(crew, tasks, Made(None), lambda event: None) as acted:
        assert len(list(acted.work())) == len(sharers)
    assert [ordered.order.sharers for ordered in crew.given] == sharers
