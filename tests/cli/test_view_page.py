"""The page of `uhrt view` in a real browser, over slides of 100,000 px whose colours say where."""

import functools
import http.server
import json
import threading
from contextlib import ExitStack

import numpy as np
import pytest
import skimage.data
import tifffile
from browsing import check_at_home
from PIL import Image
from place_slides import PlaceSlide

from uhrtranslate.io import OutputSpec, open_writer
from uhrtranslate.registration import Frame, Matrix, Transform
from uhrtranslate.tasks.view import open_server, routes
from uhrtranslate.viewer.export import export
from uhrtranslate.viewer.routes import Routes
from uhrtranslate.viewer.server import serving
from uhrtranslate.viewer.shelf import Shelf

SIDE, SPAN = 100_000, 25_000.0  # px, um
# The moving slide: turned by 30 degrees, half as fine, and moved.
TURN = np.deg2rad(30)
TO_MOVING = np.array(
    [
        [0.5 * np.cos(TURN), -0.5 * np.sin(TURN), 9000.0],
        [0.5 * np.sin(TURN), 0.5 * np.cos(TURN), -4000.0],
        [0, 0, 1],
    ]
)


def plane_of_moving(x, y):
    back = np.linalg.inv(TO_MOVING)
    return [(back[i, 0] * x + back[i, 1] * y + back[i, 2]) * 0.25 for i in (0, 1)]


