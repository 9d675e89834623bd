"""`uhrt view` as it is started and ended; what its page does is in test_view_page.py."""

import json
import os
import signal
import subprocess
import threading
import urllib.request
from contextlib import suppress

import pytest
from support import UHRT, killed_at_last


def started(folder, *arguments):
    return subprocess.Popen(
        [UHRT, "view", *map(str, arguments)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        # Background jobs of a shell ignore Ctrl-C, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def test_it_says_where_the_page_is_and_ctrl_c_ends_it_at_once(folder):
    with started(folder, "slide.tif", "more/slide.png", "--no-browser") as run, killed_at_last(run):
        address = run.stderr.readline().strip()
        port = address.split(":")[2].split("/")[0]
        assert f"ssh -L {port}:127.0.0.1:{port}" in run.stderr.readline()
        with urllib.request.urlopen(address + "site.json", timeout=30) as response:
            site = json.load(response)
        assert [item["name"] for item in site["items"]] == ["slide.tif", "slide.png"]
        assert len(site["open"]) == 2
        # Clients that are connected, and wait, hold up nobody.
        tiles = f"{address}images/{site['open'][0]}_files/8/0_0.jpg"
        for _ in range(4):
            threading.Thread(target=quietly, args=(tiles,), daemon=True).start()
        run.send_signal(signal.SIGINT)
        # They would hold it for 30 s (`IDLE`).
        out, errors = run.communicate(timeout=25)
    assert run.returncode == 130
    assert out == ""
    assert "Traceback" not in errors


def quietly(address):
    with suppress(OSError):
        urllib.request.urlopen(address, timeout=20).read()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["none.tif"], 1, "none.tif: does not exist"),
        (["slide.tif", "--port", 70000], 2, "--port: must be 0 to 65535"),
        (["slide.tif", "--transform", "none.json"], 1, "none.json: cannot be read"),
        (["tiny.safetensors"], 1, "no reader takes it"),
        (["slide.tif", "--export", "more"], 1, "more: exists already"),
    ],
)
def test_what_is_wrong_is_a_sentence(uhrt_here, arguments, code, sentence):
    done = uhrt_here("view", *arguments, "--no-browser")
    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_page_is_exported_and_its_path_printed(uhrt_here, folder):
    done = uhrt_here("view", "slide.tif", "--export", "page")
    assert (done.returncode, done.stdout) == (0, "page/index.html\n")
    assert "slide.tif: writing" in done.stderr
    assert (folder / "page" / "site.json").is_file()
