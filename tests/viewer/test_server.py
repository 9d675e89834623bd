"""What the server gives to whom: nothing that was not named, whatever it is asked."""

import http.client
import json
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageCms

from uhrtranslate.io import VirtualSlide
from uhrtranslate.tasks.view import open_server, routes
from uhrtranslate.viewer import server as serving_module
from uhrtranslate.viewer.server import serving

SECTION = skimage.data.immunohistochemistry()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shown")
    Image.fromarray(SECTION).save(folder / "named.png")
    Image.fromarray(SECTION).save(folder / "secret.png")
    (folder / "secret.txt").write_text("secret")
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with serving(open_server(routes([str(folder / "named.png")]))) as server:
        yield server


@pytest.fixture(scope="module")
def key(server):
    return json.loads(get(server, "site.json")[1])["open"][0]


def get(server, path, method="GET", host="127.0.0.1", word=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    try:
        connection.putrequest(method, f"/{word or server.word}/{path}", skip_host=True)
        if host is not None:
            connection.putheader("Host", host)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.read(), response.headers
    finally:
        connection.close()


def raw(server, data, wait=5.0):
    """Bytes to the server, and all that it answers."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=wait) as line:
        found = b""
        try:
            line.sendall(data)
            line.shutdown(socket.SHUT_WR)
            while part := line.recv(1 << 16):
                found += part
        except OSError:
            pass
        return found


def test_an_image_is_served_with_its_facts_and_tiles(server, key):
    status, body, headers = get(server, f"images/{key}.json")
    facts = json.loads(body)
    assert (status, facts["width"], facts["height"], facts["last"]) == (200, 512, 512, 9)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    status, body, headers = get(server, f"images/{key}_files/9/1_0.png?v={facts['version']}")
    assert np.array_equal(np.asarray(Image.open(BytesIO(body))), SECTION[:256, 256:512])
    assert "max-age" in headers["Cache-Control"]
    status, body, _ = get(server, f"images/{key}_files/9/1_0.jpg")
    assert (
        np.abs(np.asarray(Image.open(BytesIO(body))) - SECTION[:256, 256:512].astype(int)).mean()
        < 4
    )
    pixel = json.loads(get(server, f"images/{key}.pixel.json?x=300&y=10")[1])
    assert pixel["values"] == SECTION[10, 300].tolist()
    for what in ("thumb.jpg", "tissue.png"):
        assert get(server, f"images/{key}.{what}")[0] == 200
    assert get(server, f"images/{key}.heat.png")[0] == 404
    status, body, headers = get(server, "site.json", method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


def test_colours_are_as_stored_or_by_the_profile(folder):
    """The profile is sRGB with red and blue the other way round."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = plain.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")
    damaged = swapped[:128] + b"\xff" * 200
    for name, profile in (("swapped.png", swapped), ("damaged.png", damaged)):
        Image.fromarray(SECTION).save(folder / name, icc_profile=profile)
    found = routes([str(folder / name) for name in ("swapped.png", "damaged.png", "named.png")])
    shown = []
    for key in found.site()["open"]:
        facts = json.loads(found.answer(f"images/{key}.json").body)
        for query in ("", "icc=1"):
            tile = found.answer(f"images/{key}_files/9/1_0.png", query).body
            shown.append((facts["profile"], np.asarray(Image.open(BytesIO(tile))).astype(int)))
    found.close()
    stored = SECTION[:256, 256:512].astype(int)
    assert [has for has, _ in shown] == [True, True, True, True, False, False]
    assert np.abs(shown[1][1] - stored[..., ::-1]).max() <= 2
    for number in (0, 2, 3, 4, 5):
        assert np.array_equal(shown[number][1], stored)