@pytest.fixture(scope="module")
def slides():
    fine = PlaceSlide("fine.svs", SIDE, 0.25, 40, SPAN)
    coarse = PlaceSlide("coarse.tif", SIDE // 2, 0.5, 200, SPAN, levels=8)
    moving = PlaceSlide("moving.svs", SIDE // 2, 0.5, 120, SPAN, 8, plane_of_moving)
    frames = (
        Frame("moving.svs", SIDE // 2, SIDE // 2, (0.5, 0.5)),
        Frame("fine.svs", SIDE, SIDE, (0.25, 0.25)),
    )
    # Of two slides of one size, the transform is of the one with its name.
    transform = Transform(*frames, (Matrix(TO_MOVING),))
    with serving(
        open_server(Routes(Shelf.of_slides([fine, coarse, moving]), None, (transform,)))
    ) as server:
        yield server


class Page:
    """A page in a browser, with what a test asks of it."""

    def __init__(self, browser, address, ready=True):
        from selenium.webdriver.support.ui import WebDriverWait

        self.browser, self.address = browser, address
        self.wait = WebDriverWait(browser, 90, poll_frequency=0.05).until
        browser.get("about:blank")
        for kind in ("browser", "performance"):
            browser.get_log(kind)
        browser.get(address)
        if ready:
            self.settle()

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def settle(self):
        """Wait until every pane has been drawn."""
        self.wait(lambda _: self.run(
            "return document.body.dataset.ready === 'yes' && "
            "[...document.querySelectorAll('.pane:not([hidden])')].every((p) => p.dataset.place)"
        ))  # fmt: skip

    def all(self, css):
        return self.browser.find_elements("css selector", css)

    def one(self, css):
        return self.browser.find_element("css selector", css)

    def keys(self, *keys):
        self.one(".pane:not([hidden]):not(.above) .openseadragon-canvas").send_keys(*keys)

    def places(self, css=".pane:not([hidden])"):
        """Where each pane looks: x, y in um, css px per um, degrees."""
        return [
            [float(value) for value in pane.get_attribute("data-place").split()]
            for pane in self.all(css)
        ]

    def moved(self, before):
        """Wait until all panes look elsewhere and stay."""
        self.wait(
            lambda _: all(
                np.abs(np.subtract(*two)).max() > 1e-6
                for two in zip(self.places(), before, strict=True)
            )
        )
        self.wait(lambda _: len({tuple(np.round(place, 3)) for place in self.places()}) == 1)
        return self.places()

    def colours(self):
        """RGB in the middle of each pane, once its tiles are there."""
        script = """
            return [...document.querySelectorAll('.pane:not([hidden]) .seen')].map((seen) => {
              const canvas = seen.querySelector('canvas');
              const one = Object.assign(document.createElement('canvas'), { width: 1, height: 1 });
              const context = one.getContext('2d', { willReadFrequently: true });
              context.drawImage(canvas, canvas.width / 2, canvas.height / 2, 1, 1, 0, 0, 1, 1);
              return [...context.getImageData(0, 0, 1, 1).data];
            });"""
        self.wait(lambda _: all(pixel[3] == 255 for pixel in self.run(script)))
        return [pixel[:3] for pixel in self.run(script)]


def check_in_step(page):
    """All panes look at one place, by what they say and by what they show."""
    places = np.array(page.places())
    assert np.abs(places[:, :2] - places[0, :2]).max() < 0.5  # um
    assert np.abs(places[:, 2] / places[0, 2] - 1).max() < 1e-3
    assert np.abs(places[:, 3] - places[0, 3]).max() < 0.01
    expected = places[0, :2] / SPAN * 255
    for colour in page.colours():
        assert np.abs(np.array(colour[:2]) - expected).max() < 4, (colour, expected)
    return places[0]


def test_panes_stay_in_step_in_micrometres(browser, slides):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
    from selenium.webdriver.common.keys import Keys

    page = Page(browser, slides.address)
    assert len(page.all(".pane")) == 3
    before = page.places()
    check_in_step(page)
    first, _, third = page.all(".pane .frame")
    ActionChains(browser).drag_and_drop_by_offset(first, 60, 40).perform()
    before = page.moved(before)
    check_in_step(page)
    page.keys("+", "+", "+")
    before = page.moved(before)
    page.keys("]", "]")
    before = page.moved(before)
    assert before[0][3] == pytest.approx(30)
    check_in_step(page)
    wheel = ScrollOrigin.from_element(third)
    ActionChains(browser).scroll_from_origin(wheel, 0, -300).perform()
    before = page.moved(before)  # another pane leads
    page.keys(Keys.ARROW_LEFT, Keys.ARROW_DOWN)
    before = page.moved(before)
    zoomed = check_in_step(page)
    # As it would be in six days' time, in another browser.
    page.wait(lambda _: f"r={30}" in browser.current_url)
    address = browser.current_url
    again = Page(browser, address)
    assert np.allclose(again.places()[0], zoomed, rtol=1e-3)
    check_in_step(again)
    # Unlinked, one moves alone.
    page.keys("l", "+")
    page.wait(lambda _: page.places()[0][2] > zoomed[2] * 1.2)
    assert page.places()[1][2] == pytest.approx(zoomed[2], rel=1e-3)
    assert "u=1" in page.wait(
        lambda _: browser.current_url if "u=1" in browser.current_url else None
    )
    page.keys("l", "0")
    page.wait(lambda _: len({round(place[2], 4) for place in page.places()}) == 1)
    check_at_home(browser, slides.address)


def test_two_are_laid_over_each_other(browser, slides):
    page = Page(browser, slides.address)
    style = (
        "const p = document.querySelector('.pane.above');"
        "const s = getComputedStyle(p.querySelector('.seen'));"
        "return [s.clipPath, s.opacity, s.visibility, getComputedStyle(p).mixBlendMode];"
    )
    page.keys("k")
    page.wait(lambda _: len(page.all(".pane:not([hidden])")) == 2)
    page.wait(lambda _: page.run(style)[0] == "inset(0px 0px 0px 50%)")
    page.keys(".", ".")
    page.wait(lambda _: page.run(style)[0] == "inset(0px 0px 0px 54%)")
    before = page.places()
    page.keys("+", "]")
    page.moved(before)
    check_in_step(page)
    from selenium.webdriver.common.action_chains import ActionChains

    frame = page.one(".pane.below .frame")
    across = round(frame.size["width"] * 0.04)
    ActionChains(browser).move_to_element_with_offset(
        frame, across, 50
    ).click_and_hold().move_by_offset(-100, 0).release().perform()
    page.wait(
        lambda _: float(page.run(style)[0].split()[-1].rstrip("%)")) < 48
    )  # the edge was dragged
    check_in_step(page)
    page.keys("o")
    page.wait(lambda _: page.run(style)[1] == "0.5")
    page.one("#share").send_keys("\ue010")  # End
    page.wait(lambda _: page.run(style)[1] == "1")
    page.keys("f")
    page.wait(lambda _: page.run(style)[2] == "visible")
    page.keys("f")
    page.wait(lambda _: page.run(style)[2] == "hidden")
    above = page.one("#above").get_property("value")
    page.keys("x")
    page.wait(lambda _: page.one("#below").get_property("value") == above)
    page.keys("d")
    page.wait(lambda _: page.run(style)[3] == "difference")
    page.keys("p")
    page.wait(lambda _: len(page.all(".pane:not([hidden])")) == 3)
    page.wait(lambda _: len({tuple(np.round(place, 2)) for place in page.places()}) == 1)
    check_in_step(page)
    check_at_home(browser, slides.address)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A slide, a result with a description, what was measured and drawn, and channels."""
    folder = tmp_path_factory.mktemp("results")
    section = np.tile(skimage.data.immunohistochemistry(), (2, 2, 1))
    place = {"resolution": (2e4, 2e4), "resolutionunit": "CENTIMETER", "tile": (256, 256)}
    tifffile.imwrite(folder / "slide.tif", section, photometric="rgb", **place)
    made = {"software": "uhrtranslate 1", "cell": 128, "source_size": [1024, 1024]}
    tifffile.imwrite(
        folder / "part.tif", 255 - section[256:768, 128:640], photometric="rgb", metadata=None,
        description=json.dumps(made | {"region": [128, 256, 512, 512]}), **place,
    )  # fmt: skip
    stack = np.stack([section[:512, :512, c].astype(np.uint16) * 16 for c in range(3)])
    tifffile.imwrite(
        folder / "cells.ome.tif", stack, photometric="minisblack", tile=(256, 256),
        metadata={"axes": "CYX", "Channel": {"Name": ["DAPI", "CD3", "CD8"]}},
    )  # fmt: skip
    borders = [
        {"axis": "x", "x": 128 * (i + 1), "y": 200, "length": 128, "step": 9.0 - i}
        for i in range(3)
    ]
    heat = {
        "x": 0,
        "y": 0,
        "step": 128,
        "rows": 4,
        "columns": 4,
        "values": "ACYuCgAPGCIADwgAzastAA==",
    }
    record = {
        "input": "part.tif",
        "borders": borders,
        "heat": heat,
        "metrics": {"seam": {"verdict": "show"}},
    }
    (folder / "evaluation.json").write_text(json.dumps({"images": [record]}))
    ring = [[100, 100], [400, 100], [400, 400], [100, 100]]
    feature = {
        "type": "Feature",
        "properties": {"name": "gland"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    (folder / "drawn.geojson").write_text(json.dumps(feature))
    return folder


def test_overlays_borders_regions_and_the_colour_under_the_pointer(browser, results):
    from selenium.webdriver.common.action_chains import ActionChains

    names = ("slide.tif", "part.tif", "evaluation.json", "drawn.geojson")
    with serving(open_server(routes([str(results / name) for name in names]))) as server:
        page = Page(browser, server.address)
        drawn = lambda: [canvas.get_attribute("data-drawn") for canvas in page.all(".marks")]  # noqa: E731
        assert drawn() == ["annotations", "annotations"]
        page.keys("c", "t", "h", "m", "a")
        page.wait(lambda _: drawn() == ["tissue tiles cells", "tissue heat tiles cells"])
        page.keys("b")
        page.wait(lambda _: "borders" in drawn()[0])
        # The first border is in the middle of both panes: 128 + 128, 256 + 200 px of 0.5 um.
        page.wait(
            lambda _: np.allclose([place[:2] for place in page.places()], [128, 228], atol=0.1)
        )
        assert page.one("#panel [aria-current=true]").text == "step 9.0 at 128, 200"
        page.all("#panel button[data-border]")[2].click()
        page.wait(lambda _: np.allclose(page.places()[1][:2], [256, 228], atol=0.1))
        frame = page.all(".pane .frame")[0]
        ActionChains(browser).move_to_element(frame).perform()
        cursor = page.one("#cursor")
        page.wait(lambda _: cursor.get_attribute("data-values"))
        x, y = map(int, cursor.get_attribute("data-px").split())
        with tifffile.TiffFile(results / "slide.tif") as tiff:
            expected = tiff.asarray()[y, x]
        assert [float(v) for v in cursor.get_attribute("data-values").split()] == expected.tolist()
        assert "µm" in cursor.text
        page.keys("v")
        chain = ActionChains(browser).move_to_element(frame).click_and_hold()
        for step in ((60, 0), (0, 60), (-60, 0)):
            chain = chain.move_by_offset(*step)
        chain.release().perform()
        page.wait(lambda _: len(page.all("#measured table")) == 2)
        assert len(page.all("#measured svg polyline")) == 6
        page.keys("s")  # what is seen
        page.wait(lambda _: len(page.all("#measured table")) == 2)
        # Told apart by the bar: as long as it says.
        bar = page.one(".bar")
        length = float(bar.get_attribute("data-length")) * page.places()[0][2]
        assert bar.size["width"] == pytest.approx(length, abs=5)
        check_at_home(browser, server.address)


def test_channels_have_colours_and_ranges(browser, results):
    with serving(open_server(routes([str(results / "cells.ome.tif")]))) as server:
        page = Page(browser, server.address)
        boxes = page.all(".channel input[type=checkbox]")
        assert [row.text for row in page.all(".channel label")] == ["DAPI", "CD3", "CD8"]
        lit = page.colours()[0]
        for box in boxes[1:]:
            box.click()
        page.wait(lambda _: page.colours()[0][:2] == [0, 0])  # DAPI is blue
        assert page.colours()[0][2] > 0
        assert lit[0] > 0
        check_at_home(browser, server.address)


def test_what_a_result_has_become_so_far_is_shown_and_renewed(browser, tmp_path):
    section = np.tile(skimage.data.immunohistochemistry(), (2, 1, 1))
    spec = OutputSpec(512, 2048, mpp=(0.5, 0.5), tile=256, smallest=512)
    with ExitStack() as unfinished:
        target = tmp_path / "slide.dn.tif"
        writer = unfinished.enter_context(open_writer(target, spec, job={"a": 1}))
        writer.write(0, 0, section[:512])
        writer.reached(512)
        with serving(open_server(routes([str(tmp_path)]))) as server:
            page = Page(browser, server.address)
            page.wait(lambda _: page.one(".progress").text == "25% done")
            writer.write(0, 512, section[512:])
            writer._journal._cost = 0.0
            writer.reached(1024)
            page.wait(lambda _: page.one(".progress").text == "50% done")
            writer.write(0, 1024, section)
            unfinished.close()
            page.wait(lambda _: page.one(".progress").text == "")
            page.colours()
            check_at_home(browser, server.address)


def test_lattices_are_read_as_the_server_means_them(browser, slides):
    """Between the nodes of a map that is no matrix, and beyond its ends."""
    xs, ys = np.arange(4) * 10.0 + 5, np.arange(3) * 20.0 - 7
    nodes = [[2 * x - y + 3, x + y / 2] for y in ys for x in xs]
    told = {"x": 5, "y": -7, "dx": 10, "dy": 20, "columns": 4, "rows": 3}
    place = {way: told | {"points": np.ravel(nodes).tolist()} for way in ("to", "from")}
    Page(browser, slides.address)
    found = browser.execute_async_script(
        """
        const [place, done] = arguments;
        import('./frames.js').then(({ frameOf }) => {
          const frame = frameOf(place);
          done([[12, 9], [5, -7], [-40, 90]].map(([x, y]) => frame.toPlane(x, y)));
        });""",
        place,
    )
    assert np.allclose(found, [[18, 16.5], [20, 1.5], [-167, 5]])


def test_a_folder_is_a_list_with_search_that_is_kept_up_to_date(browser, tmp_path):
    section = skimage.data.immunohistochemistry()
    for number in range(9):
        Image.fromarray(section).save(tmp_path / f"image-{number}.png")
    with serving(open_server(routes([str(tmp_path)]))) as server:
        page = Page(browser, server.address, ready=False)
        page.wait(lambda _: len(page.all("#images button")) == 9)
        page.wait(
            lambda _: page.run("return document.querySelector('#images img').naturalWidth") > 0
        )
        page.one("#search").send_keys("image-3")
        page.wait(lambda _: len(page.all("#images button")) == 1)
        page.one("#images button").click()
        page.wait(lambda _: len(page.all(".pane")) == 1)
        assert page.one("#images button").get_attribute("aria-pressed") == "true"
        page.one("#search").clear()
        page.one("#search").send_keys(" ")
        Image.fromarray(section).save(tmp_path / "new.png")
        page.wait(lambda _: len(page.all("#images button")) == 10)
        (tmp_path / "image-3.png").unlink()
        page.wait(lambda _: "9 images" in page.one("#found").text)
        check_at_home(browser, server.address)


def test_keys_are_listed_and_a_phone_is_wide_enough(browser, slides):
    page = Page(browser, slides.address)
    page.keys("?")
    page.wait(lambda _: page.one("#help").get_property("open"))
    listed = [kbd.text for kbd in page.all("#help kbd")]
    page.one("#help button").click()
    # Whatever can be clicked in the page's head has a key, which is in the list.
    keys = page.run("""
        return [...document.querySelectorAll('header button, header input, header select')]
          .map((one) => [one.outerHTML, one.getAttribute('aria-keyshortcuts')])""")
    assert [control for control, key in keys if not key] == []
    known = page.run(
        "const { KEYS } = await import('./keys.js'); return KEYS().map((one) => one.slice(0, 2));"
    )
    assert [shown for _, shown in known] == listed
    assert {key for _, each in keys for key in each.split()} <= {k for ks, _ in known for k in ks}
    page.keys("e")
    page.wait(lambda _: page.one("#cursor").get_attribute("data-values"))
    page.keys("k", "y")
    page.wait(lambda _: page.one("#above").get_property("selectedIndex") == 2)
    page.keys("Y")
    page.wait(lambda _: page.one("#below").get_property("selectedIndex") == 1)
    page.keys("p", "s")
    page.wait(lambda _: page.all("#measured"))
    page.keys("\ue00c")  # Escape
    page.wait(lambda _: not page.all("#measured"))
    unnamed = page.run("""
        const name = (one) => one.getAttribute('aria-label') || one.textContent.trim()
          || one.labels?.[0]?.textContent.trim() || one.closest('[hidden]');
        return [...document.querySelectorAll('button, input, select, [role=img]')]
          .filter((one) => !name(one)).map((one) => one.outerHTML)""")
    assert unnamed == []
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    try:
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        page.wait(lambda _: page.run("return innerWidth") == 390)
        page.wait(lambda _: page.run("return document.documentElement.scrollWidth") == 390)
        page.wait(lambda _: len({pane.rect["x"] for pane in page.all(".pane")}) == 1)
        boxes = page.run("""
            return [...document.querySelectorAll('header *, .pane')]
              .filter((one) => one.offsetWidth > 2)
              .map((one) => [one.outerHTML.slice(0, 60), one.getBoundingClientRect().right])""")
        assert [name for name, right in boxes if right > 390.5] == []
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    check_at_home(browser, slides.address)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_an_exported_page_works_on_any_web_server(browser, results, tmp_path):
    found = routes([str(results / name) for name in ("slide.tif", "part.tif", "evaluation.json")])
    export(found, tmp_path / "page")
    found.shelf.close()
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/page/"
            page = Page(browser, address)
            page.colours()
            page.keys("h", "c", "+")
            page.wait(
                lambda _: (
                    [c.get_attribute("data-drawn") for c in page.all(".marks")]
                    == ["cells", "heat cells"]
                )
            )
            assert not page.one("#measure").is_displayed()
            check_at_home(browser, address)
        finally:
            server.shutdown()
            thread.join()
