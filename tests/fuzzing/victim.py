"""Opens damaged files until it dies: a program for `hunt.py`, with a job per line on stdin.

A job is {"kind": one of KINDS, "path": p}; the answer {"outcome": "read" | "refused" |
"FAILED", "detail": text, "seconds": s, "bytes": b}. What kills this process is the fault of a C
library, or of a limit: seconds of work (SIGPROF) or of waiting (SIGALRM), address space. Address
space is capped far above what a job may really take, so that a refusal is one of ours and not of
the cap.
"""

import json
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from contextlib import suppress
from pathlib import Path

from uhrtranslate.errors import InputError, UhrError
from uhrtranslate.io import open_slide
from uhrtranslate.io.readers.openslide import OpenSlideSlide
from uhrtranslate.io.readers.photo import PhotoSlide
from uhrtranslate.io.readers.tiff import TiffSlide
from uhrtranslate.io.readers.tiff_directories import check_directories
from uhrtranslate.io.slide import NotForThisReaderError

READERS = (
    OpenSlideSlide,
    TiffSlide,
    lambda path: TiffSlide(path, deep=True),
    PhotoSlide,
    lambda path: PhotoSlide(path, deep=True),
)
# What hangs is found all the same. The most honest work takes 7 s on an idle machine, and three
# times that on a busy one, though it is counted in seconds of work.
SECONDS = 60
WAITING = 240
MEMORY = 1 << 30  # beyond what the libraries take
ADDRESSES = 6 << 30


def read_image(path):
    """As a user does."""
    with open_slide(path) as slide:
        read_slide(slide)


def read_by_all(path):
    """As a user does, and by each reader that may be asked, whichever takes the file first."""
    try:
        read_image(path)
    finally:
        if not path.endswith(".zarr"):
            read_by_each(Path(path))


def read_by_each(path):
    try:
        check_directories(path)
    except (InputError, OSError):
        return
    for reader in READERS:
        with suppress(NotForThisReaderError, InputError), reader(path) as slide:
            read_slide(slide)


def read_slide(slide):
    assert slide.info.width > 0
    assert slide.info.height > 0
    count = len(slide.info.levels)
    for number in sorted({*range(min(count, 4)), count - 1}):
        level = slide.info.levels[number]
        assert min(slide.tile_size(number)) > 0
        w, h = min(level.width, 300), min(level.height, 300)
        assert slide.read(0, 0, w, h, number).shape == (h, w, 3)
        slide.read(level.width - w // 2, level.height - h // 2, w, h, number)
    for name in slide.info.associated[:3]:
        slide.associated_image(name)


def read_checkpoint(path):
    from uhrtranslate.models import load_generator  # torch takes seconds

    load_generator(path)


KINDS = {"image": read_image, "image by all": read_by_all, "checkpoint": read_checkpoint}


def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1]) * 1024


def spilled(errors):
    """What was written to stderr since the last job."""
    end = os.lseek(errors, 0, os.SEEK_END)
    os.lseek(errors, 0, os.SEEK_SET)
    text = os.read(errors, min(end, 5000)).decode(errors="replace")
    os.ftruncate(errors, 0)
    os.lseek(errors, 0, os.SEEK_SET)
    # GLib says this when OpenSlide opens a file with levels out of order; nothing can stop it.
    return "" if "OpenSlide-WARNING" in text else text


def outcome_of(job):
    try:
        KINDS[job["kind"]](job["path"])
    except UhrError as error:
        text = str(error)
        if "\n" in text.strip() or not text.startswith(job["path"]):
            return "FAILED", f"no sentence about the file: {text!r}"
        return "refused", text
    except BaseException:
        return "FAILED", traceback.format_exc()
    return "read", ""


def main():
    warnings.simplefilter("always")  # what leaks to a user's terminal is a failure
    limit = status("VmSize") + ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    # A file, as C libraries write to the descriptor and not to Python's stream.
    errors = os.memfd_create("stderr")
    os.dup2(errors, 2)
    for line in sys.stdin:
        job = json.loads(line)
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before, began = status("VmRSS"), time.process_time()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.alarm(WAITING)
        outcome, detail = outcome_of(job)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        seconds, taken = time.process_time() - began, status("VmHWM") - before
        if taken > MEMORY:
            outcome, detail = "FAILED", f"took {taken / 1e9:.1f} GB, {outcome}: {detail}"
        leaked = spilled(errors)
        if leaked:
            outcome, detail = "FAILED", f"wrote to stderr: {leaked}"
        answer = {"outcome": outcome, "detail": detail, "seconds": seconds, "bytes": taken}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


main()
