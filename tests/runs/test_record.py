"""`uhrt-run.json`: one JSON object at any moment, however many inputs there are."""

import errno
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from uhrtranslate.errors import OutputError
from uhrtranslate.options import make_options
from uhrtranslate.runs.events import ImageResult
from uhrtranslate.runs.record import NAME, RunRecord

OPTIONS = make_options({"cell": 128})


def result(number, folder="out"):
    name = f"{folder}/{number}.tif"
    return ImageResult(f"in/{number}.svs", name, "done", width=10, height=20)


def content(folder):
    return json.loads((folder / NAME).read_text(encoding="utf-8"))


def test_it_is_whole_after_every_input(tmp_path):
    with RunRecord(tmp_path / "new") as record:
        begun = content(tmp_path / "new")
        assert (begun["inputs"], begun["finished"]) == ([], None)
        for number in range(20):
            record.add(result(number), OPTIONS)
            found = content(tmp_path / "new")
            assert [one["output"] for one in found["inputs"]] == [
                f"out/{i}.tif" for i in range(number + 1)
            ]
    assert found["finished"] >= found["started"] == begun["started"]
    last = found["inputs"][-1]
    assert (last["pixels"], last["options"]["cell"]) == (200, 128)
    assert last["versions"] == found["versions"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == [NAME]


def test_names_of_all_kinds_come_back(tmp_path):
    names = ["\u00b5m \u2028 line", 'quote " \\ back', os.fsdecode(b"no utf-8 \xff")]
    with RunRecord(tmp_path) as record:
        for name in names:
            record.add(result(0, folder=name), OPTIONS)
    assert [one["output"] for one in content(tmp_path)["inputs"]] == [f"{n}/0.tif" for n in names]


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="no count of written bytes")
def test_an_input_costs_the_same_however_many_came_before(tmp_path):
    def written():
        return int(Path("/proc/self/io").read_text().split("wchar: ")[1].split()[0])

    costs = []
    with RunRecord(tmp_path) as record:
        for number in range(1000, 1300):
            before = written()
            record.add(result(number), OPTIONS)
            costs.append(written() - before)
    assert max(costs) <= 1.1 * costs[0]


def test_a_full_disk_leaves_what_was_there(tmp_path):
    class Full(io.FileIO):
        def write(self, content):
            if self.tell() + len(content) <= full:
                return super().write(content)
            if self.tell() >= full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(content[: full - self.tell()])

    with RunRecord(tmp_path) as record:
        record.add(result(1), OPTIONS)
        before = content(tmp_path)
        full = (tmp_path / NAME).stat().st_size + 100
        record._file.close()
        record._file = Full(tmp_path / NAME, "r+")
        with pytest.raises(OutputError, match="the disk is full"):
            record.add(result(2), OPTIONS)
        assert content(tmp_path) == before
        full *= 10  # somebody has made room
        record.add(result(3), OPTIONS)
    assert [one["input"] for one in content(tmp_path)["inputs"]] == ["in/1.svs", "in/3.svs"]


WRITER = """
import sys
from pathlib import Path
from uhrtranslate.options import make_options
from uhrtranslate.runs.events import ImageResult
from uhrtranslate.runs.record import RunRecord

with RunRecord(Path(sys.argv[1])) as record:
    while True:
        record.add(ImageResult("a.svs", "a.tif", "done"), make_options({}))
"""


def test_a_killed_run_leaves_it_whole(tmp_path):
    run = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (tmp_path / NAME).exists() and (tmp_path / NAME).stat().st_size > 50_000:
            break
        time.sleep(0.01)
    run.kill()
    run.wait()
    found = content(tmp_path)
    assert len(found["inputs"]) > 10
    assert found["finished"]
