"""A small web server for this machine: read-only, bounded, and deaf to other sites' pages."""

import io
import secrets
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from uhrtranslate.errors import OptionError
from uhrtranslate.viewer.responses import Response, error_response
from uhrtranslate.viewer.routes import Routes

LOOPBACK = "127.0.0.1"
# Names by which a browser on this machine, or at the other end of a tunnel, may call the server.
# Other sites can have their names lead to this machine, but not under one of these.
NAMES = ("127.0.0.1", "localhost", "[::1]")
# Connections at once; browsers open six each.
MOST_CONNECTIONS = 64
# Seconds: for a request to arrive, for an answer to be taken, for a connection to be idle.
ARRIVE, TAKE, IDLE = 10.0, 60.0, 30.0
# Of a request line and of the headers together, in bytes.
LONGEST_LINE, LARGEST_HEAD = 16 << 10, 32 << 10
# Of the rule about focus that OpenSeadragon adds to the page.
STYLE = "sha256-9xTiqzfwFaL2SGb1rmr8gysEwVVjIvqWAgmZgqFqpEE="
POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' '{STYLE}'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


class ViewServer(ThreadingHTTPServer):
    """Serves a page about images on the loopback interface.

    Args:
        routes: what there is to ask for.
        port: 0 for a free one.

    Attributes:
        address: of the page. It holds a word that nobody can guess, as other people on the same
            machine could otherwise look at the images.

    Raises:
        OptionError: the port is taken.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, routes: Routes, port: int = 0) -> None:
        self.routes = routes
        self.word = secrets.token_urlsafe(9)
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise OptionError(
                f"--port {port}: cannot be used ({reason}); choose another, or leave it out."
            ) from None

    @property
    def address(self) -> str:
        """Of the page."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.word}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a connection, unless there are too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread could be started
            self._free.release()
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """A connection, in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def server_close(self) -> None:
        """End, and close the images."""
        super().server_close()
        self.routes.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: connections break off all the time."""


@contextmanager
def serving(server: ViewServer) -> Iterator[ViewServer]:
    """A server at work in a thread, for the block."""
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Timed(io.RawIOBase):
    """A socket that is read from until a deadline, however slowly bytes arrive."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.deadline = time.monotonic() + ARRIVE
        self.left = LARGEST_HEAD  # bytes that may still arrive

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self.deadline - time.monotonic()
        if left <= 0 or self.left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        count = self._connection.recv_into(buffer)
        self.left -= count
        return count


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "uhrt", ""
    server: ViewServer
    # Headers and body leave together, at once.
    wbufsize = -1
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self._raw = _Timed(self.connection)
        self.rfile = io.BufferedReader(self._raw, 4096)

    def handle_one_request(self) -> None:
        self._raw.deadline, self._raw.left = time.monotonic() + IDLE, LARGEST_HEAD
        with suppress(TimeoutError, OSError):
            if not self.rfile.peek(1):  # type: ignore[attr-defined]
                self.close_connection = True
                return
            self._raw.deadline = time.monotonic() + ARRIVE
            super().handle_one_request()
            return
        self.close_connection = True

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answers to malformed requests: short, and the end of the connection."""
        self.close_connection = True
        self._send(error_response(code, message or HTTPStatus(code).phrase), with_body=True)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _answer(self, with_body: bool) -> None:
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.send_error(HTTPStatus.BAD_REQUEST, "requests have no body here")
            return
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or _name_of(hosts[0]) not in NAMES:
            self.send_error(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"this server is called {LOOPBACK} or localhost, by no other name",
            )
            return
        if self.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            self.send_error(HTTPStatus.FORBIDDEN, "only its own page may ask this server")
            return
        try:
            address = urlsplit(self.path)
        except ValueError:
            self.send_error(HTTPStatus.BAD_REQUEST, "the address is malformed")
            return
        first, _, rest = address.path.removeprefix("/").partition("/")
        if not secrets.compare_digest(first.encode(), self.server.word.encode()):
            found = error_response(
                HTTPStatus.NOT_FOUND, "open the whole address that uhrt view printed, with its word"
            )
        else:
            found = self.server.routes.answer(rest, address.query, self._is_wanted)
        self._send(found, with_body)

    def _is_wanted(self) -> bool:
        """Whether the client still waits; browsers hang up when the view has moved on."""
        try:
            if not select.select([self.connection], [], [], 0)[0]:
                return True
            return bool(self.connection.recv(1, socket.MSG_PEEK))
        except (OSError, ValueError):
            return False

    def _send(self, response: Response, with_body: bool) -> None:
        self.connection.settimeout(TAKE)
        self.send_response(response.status)
        headers = {
            "Content-Type": response.kind,
            "Content-Length": str(len(response.body)),
            "Cache-Control": "private, max-age=3600" if response.lasting else "no-store",
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Connection": "close" if self.close_connection else "keep-alive",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body and self.command != "HEAD":
            self.wfile.write(response.body)
        self.wfile.flush()


def _name_of(host: str) -> str:
    """The name in a Host header, without its port, which a tunnel may have changed."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host.lower()
    return name.lower() if port.isdigit() and len(port) <= 5 else ""
