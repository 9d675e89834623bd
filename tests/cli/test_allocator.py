"""Freed memory is used again; every case in a process of its own."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, threading
from uhrtranslate.cli.allocator import keep_memory

if sys.argv[1] == "keep":
    keep_memory()

def faults_of_a_second_block():
    block = bytearray(200 << 20)
    del block
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = bytearray(b"x") * (200 << 20)
    found.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

found = []
faults_of_a_second_block()
thread = threading.Thread(target=faults_of_a_second_block)
thread.start()
thread.join()
print(*found)
"""


def faults(how):
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
    )
    return [int(count) for count in run.stdout.split()]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_used_again_in_every_thread():
    kept, left_alone = faults("keep"), faults("leave")
    assert len(kept) == 2
    # Transparent huge pages may make few faults of many, so only the kept ones have a bound.
    assert max(kept) < 50
    assert min(left_alone) >= max(kept)
