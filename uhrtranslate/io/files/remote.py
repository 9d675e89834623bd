"""Files on other machines, by URL: read in blocks, in memory; nothing is kept on the disk."""

import hashlib
import io
import time
from functools import partial
from pathlib import PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.errors import InputError, UhrError, require
from uhrtranslate.io.files.fingerprint import Fingerprint
from uhrtranslate.io.files.positioned import PositionedFile
from uhrtranslate.io.readers.block_cache import BlockCache

SCHEMES = ("https", "http", "s3")
# The package behind each scheme, besides fsspec.
PACKAGES = {"https": "aiohttp", "http": "aiohttp", "s3": "s3fs"}
# Bytes that are asked for at once. Tiles of a row lie side by side in a file, so a block holds
# many of them, and a request each would wait for the network as often.
BLOCK = 1 << 20
CACHE_BYTES = 64 * BLOCK
# Seconds to wait for a server to accept a connection, and for it to send something.
CONNECT, SILENCE = 15, 60
# Seconds before each new attempt of a read that failed.
PAUSES = (0.5, 2.0)
# Read from the start, the middle and the end, to tell whether a file is still the same.
SAMPLE = 1 << 16


def is_url(text: object) -> bool:
    """Whether something names a file on another machine."""
    return isinstance(text, str) and text.lower().startswith(tuple(f"{s}://" for s in SCHEMES))


def shown_url(url: str) -> str:
    """A URL without what may be secret: user, password, query (which may hold a signature)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def name_of(url: str) -> str:
    """The name of the file that a URL stands for: its last part, which never leads elsewhere.

    Raises:
        InputError: it has none.
    """
    path = unquote(urlsplit(url).path).replace("\\", "/")
    name = "".join(c if c.isprintable() else "_" for c in PurePosixPath(path).name)
    if name in ("", ".", ".."):
        raise InputError(f"{shown_url(url)}: names no file; give the URL of a slide.")
    return name


def filesystem(url: str, asynchronous: bool = False) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the name that it has for the file.

    Raises:
        MissingExtraError: a package of the extra `remote` is not installed.
    """
    fsspec = require("fsspec", "remote")
    scheme = urlsplit(url).scheme.lower()
    package = require(PACKAGES[scheme], "remote")
    if scheme == "s3":
        # Not by fsspec's own parsing of URLs, which also follows chains to other file systems.
        return fsspec.filesystem("s3", asynchronous=asynchronous), url[len("s3://") :]
    timeout = package.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=SILENCE)
    chosen = {"asynchronous": asynchronous, "client_kwargs": {"timeout": timeout}}
    return fsspec.filesystem(scheme, **chosen), url


def unreachable(url: str, error: BaseException) -> InputError:
    """The error for a file that cannot be opened."""
    cause = _first_cause(error)
    answered = cause is error or not isinstance(cause, OSError)
    if isinstance(error, FileNotFoundError) and answered and getattr(cause, "status", 404) == 404:
        return InputError(f"{shown_url(url)}: does not exist on the server; check the URL.")
    return InputError(
        f"{shown_url(url)}: cannot be opened ({_reason(cause)}); check the address, the network "
        "and your credentials."
    )


def broken_off(url: str, error: BaseException) -> InputError:
    """The error for a file that could be opened, but not read to its end."""
    return InputError(
        f"{shown_url(url)}: the connection broke, and {len(PAUSES)} more attempts failed "
        f"({_reason(_first_cause(error))}); try again, or download it first."
    )


def _first_cause(error: BaseException) -> BaseException:
    """What an error was raised from: fsspec calls everything that goes wrong a missing file."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _reason(error: BaseException) -> str:
    """What happened, in a few words; the error's own text may hold the whole URL."""
    status = getattr(error, "status", None)
    if status:
        return f"the server answers {status} {getattr(error, 'message', '')}".rstrip()
    inner = getattr(error, "os_error", None) or error
    return getattr(inner, "strerror", None) or type(error).__name__


class RemoteFile:
    """A file that is read by ranges of bytes, from several threads.

    Args:
        url: `https://`, `http://` or `s3://`.

    Raises:
        InputError: it cannot be reached, is empty, or the server sends no ranges.
        MissingExtraError: a package of the extra `remote` is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url, self.name = url, name_of(url)
        self._cache = BlockCache(CACHE_BYTES)
        try:
            self._system, self._path = filesystem(url)
            about = self._system.info(self._path)
            self.size = int(about.get("size") or 0)
            self._stamp = [str(about.get(k)) for k in ("ETag", "Last-Modified", "LastModified")]
            sends_ranges = self.size > 0 and self._sends_ranges()
        except UhrError:
            raise
        except Exception as error:  # the libraries of each scheme have their own
            raise unreachable(url, error) from error
        if not self.size:
            raise InputError(f"{self}: is empty, or the server does not say how large it is.")
        if not sends_ranges:
            raise InputError(
                f"{self}: the server only sends whole files, not parts of them; download it first."
            )

    def __str__(self) -> str:
        return shown_url(self.url)

    @property
    def suffix(self) -> str:
        """The ending of its name, as that of a path."""
        return PurePosixPath(self.name).suffix

    def open(self, mode: str = "rb") -> BinaryIO:
        """The file as a stream with a position of its own."""
        return io.BufferedReader(PositionedFile(self))

    def read_at(self, offset: int, size: int) -> bytes:
        """Read bytes from a position on; fewer at the end of the file.

        Raises:
            InputError: they could not be read in several attempts.
        """
        end = min(offset + size, self.size)
        parts = []
        while offset < end:
            number, start = divmod(offset, BLOCK)
            block = self._cache.get(number, partial(self._fetch, number))
            part = block[start : start + end - offset].tobytes()
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def fingerprint(self) -> Fingerprint:
        """What tells whether the file has changed since."""
        digest = hashlib.sha256(" ".join([str(self.size), *self._stamp]).encode())
        for start in (0, (self.size - SAMPLE) // 2, self.size - SAMPLE):
            digest.update(self.read_at(max(start, 0), SAMPLE))
        return Fingerprint(self.size, 0, digest.hexdigest())

    def close(self) -> None:
        """Forget what was read."""
        self._cache.clear()

    def _sends_ranges(self) -> bool:
        """Whether the server sends parts; one that does not would send it all for every block."""
        if not hasattr(self._system, "encode_url"):
            return True  # only servers of http have the choice
        with self._system.open(self._path, block_size=SAMPLE, cache_type="none") as file:
            if not file.seekable():
                return False
            file.seek(min(1, self.size - 1))
            try:
                file.read(1)
            except ValueError:  # fsspec's, after looking at the answer
                return False
        return True

    def _fetch(self, number: int) -> NDArray[np.uint8]:
        """A block, uint8; tried again if the connection breaks."""
        start, end = number * BLOCK, min((number + 1) * BLOCK, self.size)
        for pause in (*PAUSES, None):
            try:
                data = self._system.cat_file(self._path, start=start, end=end)
                if len(data) != end - start:
                    raise ConnectionError(0, f"{len(data):,} bytes came instead of {end - start:,}")
                return np.frombuffer(data, np.uint8)
            except Exception as error:
                if pause is None or isinstance(error, FileNotFoundError):
                    raise broken_off(self.url, error) from error
                time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")
