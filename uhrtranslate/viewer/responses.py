"""What an address gives: bytes with their kind; the files of the page; a cache of pictures."""

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any

KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpg": "image/jpeg",
    "txt": "text/plain; charset=utf-8",
}
PAGE = "index.html"


@dataclass(frozen=True)
class Response:
    """What an address gives.

    Attributes:
        body: bytes.
        kind: of the content, for the header.
        status: of HTTP.
        lasting: it never changes, so a browser may keep it.
    """

    body: bytes
    kind: str = KINDS["json"]
    status: int = HTTPStatus.OK
    lasting: bool = False


@cache
def asset(path: str) -> Response:
    """A file of the page; names are compared with those that there are, so no path leads outside.

    Raises:
        KeyError: there is none.
    """
    return _assets()[path]


@cache
def _assets() -> dict[str, Response]:
    folder = files("uhrtranslate.viewer").joinpath("assets")
    return {
        file.name: Response(file.read_bytes(), KINDS[file.name.rpartition(".")[2]])
        for file in folder.iterdir()
        if file.name.rpartition(".")[2] in KINDS
    }


def assets() -> dict[str, bytes]:
    """The files of the page by name."""
    return {name: response.body for name, response in _assets().items()}


def json_response(value: Any, status: int = HTTPStatus.OK) -> Response:
    """Values as JSON."""
    return Response(json.dumps(value, allow_nan=False).encode(), status=status)


def error_response(status: int, sentence: str) -> Response:
    """What is wrong, as JSON with the name `error`."""
    return json_response({"error": sentence}, status)


class Bytes:
    """A cache of encoded pictures; the least recently used are dropped first."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._kept: OrderedDict[Any, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> bytes | None:
        """What is kept under a key; None if it is not."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Any, data: bytes) -> None:
        """Keep something."""
        with self._lock:
            self._size += len(data) - len(self._kept.pop(key, b""))
            self._kept[key] = data
            while self._size > self._limit:
                self._size -= len(self._kept.popitem(last=False)[1])
