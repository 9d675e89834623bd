import json

import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image

from uhrtranslate.errors import InputError, OptionError
from uhrtranslate.io import OutputSpec, open_slide, open_writer
from uhrtranslate.tasks import view
from uhrtranslate.viewer import shelf as shelf_module
from uhrtranslate.viewer.export import export
from uhrtranslate.viewer.marks import Documents

SECTION = np.tile(skimage.data.immunohistochemistry(), (3, 2, 1))


@pytest.fixture
def shown(tmp_path):
    for name in ("a.png", "sub/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(SECTION[:300, :400]).save(tmp_path / name)
    return tmp_path


@pytest.fixture
def routes():
    """What `tasks.view.routes` gives; its files are closed at the end."""
    made = []

    def make(*arguments):
        made.append(view.routes(*arguments))
        return made[-1]

    yield make
    for one in made:
        one.shelf.close()


def facts_of(found, key):
    response = found.answer(f"images/{key}.json")
    assert response.status == 200, response.body
    return json.loads(response.body)


def test_folders_are_listed_and_searched_again(shown, monkeypatch, routes):
    monkeypatch.setattr(shelf_module, "FRESH", 0.0)
    found = routes([str(shown)])
    site = found.site()
    assert site["folders"]
    assert site["open"] == []
    assert [item["name"] for item in site["items"]] == ["a.png", "b.png"]
    Image.fromarray(SECTION).save(shown / "c.png")
    (shown / "a.png").unlink()
    assert [item["name"] for item in found.site()["items"]] == ["c.png", "b.png"]


def test_ids_are_the_same_in_the_next_run(shown, routes):
    keys = [[item.key for item in routes([str(shown)]).shelf.items()] for _ in range(2)]
    assert keys[0] == keys[1]


def test_an_unfinished_result_is_shown_as_far_as_it_is_and_then_as_a_whole(
    tmp_path, monkeypatch, routes
):
    monkeypatch.setattr(shelf_module, "FRESH", 0.0)
    target = tmp_path / "slide.pooled.tif"
    spec = OutputSpec(1024, 1536, mpp=(0.5, 0.5), tile=256, smallest=512, compression="deflate")
    with open_writer(target, spec, job={"a": 1}) as writer:
        writer.write(0, 0, SECTION[:512])
        writer.reached(512)
        found = routes([str(tmp_path)])
        (item,) = found.site()["items"]
        assert (item["name"], item["unfinished"]) == ("slide.pooled.tif", True)
        facts = facts_of(found, item["id"])
        assert facts["done"] == pytest.approx(1 / 3)
        assert (facts["width"], facts["height"], facts["mpp"]) == (1024, 1536, [0.5, 0.5])
        with found.shelf.opened(item["id"]) as image:
            assert np.array_equal(image.slide.read(200, 100, 300, 300), SECTION[100:400, 200:500])
            assert (image.slide.read(0, 600, 64, 64) == image.slide.info.background).all()
        writer.write(0, 512, SECTION[512:1024])
        writer._journal._cost = 0.0
        writer.reached(1024)
        later = facts_of(found, item["id"])
        assert later["done"] == pytest.approx(2 / 3)
        assert later["version"] != facts["version"]
        writer.write(0, 1024, SECTION[1024:])
    whole = facts_of(found, item["id"])
    assert "done" not in whole
    with found.shelf.opened(item["id"]) as image:
        assert np.array_equal(image.slide.read(0, 1200, 64, 64), SECTION[1200:1264, :64])


@pytest.mark.parametrize("compression", ["jpeg", "deflate", "lzw", "zstd", "none"])
@pytest.mark.parametrize("bits", [8, 16])
def test_unfinished_tiles_are_read_as_they_will_be(tmp_path, compression, bits):
    if compression == "jpeg" and bits == 16:
        pytest.skip("JPEG holds 8 bits")
    pixels = SECTION[:512, :512].astype(np.uint16) * 257 if bits == 16 else SECTION[:512, :512]
    spec = OutputSpec(512, 512, tile=256, smallest=256, compression=compression, bits=bits)
    from uhrtranslate.io.files.atomic import partial_folder
    from uhrtranslate.io.readers.unfinished import UnfinishedSlide

    target = tmp_path / "a.tif"
    with open_writer(target, spec, job={"a": 1}) as writer:
        writer.write(0, 0, pixels)
        writer.reached(512)
        with UnfinishedSlide(partial_folder(target)) as slide:
            early = slide.read(0, 0, 512, 512)
    with open_slide(target, deep=True) as slide:
        late = slide.read(0, 0, 512, 512)
    assert early.dtype == late.dtype
    assert np.abs(early.astype(int) - late).max() <= (4 if compression == "jpeg" else 0)


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b'{"arrays": ["0/index"], "rows": 1, "height": 2}\nX']
)
def test_a_damaged_state_is_told_in_a_sentence(tmp_path, damage):
    from uhrtranslate.io.files.atomic import partial_folder
    from uhrtranslate.io.readers.unfinished import UnfinishedSlide

    target = tmp_path / "a.tif"
    with open_writer(target, OutputSpec(512, 512), job={"a": 1}) as writer:
        writer.write(0, 0, SECTION[:512, :512])
        writer.reached(512)
        (partial_folder(target) / "state").write_bytes(damage)
        with pytest.raises(InputError, match=r"a\.tif: "):
            UnfinishedSlide(partial_folder(target))


