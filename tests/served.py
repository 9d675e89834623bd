"""A server on this machine for inputs by URL, which sends ranges, or fails in its own way."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import skimage.data
import tifffile

from uhrtranslate.io import OutputSpec, open_writer

TISSUE = np.ascontiguousarray(np.tile(skimage.data.immunohistochemistry(), (2, 2, 1))[:700, :900])


class Server(ThreadingHTTPServer):
    """Serves a folder. The first part of a path says how: plain, whole (no ranges), broken
    (connections end half way, from the third range on), lastrow (those to a Zarr's last row of
    chunks do), flaky (every second one does), denied."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.log, self.ranges, self.healed = folder, [], 0, False
        self.lock = threading.Lock()

    def url(self, path, way="plain"):
        return f"http://127.0.0.1:{self.server_port}/{way}/{path}"


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        way, _, name = self.path.split("?")[0].lstrip("/").partition("/")
        file = self.server.folder / name
        self.server.log.append((self.command, self.path, self.headers.get("Range")))
        if way == "denied":
            return self.send_error(403)
        if not file.is_file():
            return self.send_error(404)
        content = file.read_bytes()
        asked = self.headers.get("Range", "") if way != "whole" else ""
        first, last = 0, len(content) - 1
        if asked:
            first, last = (int(part) for part in asked.removeprefix("bytes=").split("-"))
            last = min(last, len(content) - 1)
        part = content[first : last + 1]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", f'"{file.stat().st_mtime_ns}"')
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        if not body:
            return None
        with self.server.lock:
            self.server.ranges += bool(asked)
            number = self.server.ranges
        bad = number > 2 if way == "broken" else way == "lastrow" and "/0/0/5/" in self.path
        breaks = (bad and not self.server.healed) or (way == "flaky" and number % 2 == 0)
        self.wfile.write(part[: len(part) // 2] if breaks else part)
        self.close_connection = True
        return None

    def log_message(self, *_):
        pass


def fill(folder):
    """Put slides into a folder, whole and damaged ones."""
    facts = {"mpp": (0.5, 0.5), "tile": 128, "smallest": 256, "compression": "deflate"}
    names = ("slide.tif", "slide.ome.tif", "slide.svs", "a.ome.zarr", "b.v05.ome.zarr")
    for name in names:
        spec = OutputSpec(900, 700, objective_power=20, **facts)
        with open_writer(folder / name, spec) as writer:
            writer.write(0, 0, TISSUE)
    tifffile.imwrite(
        folder / "deep.tif", TISSUE.astype(np.uint16) * 257, tile=(128, 128), photometric="rgb"
    )
    (folder / "photo.png").write_bytes(b"\x89PNG" + bytes(100))
    (folder / "cut.tif").write_bytes((folder / "slide.tif").read_bytes()[:200_000])
    (folder / "empty.tif").write_bytes(b"")


@contextmanager
def serving(folder):
    """A server of a folder, in a thread."""
    server = Server(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