def test_a_region_is_measured_as_it_is(server, key):
    corners = "100,100,300,100,300,200,100,200"
    found = json.loads(get(server, f"images/{key}.region.json?p={corners}")[1])
    part = SECTION[100:200, 100:300].reshape(-1, 3)
    assert found["pixels"] == len(part)
    for number, channel in enumerate(found["channels"]):
        assert channel["mean"] == pytest.approx(part[:, number].mean(), abs=1e-3)
        assert channel["std"] == pytest.approx(part[:, number].std(), abs=1e-3)
        assert sum(channel["histogram"]) == len(part)
    status, body, _ = get(server, f"images/{key}.region.json?p=900,900,950,900,950,950")
    assert status == 404
    assert "does not meet" in json.loads(body)["error"]


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt", "..%2fsecret.txt", "images/../secret.txt", "%2e%2e/secret.txt",
        "secret.png", "..\\secret.txt",
        "images/secret-png.json", "/etc/passwd", "//etc/passwd", "images/..%00.json", "main.py",
        "images/{folder}/secret.png.json", "{folder}/secret.txt", "index.html/../secret.txt",
        "images/{key}_files/9/../../../secret.txt", "images/{key}_files/9/99_0.jpg",
        "images/{key}_files/99/0_0.jpg", "images/{key}_files/9/0_0.gif", "images/{key}.secret",
    ],
)  # fmt: skip
def test_no_path_leads_to_what_was_not_named(server, key, folder, path):
    status, body, _ = get(server, path.format(key=key, folder=folder))
    assert status == 404
    assert b"secret" not in body.replace(b"secret-png", b"")
    assert b"root:" not in body


def test_other_names_words_sites_and_methods_are_refused(server):
    assert get(server, "site.json", host="localhost:9000")[0] == 200  # through a tunnel
    assert get(server, "site.json", host="[::1]:80")[0] == 200
    for host in (
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost:80:80",
        "",
        "127.0.0.1:x",
        None,
    ):
        assert get(server, "site.json", host=host)[0] == 421, host
    assert get(server, "site.json", word="guess")[0] == 404
    assert get(server, "site.json", Sec_Fetch_Site="cross-site")[0] == 403
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "get"):
        assert get(server, "site.json", method=method)[0] in (400, 501), method
    assert get(server, "site.json", Content_Length="5")[0] == 400
    assert get(server, "site.json", Transfer_Encoding="chunked")[0] == 400


def test_ten_thousand_malformed_requests_change_nothing(server, key, folder):
    """Many to a connection; the last of each is one that ends it."""
    chance = random.Random(0)
    word = server.word
    marks = "/%.\\?#&=:,;<>'\"{}[]0123456789abcdef_-eE+~\xe9"
    places = ("{}", "images/KEY.{}", "images/KEY_files/{}.jpg", "images/KEY_files/{}/0_0.jpg")
    asked = ("images/KEY.region.json?p={}", "images/KEY.pixel.json?x={}&y=1", "images/KEY.json?{}")

    def text():
        return "".join(chance.choice(marks) for _ in range(chance.randrange(40)))

    def one():
        place = chance.choice((*places, *asked)).replace("KEY", key).replace("{}", text())
        return f"GET /{word}/{place} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("latin-1")

    def last():
        ways = (
            f"{text()} \x01\x7f /{word}/site.json HTTP/{text()}\r\n\r\n",
            f"GET /{word}/site.json HTTP/1.1\r\n{text()}\r\n: {text()}\r\n\r\n",
            f"GET /{word}/site.json HTTP/9.9\r\n\r\n",
            f"GET {text()}",
        )
        return chance.choice(ways).encode("latin-1")

    batches = [b"".join([*(one() for _ in range(49)), last()]) for _ in range(200)]
    with ThreadPoolExecutor(4) as pool:
        answers = b"".join(pool.map(lambda batch: raw(server, batch, 20), batches))
    assert answers.count(b"HTTP/1.1 ") > 9_500
    assert b"secret" not in answers.replace(b"secret-png", b"")
    assert str(folder).encode() not in answers
    assert b"Traceback" not in answers
    assert get(server, "site.json")[0] == 200


def test_requests_that_are_too_long_end_the_connection(server):
    head = f"GET /{server.word}/site.json HTTP/1.1\r\nHost: localhost\r\n".encode()
    assert b" 200 " not in raw(server, head + b"X: " + b"a" * 200_000 + b"\r\n\r\n")
    assert b" 200 " not in raw(server, head + b"X: a\r\n" * 20_000 + b"\r\n")
    assert b" 200 " not in raw(server, b"GET /" + b"a" * 200_000)
    assert get(server, "site.json")[0] == 200


