"""An evaluation knows what uhrt made: which part of the source, and where cells end."""

import json

import pytest
import skimage.data
import tifffile
from PIL import Image
from support import small_resnet

from uhrtranslate.evaluation.made import Made, read_made
from uhrtranslate.evaluation.options import EvaluateOptions
from uhrtranslate.io import open_slide, open_view
from uhrtranslate.models import GeneratorInfo, save_native
from uhrtranslate.tasks.evaluate import evaluate
from uhrtranslate.tasks.translate import translate


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A slide of 0.25 um/px with two levels, and a generator."""
    desk = tmp_path_factory.mktemp("desk")
    section = skimage.data.retina()[300:1020, 200:1100]
    tiled = {"tile": (128, 128), "photometric": "rgb", "compression": "deflate"}
    with tifffile.TiffWriter(desk / "slide.tif") as tiff:
        for step in (1, 2):
            density = 4e4 / step
            tiff.write(
                section[::step, ::step], resolution=(density, density),
                resolutionunit="CENTIMETER", subfiletype=int(step > 1), **tiled,
            )  # fmt: skip
    Image.fromarray(section).save(desk / "photo.png")
    save_native(
        desk / "tiny.safetensors",
        small_resnet(ngf=4, n_blocks=1),
        GeneratorInfo("resnet", {"ngf": 4, "n_blocks": 1}, cell=64),
    )
    return desk


WAYS = {
    "region": {"region": (64, 128, 300, 260)},
    "level": {"level": 1},
    "mpp": {"mpp": 0.6},
    "both": {"mpp": 0.5, "region": (64, 128, 300, 260)},
}


FORMS = ("png", "ome.tif", "svs.tif", "zarr")


@pytest.mark.parametrize(
    ("way", "form"), [*((way, "tif") for way in WAYS), *(("both", form) for form in FORMS)]
)
def test_a_part_is_compared_with_that_part_of_the_slide(desk, tmp_path, way, form):
    """As with a file of exactly what was translated, whatever the format."""
    target = tmp_path / f"out.{form}"
    name = "svs" if form == "svs.tif" else None
    translate(
        desk / "slide.tif", target, model=str(desk / "tiny.safetensors"), format=name, **WAYS[way]
    )
    values = {name: WAYS[way].get(name) for name in ("level", "mpp", "region")}
    with open_slide(desk / "slide.tif") as slide:
        view = open_view(slide, values["level"], values["mpp"], values["region"])
        Image.fromarray(view.read(0, 0, view.width, view.height)).save(tmp_path / "same.png")
    found, same = (
        evaluate(target, EvaluateOptions(source=source)).metrics
        for source in (desk / "slide.tif", tmp_path / "same.png")
    )
    assert found == same
    assert found["seam"]["grid"] == 64
    assert found["seam"]["borders"] > 2


def test_a_part_of_a_part(desk, tmp_path):
    part, whole = tmp_path / "part.tif", tmp_path / "whole.tif"
    how = {"model": str(desk / "tiny.safetensors"), "compression": "deflate", "norm": "in"}
    translate(desk / "slide.tif", part, region=(128, 64, 384, 320), **how)
    translate(desk / "slide.tif", whole, **how)
    source = desk / "slide.tif"
    found = evaluate(part, EvaluateOptions(source=source, region=(64, 0, 128, 128)))
    same = evaluate(whole, EvaluateOptions(source=source, region=(192, 64, 128, 128)))
    assert found.metrics["colour"]["saturated_other"] == same.metrics["colour"]["saturated_other"]
    assert found.metrics["seam"]["grid"] == "auto"


def test_a_stated_resolution_is_known(desk, tmp_path):
    target = tmp_path / "out.tif"
    translate(
        desk / "photo.png", target, model=str(desk / "tiny.safetensors"), source_mpp=0.25, mpp=0.5
    )
    made = read_made(target)
    assert (made.source_size, made.mpp, made.source_mpp) == ((900, 720), 0.5, 0.25)
    assert evaluate(target, EvaluateOptions(source=desk / "photo.png")).width == 450


@pytest.mark.parametrize(
    "text",
    [
        "", "no JSON", "[1]", '{"software": "other 1.0", "cell": 64}',
        '{"software": "uhrtranslate 1", "cell": "64; rm"}',
        '{"software": "uhrtranslate 1", "region": [1, 2], "source_size": [9, 9]}',
    ],
)  # fmt: skip
def test_tags_of_others_say_nothing(tmp_path, text):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, skimage.data.coffee(), description=text, metadata=None)
    assert read_made(path) == Made()
    (tmp_path / "b.png").write_bytes(b"no image")
    assert read_made(tmp_path / "b.png") == Made()


def test_other_slides_are_not_cropped(desk, tmp_path):
    target = tmp_path / "out.tif"
    translate(
        desk / "slide.tif", target, model=str(desk / "tiny.safetensors"), region=(0, 0, 200, 200)
    )
    other = tmp_path / "other.png"
    Image.fromarray(skimage.data.retina()[:300, :300]).save(other)
    found = evaluate(target, EvaluateOptions(source=other))  # another size, the same shape
    assert json.dumps(found.metrics["structure"])
    assert found.metrics["structure"]["ssim"] < 0.9
