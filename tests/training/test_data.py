"""Patches: where they come from, that they do not depend on threads, and what is refused."""

from contextlib import ExitStack, closing

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from PIL import Image
from problems import recolour, section

from uhrtranslate.errors import InputError, OptionError
from uhrtranslate.training.data.augment import as_floats, jitter
from uhrtranslate.training.data.batches import batches
from uhrtranslate.training.data.patches import open_patches
from uhrtranslate.training.data.pictures import window_share
from uhrtranslate.training.options import DataOptions


@pytest.fixture
def opened():
    """Open patches, to be closed at the end."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(closing(open_patches(*arguments)))


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def slide_with_tissue_at(path, x, y, mpp=0.5):
    """A slide of bare glass with one piece of tissue, 300 x 300 px."""
    pixels = np.full((1200, 1600, 3), 243, np.uint8)
    pixels[y : y + 300, x : x + 300] = section()[:300, :300]
    path.parent.mkdir(parents=True, exist_ok=True)
    resolution = (1e4 / mpp, 1e4 / mpp)
    tifffile.imwrite(
        path,
        pixels,
        tile=(256, 256),
        photometric="rgb",
        resolution=resolution,
        resolutionunit="CENTIMETER",
    )


def options(folder, **more):
    return DataOptions(**{"a": folder / "a", "b": folder / "b", "patch": 64, **more})


def test_patches_come_from_tissue(opened, tmp_path):
    slide_with_tissue_at(tmp_path / "a" / "one.tif", 1000, 700)
    slide_with_tissue_at(tmp_path / "b" / "two.tif", 100, 100)
    patches = opened(options(tmp_path, tissue=0.5), False, 1)
    for number in range(40):
        for patch in patches.sample(number).values():
            assert patch.shape == (3, 64, 64)
            assert (patch.min(axis=0) < 0.88).mean() > 0.3  # glass is at 0.906


def test_glass_is_drawn_where_no_tissue_is_asked_for(opened, tmp_path):
    slide_with_tissue_at(tmp_path / "a" / "one.tif", 1000, 700)
    slide_with_tissue_at(tmp_path / "b" / "two.tif", 100, 100)
    patches = opened(options(tmp_path, tissue=0), False, 1)
    glass = [np.ptp(patches.sample(number)["A"]) == 0 for number in range(40)]
    assert 0.5 < np.mean(glass) < 1


def test_mpp_chooses_the_resolution(opened, tmp_path):
    slide_with_tissue_at(tmp_path / "a" / "one.tif", 1000, 700)
    slide_with_tissue_at(tmp_path / "b" / "two.tif", 100, 100, mpp=0.25)
    patches = opened(options(tmp_path, mpp=1.0), False, 1)
    assert [patches.pictures[name][0].width for name in "AB"] == [800, 400]
    assert patches.pictures["A"][0].mpp == pytest.approx(1.0)


@pytest.mark.parametrize("turns", [{"flip": False}, {"flip": True, "rotate": True}])
def test_partners_stay_in_step(opened, tmp_path, turns):
    for i, image in enumerate((section(), skimage.data.coffee())):
        write(tmp_path / "a" / f"{i}.png", image)
        write(tmp_path / "b" / f"{i}.png", 255 - image)
    patches = opened(options(tmp_path, tissue=0, **turns), True, 1)
    for number in range(10):
        a, b = patches.sample(number).values()
        np.testing.assert_allclose(a, -b, atol=1e-6)


def test_side_by_side_images_are_pairs(opened, tmp_path):
    write(tmp_path / "a" / "both.png", np.hstack([section(), 255 - section()]))
    chosen = options(tmp_path, b=None, pairs="side-by-side", tissue=0.1)
    patches = opened(chosen, True, 1)
    assert (patches.pictures["A"][0].width, patches.pictures["A"][0].height) == (512, 512)
    for number in range(10):
        a, b = patches.sample(number).values()
        np.testing.assert_allclose(a, -b, atol=1e-6)


def test_a_slide_of_another_scanner_is_brought_to_its_partners_size(opened, tmp_path):
    image = section()
    write(tmp_path / "a" / "one.png", image)
    write(tmp_path / "b" / "other.png", np.asarray(Image.fromarray(image).resize((768, 768))))
    patches = opened(options(tmp_path, pairs="slides", tissue=0.1), True, 1)
    a, b = patches.sample(3).values()
    # The same place: far more alike than another one.
    assert np.abs(a - b).mean() < 0.3 * np.abs(a - patches.sample(4)["B"]).mean()


def test_samples_do_not_depend_on_threads_or_on_where_one_begins(opened, tmp_path):
    write(tmp_path / "a" / "0.png", section())
    write(tmp_path / "b" / "0.png", recolour(section()))
    chosen = options(tmp_path, rotate=True, jitter=0.2)
    patches = opened(chosen, False, 7)
    whole = list(batches(patches.sample, 0, 6, 2, workers=3))
    rest = list(batches(opened(chosen, False, 7).sample, 6, 3, 2, workers=1))
    for one, other in zip(whole[3:], rest, strict=True):
        assert list(one) == list(other) == ["A", "B"]
        assert all(torch.equal(one[name], other[name]) for name in one)
    other = opened(chosen, False, 8).sample(0)
    assert not np.array_equal(other["A"], whole[0]["A"][0].numpy())


def test_an_epoch_covers_the_tissue(opened, tmp_path):
    write(tmp_path / "a" / "0.png", section())
    write(tmp_path / "b" / "0.png", section())
    chosen = options(tmp_path, tissue=0)
    length = opened(chosen, False, 1).epoch_length()
    assert 45 <= length <= 64  # 8 x 8 patches lie side by side


def test_window_share_is_the_mean_of_each_window():
    mask = np.random.default_rng(0).random((9, 12)) < 0.4
    share = window_share(mask, 3)
    assert share[4, 5] == pytest.approx(mask[3:6, 4:7].mean())
    assert share[0, 0] == pytest.approx(mask[:3, :3].mean())
    assert share[8, 11] == pytest.approx(mask[6:, 9:].mean())


def test_jitter_stays_in_range_and_changes_colours():
    x = as_floats(section()[:64, :64])
    y = jitter(x, 0.3, np.random.default_rng(0))
    assert y.min() >= -1
    assert y.max() <= 1
    assert np.abs(x - y).max() > 0.05
    assert jitter(x, 0, np.random.default_rng(0)) is x


# What is wrong with the data, and a part of the sentence that says so.
def no_folder(folder):
    return {"a": folder / "nowhere"}, "does not exist"


def no_images(folder):
    (folder / "empty").mkdir()
    return {"a": folder / "empty"}, "has no images"


def broken(folder):
    whole = (folder / "a" / "0.png").read_bytes()
    (folder / "a" / "1.png").write_bytes(whole[:2000])
    return {}, "1.png"


def no_image(folder):
    (folder / "a" / "1.png").write_text("hello")
    return {}, "no reader takes it"


def glass(folder):
    write(folder / "a" / "glass.png", np.full((600, 600, 3), 240, np.uint8))
    return {}, "glass.png: no patch of it has 25% of tissue"


def too_large(folder):
    return {"patch": 1024}, "less than a patch of 1024 px"


def no_partner(folder):
    write(folder / "a" / "alone.png", section())
    return {}, "alone.png: has no partner"


def other_size(folder):
    write(folder / "b" / "0.png", section()[:400])
    return {}, "512 x 400 px where its partner"


def odd_width(folder):
    write(folder / "a" / "0.png", section()[:, :511])
    return {"b": None, "pairs": "side-by-side"}, "must be even"


BOTH = [no_folder, no_images, broken, no_image, glass, too_large]


@pytest.mark.parametrize(
    ("paired", "spoil"),
    [(False, s) for s in BOTH] + [(True, s) for s in (*BOTH, no_partner, other_size, odd_width)],
    ids=lambda value: value.__name__ if callable(value) else f"paired={value}",
)
def test_what_is_wrong_with_the_data_is_said_in_a_sentence(opened, tmp_path, paired, spoil):
    for name in "ab":
        write(tmp_path / name / "0.png", section())
        if paired:
            write(tmp_path / name / "1.png", section())
            write(tmp_path / name / "glass.png", section())
    more, part = spoil(tmp_path)

    def draw():
        patches = opened(options(tmp_path, **more), paired, 0)
        for number in range(20):  # damage may lie in the pixels, not in the header
            patches.sample(number)

    with pytest.raises(InputError) as caught:
        draw()
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_photos_do_not_say_their_mpp(opened, tmp_path):
    for name in "ab":
        write(tmp_path / name / "0.png", section())
    with pytest.raises(OptionError, match="mpp"):
        opened(options(tmp_path, mpp=0.5), False, 0)
