"""The kernels' library: compiled by the machine's C++ compiler once, kept in the user's cache.

One source serves every generator, precision and shape, so compiling takes seconds, and never
happens again on the same machine. The library's name holds what it depends on: the source, the
compiler and the processor.
"""

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from uhrtranslate.errors import OptionError

FOLDER = Path(__file__).parent
SOURCES = FOLDER / "kernels.cpp", FOLDER / "convolution.cpp"
HEADER = FOLDER / "vectors.h"
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fPIC", "-shared", "-fopenmp")
# OpenMP of GCC, whose threads torch has too; with another's, two sets of threads would compete.
COMPILERS = ("g++", "c++")
LONGEST = 300  # seconds that a compiler may take
_log = logging.getLogger(__name__)


class NoCompilerError(OptionError):
    """This machine cannot compile the kernels."""


def available() -> bool:
    """Whether the kernels are compiled, or can be."""
    try:
        library()
    except NoCompilerError as error:
        _log.debug("no compiled kernels: %s", error)
        return False
    return True


@dataclass(frozen=True)
class Built:
    """What there is of the kernels on this machine.

    Attributes:
        compiler: path of the C++ compiler, and what it says of its version; None if there is none.
        folder: where libraries are kept.
        library: the library's path, if it is kept there; None if it is not kept, or there is none.
        reason: why there is none, and what to do about it; None if it is loaded.
    """

    compiler: str | None
    folder: str
    library: str | None
    reason: str | None


def built() -> Built:
    """What there is of the kernels; they are compiled if they are not yet."""
    compiler = library_file = reason = None
    if sys.platform != "linux":
        return Built(None, str(cache_folder()), None, "none; they are made on Linux alone")
    try:
        compiler = _described(_compiler())
        path = Path(library()._name)
        library_file = str(path) if path.exists() else None
    except NoCompilerError as error:
        reason = "none, as there is no C++ compiler: apt install g++ (dnf install gcc-c++)"
        if compiler is not None:
            reason = str(error).removeprefix("--compile: ")
    return Built(compiler, str(cache_folder()), library_file, reason)


def _described(compiler: str) -> str:
    """A compiler's path, and the first line that it says of its version."""
    about = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    lines = about.stdout.splitlines()
    return f"{compiler} ({lines[0]})" if lines else compiler


@functools.cache
def library() -> ctypes.CDLL:
    """The kernels, compiled if they are not yet.

    Raises:
        NoCompilerError: the machine has no compiler that can do it.
    """
    compiler = _compiler()
    folder = cache_folder()
    target = folder / f"kernels-{_key(compiler)}.so"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_ours(folder):
            kept = target.exists() and _is_ours(target)
            return _loaded(target) if kept else _compiled(compiler, target, folder)
    except OSError as error:  # a home that cannot be written
        _log.debug("%s: %s", folder, error)
    with tempfile.TemporaryDirectory(prefix="uhrt-kernels-") as own:
        return _compiled(compiler, Path(own, target.name), Path(own))


def _is_ours(path: Path) -> bool:
    """Whether nobody else can have written it: what lies in a cache is run as code."""
    about = path.stat()
    return about.st_uid == os.getuid() and not about.st_mode & stat.S_IWOTH


def cache_folder() -> Path:
    """Where libraries, and what was measured of generators, are kept."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root, "uhrtranslate")


def _compiler() -> str:
    names = [name for name in (os.environ.get("CXX"), *COMPILERS) if name]
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None or sys.platform != "linux":
        raise NoCompilerError(
            "--compile: there is no C++ compiler here that can make its kernels; install g++, "
            "or leave --compile out."
        )
    return found


def _key(compiler: str) -> str:
    """What the library depends on."""
    about = subprocess.run([compiler, "-dumpfullversion"], capture_output=True, check=False).stdout
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    kinds = ("model name", "flags", "Features", "CPU part")
    processor = sorted({line for line in lines if line.startswith(kinds)})
    facts = repr((compiler, about, FLAGS, platform.machine(), processor)).encode()
    code = b"".join(path.read_bytes() for path in (*SOURCES, HEADER))
    return hashlib.sha256(code + facts).hexdigest()[:20]


def _compiled(compiler: str, target: Path, folder: Path) -> ctypes.CDLL:
    started = time.perf_counter()
    # Several processes may do this at once: each writes a file of its own, and the last one stays.
    handle, name = tempfile.mkstemp(suffix=".so", dir=folder)
    os.close(handle)
    own = Path(name)
    try:
        done = subprocess.run(
            [compiler, *FLAGS, *map(str, SOURCES), "-o", str(own)],
            capture_output=True, text=True, timeout=LONGEST, check=False,
        )  # fmt: skip
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise NoCompilerError(
                f"--compile: {compiler} cannot compile the kernels ({reason}); install another "
                "C++ compiler (g++), or leave --compile out."
            )
        own.chmod(0o700)
        own.replace(target)
    except subprocess.TimeoutExpired:
        raise NoCompilerError(
            f"--compile: {compiler} did not compile the kernels within {LONGEST} s; leave "
            "--compile out."
        ) from None
    finally:
        own.unlink(missing_ok=True)
    _log.debug("%s: compiled in %.1f s", target, time.perf_counter() - started)
    return _loaded(target)


def _loaded(path: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise NoCompilerError(
            f"--compile: {path}: cannot be loaded ({error}); remove it, or leave --compile out."
        ) from error
