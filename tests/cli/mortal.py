"""Runs `uhrt` commands that die: a program for tests, fed with JSON lines on stdin.

Each line is {"arguments": [...], "seconds": s} to kill a run after s seconds, counted from its
first saved band with "since": "saved", or one with "point": name, "count": n to kill it at the n-th
passage of a point in the code, some in the middle of a write. Every run is a process of its own,
killed by SIGKILL; it is forked from here so that nothing is imported twice. The answer is a line
{"status": s, "error": text, "took": seconds}, s as of os.waitpid.
"""

import errno
import json
import os
import signal
import sys
import tempfile
import threading
import time

import torch

from uhrtranslate.cli import main
from uhrtranslate.io import SlideView
from uhrtranslate.io.files import atomic, journal
from uhrtranslate.io.writers import level as levels
from uhrtranslate.io.writers import photo, pyramid

torch.set_num_threads(1)


def die():
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()


def arm(point, count):
    """Let the `count`-th passage of a point be the last."""
    passages = iter(range(1, 10**9))

    def fatal():
        return next(passages) == count

    if point == "keep":  # half of an encoded tile is on the disk

        def keep(level, row, col, encoded, keep=levels.Level.keep):
            if fatal():
                level.spill.write(encoded[: len(encoded) // 2])
                level.spill.flush()
                die()
            keep(level, row, col, encoded)

        levels.Level.keep = keep
    elif point == "save":  # half of a state is on the disk

        def write_array(file, array, allow_pickle, write=journal.np.lib.format.write_array):
            if fatal():
                file.write(b"\x93NUMPY half an array")
                file.flush()
                die()
            write(file, array, allow_pickle=allow_pickle)

        journal.np.lib.format.write_array = write_array
    elif point == "replace":  # before a state, or the result, takes its name

        def replace(source, target, replace=os.replace):
            if fatal():
                die()
            replace(source, target)

        os.replace = replace
    elif point == "published":  # the result is there, and the folder too

        def remove(output, remove=atomic.PartialOutput._remove):
            if output._published and fatal():
                die()
            remove(output)

        atomic.PartialOutput._remove = remove
    elif point == "reached":  # between two bands
        for writer in (pyramid.PyramidWriter, photo.PhotoWriter):

            def reached(self, y, reached=writer.reached):
                if fatal():
                    die()
                reached(self, y)

            writer.reached = reached
    elif point == "lost":  # the input's disk goes away

        def read(view, x, y, w, h, read=SlideView.read):
            if fatal():
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), view.info.path)
            return read(view, x, y, w, h)

        SlideView.read = read
    elif point == "full":  # so is the output's

        def keep(level, row, col, encoded, keep=levels.Level.keep):
            if fatal():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(level._path))
            keep(level, row, col, encoded)

        levels.Level.keep = keep
    else:
        raise ValueError(point)


def time_out(seconds, since):
    """Die after some seconds from now, or from the first saved band."""
    timer = threading.Timer(seconds, die)
    timer.daemon = True
    if since == "start":
        timer.start()
    elif since == "saved":

        def save(self, *arguments, save=journal.Journal.save):
            save(self, *arguments)
            if timer.ident is None:
                timer.start()

        journal.Journal.save = save
    else:
        raise ValueError(since)


def run(order, errors):
    sys.argv = ["uhrt", *order["arguments"]]
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(errors.fileno(), 2)
    # Every band is saved, whatever it costs.
    journal.SHARE = float("inf")
    if "point" in order:
        arm(order["point"], order["count"])
    if "seconds" in order:
        time_out(order["seconds"], order.get("since", "start"))
    code = 1
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


for line in sys.stdin:
    with tempfile.TemporaryFile("w+") as errors:
        began = time.monotonic()
        child = os.fork()
        if not child:
            run(json.loads(line), errors)
        _, status = os.waitpid(child, 0)
        errors.seek(0)
        answer = {"status": status, "error": errors.read(), "took": time.monotonic() - began}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
