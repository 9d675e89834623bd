import json

import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image

from uhrtranslate.errors import InputError, OptionError
from uhrtranslate.io import OutputSpec, open_slide, open_writer
from uhrtranslate.io.channels import make_channels
from uhrtranslate.io.files.atomic import partial_folder
from uhrtranslate.io.readers.unfinished import UnfinishedSlide
from uhrtranslate.pixels import to_bits
from uhrtranslate.tasks import view
from uhrtranslate.viewer import export as export_module
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


CHANNELS = make_channels(["DAPI", "CD3", "CD8", "CD20"])


@pytest.mark.parametrize(
    ("name", "more"),
    [
        *[("a.tif", {"compression": one}) for one in ("jpeg", "deflate", "lzw", "zstd", "none")],
        *[("a.tif", {"compression": one, "bits": 16}) for one in ("deflate", "lzw", "zstd")],
        ("a.ome.zarr", {}),
        ("a.zarr", {"compression": "none", "bits": 16}),
        ("a.ome.zarr", {"channels": CHANNELS, "bits": 32, "compression": "zstd"}),
        ("a.ome.tif", {"channels": CHANNELS}),
        ("a.ome.tif", {"channels": CHANNELS, "bits": 16, "compression": "zstd"}),
        ("a.ome.tif", {"channels": CHANNELS, "bits": 32, "compression": "deflate"}),
        ("a.png", {}),
    ],
)
def test_unfinished_results_are_read_as_they_will_be(tmp_path, name, more):
    """Of every format, also inside of tiles that are not full, and on smaller levels."""
    spec = OutputSpec(512, 600, tile=256, smallest=256, **more)
    pixels = to_bits(SECTION[:600, :512], 8, spec.bits)
    if spec.channels:
        pixels = np.concatenate([pixels, pixels[..., :1] // 2 * 2], axis=2)
    target = tmp_path / name
    with open_writer(target, spec, job={"a": 1}) as writer:
        writer.write(0, 0, pixels[:400])
        writer.reached(400)
        with UnfinishedSlide(partial_folder(target)) as slide:
            early = slide.read(0, 0, 512, 600)
            levels = slide.info.levels
            small = [slide.read(0, 0, one.width, one.height, i) for i, one in enumerate(levels)]
        writer.write(0, 400, pixels[400:])
    with open_slide(target, deep=True, channels=bool(spec.channels)) as slide:
        late = slide.read(0, 0, 512, 600)
    assert early.dtype == late.dtype
    # Of JPEG, decoders differ where it halves colours.
    most = 24 if spec.compression == "jpeg" and name.endswith(".tif") else 0
    off = np.abs(early[:400].astype(float) - late[:400])
    assert off.max() <= most
    assert off.mean() <= most / 10
    assert np.ptp(early[400:], axis=(0, 1)).max() == 0
    assert len(small) == (1 if name == "a.png" else 3)
    for number, picture in enumerate(small[1:], 1):
        factor = 2**number
        wide = pixels[: 400 // factor * factor].astype(float)
        mean = wide.reshape(400 // factor, factor, 512 // factor, factor, -1).mean(axis=(1, 3))
        off = np.abs(picture[: 400 // factor] - mean)
        assert off.mean() <= (2 if spec.bits == 8 else 1)
        assert np.ptp(picture[400 // factor + 1 :], axis=(0, 1)).max() == 0


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b'{"arrays": ["0/index"], "rows": 1, "height": 2}\nX']
)
def test_a_damaged_state_is_told_in_a_sentence(tmp_path, damage):
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
    assert not (shown / "page" / "export.json").exists()
    with pytest.raises(Exception, match="exists already"):
        export(routes([str(shown / "a.png")]), shown / "page")


def test_an_export_that_was_broken_off_goes_on(shown, routes, monkeypatch):
    places = [str(shown / "a.png"), str(shown / "sub" / "b.png")]
    first, second = (item.key for item in routes(places).shelf.items())
    encoded = export_module.encoded
    left = [7]

    def breaking(rgb, kind):
        if kind == "jpg":
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
        return encoded(rgb, kind)

    monkeypatch.setattr(export_module, "encoded", breaking)
    with pytest.raises(KeyboardInterrupt):
        export(routes(places), shown / "page")
    images = shown / "page.part" / "images"
    tile = images / f"{first}_files" / "9" / "1_0.jpg"
    written = tile.stat().st_mtime_ns
    tile.with_name("0_0.new").write_bytes(b"cut off")  # as of a machine that lost its power
    tile.with_name("0_0.jpg").unlink()
    # Of the second, the file is another one now; a third is not asked for any more.
    Image.fromarray(SECTION[:280, :400]).save(shown / "sub" / "b.png")
    (images / "gone_files").mkdir()
    (images / "gone.json").write_text("{}")
    left[0] = 1000
    told = []
    export(routes(places), shown / "page", told.append)
    assert told == ["a.png: writing 5 tiles; 4 are there already.", "b.png: writing 5 tiles."]
    images = shown / "page" / "images"
    assert (images / f"{first}_files" / "9" / "1_0.jpg").stat().st_mtime_ns == written
    with Image.open(images / f"{second}_files" / "9" / "1_1.jpg") as last:
        assert last.size == (144, 24)
    assert {path.name.partition(".")[0] for path in images.glob("*.json")} == {first, second}
    assert not [*images.rglob("*.new"), *images.glob("gone*")]


def test_a_part_in_a_folder_lies_where_its_source_does(tmp_path, routes):
    """Beside its source, with a report below the folder; reports of others are left out."""
    place = {"resolution": (2e4, 2e4), "resolutionunit": "CENTIMETER", "tile": (256, 256)}
    tifffile.imwrite(tmp_path / "a.tif", SECTION[:768, :768], photometric="rgb", **place)
    made = {"software": "uhrtranslate 1", "source_size": [768, 768], "region": [128, 256, 512, 512]}
    below = tmp_path / "out"
    below.mkdir()
    tifffile.imwrite(
        below / "a.dn.tif", SECTION[:512, :512], photometric="rgb", metadata=None,
        description=json.dumps(made), **place,
    )  # fmt: skip
    record = {"input": "a.dn.tif", "borders": [{"axis": "x", "x": 50, "y": 10, "step": 3.0}]}
    (below / "evaluation.json").write_text(json.dumps({"images": [record]}))
    (tmp_path / "compare.json").write_text(json.dumps({"who": "knows"}))
    told = []
    found = view.routes([str(tmp_path)], told=told.append)
    try:
        keys = {item.name: item.key for item in found.shelf.items()}
        facts = facts_of(found, keys["a.dn.tif"])
        assert np.allclose(facts["place"]["matrix"], [0.5, 0, 64, 0, 0.5, 128])
        assert facts["unit"] == "um"
        assert facts["seams"]["borders"][0]["x"] == 50
        assert np.allclose(facts_of(found, keys["a.tif"])["place"]["matrix"][2::3], 0)
    finally:
        found.close()
    assert len(told) == 1
    assert "compare.json" in told[0]
    assert told[0].endswith("It is left out.")