def test_what_is_wrong_is_told_before_a_page_opens(shown, routes):
    for places, sentence in (
        ([str(shown / "none.png")], "does not exist"),
        ([str(shown / "sub" / "none.json")], "no images"),
        ([str(shown / "a.png"), str(shown / "none.json")], "cannot be read"),
    ):
        with pytest.raises(InputError, match=sentence):
            routes(places)
    (shown / "x.json").write_text("[1")
    with pytest.raises(InputError, match="is not JSON"):
        routes([str(shown / "a.png"), str(shown / "x.json")])
    (shown / "x.json").write_text('{"some": "thing"}')
    with pytest.raises(InputError, match="is no evaluation"):
        routes([str(shown / "a.png"), str(shown / "x.json")])
    (shown / "x.json").write_text('{"images": [{"borders": 5}]}')
    with pytest.raises(InputError, match="is no evaluation"):
        routes([str(shown / "a.png"), str(shown / "x.json")])
    with pytest.raises(InputError, match="is no transform"):
        routes([str(shown / "a.png")], [shown / "y.geojson"] if _draw(shown) else [])


def _draw(folder):
    ring = [[0, 0], [100, 0], [100, 100], [0, 0]]
    kind = {"classification": {"name": "Tumour", "color": [200, 0, 0]}}
    feature = {"type": "Feature", "properties": kind,
               "geometry": {"type": "MultiPolygon", "coordinates": [[ring]]}}  # fmt: skip
    point = {"type": "Point", "coordinates": [5, 6]}
    document = {
        "type": "FeatureCollection",
        "features": [feature, {"type": "Feature", "geometry": point}],
    }
    (folder / "y.geojson").write_text(json.dumps(document))
    return folder / "y.geojson"


def test_transforms_must_have_one_fixed_slide(shown, routes):
    from uhrtranslate.registration import Frame, Matrix, Transform, dump_transform

    paths = []
    for side in (400, 500):
        frames = Frame("m", 400, 300), Frame("f", side, 300)
        paths.append(shown / f"{side}.json")
        paths[-1].write_text(json.dumps(dump_transform(Transform(*frames, (Matrix(np.eye(3)),)))))
    with pytest.raises(OptionError, match="different fixed"):
        routes([str(shown / "a.png")], paths)


def test_annotations_and_seams_are_read_from_their_files(shown, routes):
    documents = Documents()
    documents.read(_draw(shown))
    first, second = documents.annotations[0]["shapes"]
    assert (first["name"], first["colour"], first["closed"]) == ("Tumour", "#c80000", True)
    assert first["lines"] == [[0, 0, 100, 0, 100, 100, 0, 0]]
    assert second["lines"] == [[5, 6]]
    record = {
        "input": "a.png", "width": 200, "height": 150, "region": [100, 100, 400, 300],
        "borders": [{"axis": "x", "x": 50, "y": 10, "length": 100, "step": 3.0}],
        "heat": {"x": 0, "y": 0, "step": 100, "rows": 1, "columns": 2, "values": "Cv8="},
        "metrics": {"seam": {"verdict": "show"}},
    }  # fmt: skip
    (shown / "evaluation.json").write_text(json.dumps({"images": [record]}))
    found = routes([str(shown / "a.png"), str(shown / "evaluation.json"), str(shown / "y.geojson")])
    key = found.site()["open"][0]
    seams = facts_of(found, key)["seams"]
    assert seams["borders"][0] == {"axis": "x", "x": 200, "y": 120, "length": 200, "step": 3.0}
    assert seams["heat"] == {"x": 100, "y": 100, "w": 400, "h": 200}
    from io import BytesIO

    heat = Image.open(BytesIO(found.answer(f"images/{key}.heat.png").body))
    assert heat.size == (2, 1)
    assert heat.getpixel((0, 0))[3] > 0
    assert heat.getpixel((1, 0))[3] == 0  # not measured
    assert found.site()["annotations"] == 1


def test_slides_that_are_not_looked_at_are_closed(tmp_path, routes):
    for number in range(shelf_module.MOST_OPEN + 4):
        tifffile.imwrite(tmp_path / f"{number:02}.tif", SECTION[:64, :64], photometric="rgb")
    found = routes([str(tmp_path)])
    for item in found.shelf.items():
        facts_of(found, item.key)
    assert len(found.shelf._open) <= shelf_module.MOST_OPEN


def test_a_page_is_exported_with_all_its_tiles(shown, routes):
    told = []
    path = export(routes([str(shown / "a.png")]), shown / "page", told.append)
    assert path == shown / "page" / "index.html"
    key = json.loads((shown / "page" / "site.json").read_text())["open"][0]
    images = shown / "page" / "images"
    assert "Content-Security-Policy" in path.read_text()
    assert 'Width="400" Height="300"' in (images / f"{key}.dzi").read_text()
    assert {p.name for p in (images / f"{key}_files" / "9").iterdir()} == {
        f"{x}_{y}.jpg" for x in (0, 1) for y in (0, 1)
    }
    assert (images / f"{key}_files" / "8" / "0_0.jpg").is_file()
    assert told == ["a.png: writing 5 tiles."]
    with pytest.raises(Exception, match="exists already"):
        export(routes([str(shown / "a.png")]), shown / "page")