def test_slow_clients_are_hung_up_and_keep_nobody_waiting(server, monkeypatch):
    monkeypatch.setattr(serving_module, "ARRIVE", 0.6)
    began = time.monotonic()
    lines = [socket.create_connection(("127.0.0.1", server.server_port)) for _ in range(40)]
    try:
        for line in lines:
            line.sendall(b"GET /")
        assert get(server, "site.json")[0] == 200
        assert time.monotonic() - began < 5
        ended = 0
        while ended < len(lines) and time.monotonic() - began < 15:
            time.sleep(0.1)
            ended = 0
            for line in lines:  # a byte now and then does not help
                try:
                    line.sendall(b"a")
                    line.setblocking(False)
                    ended += line.recv(100) == b"" or 1
                except BlockingIOError:
                    pass
                except OSError:
                    ended += 1
                finally:
                    line.setblocking(True)
        assert ended == len(lines)
    finally:
        for line in lines:
            line.close()


def test_more_connections_than_are_served_are_closed_at_once(server):
    limit = serving_module.MOST_CONNECTIONS
    lines = [socket.create_connection(("127.0.0.1", server.server_port)) for _ in range(limit + 20)]
    for line in lines:
        line.close()
    began = time.monotonic()
    while time.monotonic() - began < 10:
        try:
            assert get(server, "site.json")[0] == 200
            break
        except OSError:  # until the others are noticed to be closed
            time.sleep(0.05)
    else:
        pytest.fail("the server does not answer any more")


def test_what_takes_long_is_made_while_others_are_served(tmp_path, monkeypatch):
    from uhrtranslate.viewer import regions
    from uhrtranslate.viewer import routes as routes_module
    from uhrtranslate.viewer.routes import Routes
    from uhrtranslate.viewer.shelf import Shelf

    monkeypatch.setattr(routes_module, "PATIENCE", 0.05)
    go_on = threading.Event()

    class Slow(VirtualSlide):
        def read(self, x, y, w, h, level=0):
            if w * h > 1 << 20:  # for small levels, many pixels are read at once
                assert go_on.wait(20)
            return super().read(x, y, w, h, level)

    white = lambda x, y, w, h: np.full((h, w, 3), 255, np.uint8)  # noqa: E731
    slow = Slow(20_000, 2600, white)
    quick = VirtualSlide(300, 300, white)
    with serving(open_server(Routes(Shelf.of_slides([slow, quick])))) as server:
        assert json.loads(get(server, "images/slide-0.json")[1])["slow"]
        for _ in range(8):  # more than are computed at once
            assert get(server, "images/slide-0_files/9/0_0.jpg")[0] == 202
        assert get(server, "images/slide-0.tissue.png")[0] == 202
        assert get(server, "images/slide-0_files/15/3_3.jpg")[0] == 200
        assert get(server, "images/slide-1_files/9/0_0.jpg")[0] == 200
        assert get(server, "images/slide-0.thumb.jpg")[0] == 202
        all_of_it = "0,0,20000,0,20000,2600,0,2600"
        monkeypatch.setattr(regions, "MOST_PIXELS", 1 << 20)
        status, body, _ = get(server, f"images/slide-0.region.json?p={all_of_it}")
        assert (status, "too large" in json.loads(body)["error"]) == (404, True)
        go_on.set()
        began = time.monotonic()
        for what in ("slide-0_files/9/0_0.jpg", "slide-0.tissue.png"):
            while get(server, f"images/{what}")[0] == 202:
                assert time.monotonic() - began < 60
            assert get(server, f"images/{what}")[0] == 200


def test_a_file_that_vanishes_is_told_in_a_sentence(folder, monkeypatch):
    from uhrtranslate.viewer import shelf

    monkeypatch.setattr(shelf, "FRESH", 0.0)
    path = folder / "fleeting.png"
    Image.fromarray(SECTION).save(path)
    with serving(open_server(routes([str(path)]))) as server:
        key = json.loads(get(server, "site.json")[1])["open"][0]
        first = json.loads(get(server, f"images/{key}.json")[1])["version"]
        Image.fromarray(SECTION[:300]).save(path)  # made again
        facts = json.loads(get(server, f"images/{key}.json")[1])
        assert facts["height"] == 300
        assert facts["version"] != first
        path.unlink()
        status, body, _ = get(server, f"images/{key}_files/9/0_0.jpg")
        assert status == 410
        assert json.loads(body)["error"].startswith("fleeting.png: is not there any more")
