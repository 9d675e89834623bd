"""Opens damaged files until it dies: a program for `run.py`, with a job per line on stdin.

A job is {"kind": "image" | "checkpoint", "path": p}; the answer {"outcome": "read" | "refused" |
"FAILED", "detail": text, "seconds": s}. What kills this process is the fault of a C library, or of
a limit: seconds (SIGALRM).
"""

import json
import logging
import resource
import signal
import sys
import time
import traceback
import warnings

from uhrtranslate.errors import UhrError
from uhrtranslate.io import open_slide
from uhrtranslate.models import load_generator

SECONDS = 10
MEMORY = 1 << 30  # beyond what the libraries take


def read_image(path):
    with open_slide(path) as slide:
        for number, level in enumerate(slide.info.levels[:4]):
            w, h = min(level.width, 300), min(level.height, 300)
            slide.read(0, 0, w, h, number)
            slide.read(level.width - w // 2, level.height - h // 2, w, h, number)
        for name in slide.info.associated[:3]:
            slide.associated_image(name)


def read_checkpoint(path):
    load_generator(path)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main():
    warnings.simplefilter("error")  # what leaks to a user's terminal is a failure
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    before = peak()
    for line in sys.stdin:
        job = json.loads(line)
        began = time.monotonic()
        signal.alarm(SECONDS)
        try:
            {"image": read_image, "checkpoint": read_checkpoint}[job["kind"]](job["path"])
            outcome, detail = "read", ""
        except UhrError as error:
            outcome, detail = "refused", str(error)
            if "\n" in detail.strip() or not detail.strip():
                outcome = "FAILED"
        except BaseException:
            outcome, detail = "FAILED", traceback.format_exc()
        signal.alarm(0)
        if peak() > before + MEMORY:
            outcome, detail = "FAILED", f"took {(peak() - before) / 1e9:.1f} GB"
            before = peak()
        seconds = time.monotonic() - began
        answer = {"outcome": outcome, "detail": detail, "seconds": seconds}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


main()
