"""Real files, each against a table and a reader that is not ours: size, mpp, orientation, pixels.

The table was written from each file's own metadata (openslide-show-properties, tifffile's tags, the
OME-XML) and the shared folder's LICENSES.md, not from what uhrt says.
"""

from xml.etree import ElementTree

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image, ImageOps

from uhrtranslate.io import open_slide

# Reader, size, levels, mpp, associated images.
KNOWN = {
    "aperio-svs/CMU-1-Small-Region.svs": (
        "tifffile", (2220, 2967), 1, (0.499, 0.499), ("label", "macro", "thumbnail")
    ),
    "dicom-wsi/sm_image.dcm": ("openslide", (50, 50), 1, (0.499, 0.499), ()),
    "hamamatsu-ndpi/test3-DAPI-387.ndpi": (
        "openslide", (3968, 4864), 7, (0.228175, 0.228175), ("macro",)
    ),
    "hamamatsu-ndpi/test3-TRITC-560.ndpi": (
        "openslide", (3968, 4864), 7, (0.228175, 0.228175), ("macro",)
    ),
    # Its data set has 0.5 um/px, but the file says 72 dpi, as photos do.
    "he-patches/CRC-VAL-HE-7K-NORM-TCGA-YLVCMEHK.tif": ("tifffile", (224, 224), 1, None, ()),
    "he-patches/OS-1-detail.ome.tif": ("tifffile", (1101, 1101), 1, (0.227097, 0.227102), ()),
    "scanner-pair-ki67/OS-2-ndpi.ome.tif": ("tifffile", (2202, 2202), 1, (0.227097, 0.227102), ()),
    "scanner-pair-ki67/OS-2-vsi.ome.tif": ("tifffile", (1445, 1445), 1, (0.346053, 0.346056), ()),
}  # fmt: skip
# Photos have sizes alone.
PHOTOS = {
    "darkfield/nci-vol-2304-72.jpg": (648, 432),
    "darkfield/nci-vol-2305-72.jpg": (646, 432),
    "he-patches/TCGA-AD-6964-tile-16896-20480.jpg": (512, 512),
    "he-patches/TCGA-AD-6964-tile-22016-11776.jpg": (512, 512),
    "he-patches/histolab-high-nuclei-level0.png": (956, 779),
    "he-patches/histolab-low-nuclei-level0.png": (512, 512),
    "he-patches/histolab-medium-nuclei-level0.png": (1001, 777),
    "he-patches/histolab-tissue-level0-a.png": (512, 512),
    "he-patches/histolab-tissue-level2-a.png": (512, 512),
    "he-patches/torch-staintools-sample.png": (256, 256),
    "he-patches/torchstain-source.png": (584, 438),
    "he-patches/torchstain-target.png": (587, 441),
    "paintings/monet-etretat.jpg": (1200, 966),
    "registration/lung-lesion-3_CD31-3.jpg": (895, 660),
    "registration/lung-lesion-3_He.jpg": (892, 661),
    "registration/lung-lesion-3_Ki67-7.jpg": (892, 660),
    "registration/lung-lesion_HE.jpg": (890, 733),
    "registration/lung-lesion_proSPC.jpg": (891, 735),
    **{
        f"serial-sections/{kind}_{section}.png": (504, 512)
        for kind in ("rigid", "nonrigid")
        for section in ("1_ihc_1", "2_ihc_3", "3_ihc_2")
    },
}
KNOWN |= {name: ("photo", size, 1, None, ()) for name, size in PHOTOS.items()}
WHOLE_SLIDES = (".svs", ".ndpi", ".dcm")
# Libraries round JPEG's colours differently, by a grey level or two.
TOLERANCE = 3


@pytest.mark.parametrize("name", KNOWN)
def test_facts_are_those_of_the_table(name, shared_data):
    reader, size, levels, mpp, associated = KNOWN[name]
    with open_slide(shared_data(name)) as slide:
        info = slide.info
        assert info.reader == reader
        assert (info.width, info.height) == size
        assert len(info.levels) == levels
        assert info.mpp == (mpp and pytest.approx(mpp, abs=1e-6))
        assert info.associated == associated
        for image in associated:
            assert slide.associated_image(image).shape[2] == 3


def white(image):
    """Upright RGB, transparent parts on white."""
    rgba = ImageOps.exif_transpose(image).convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba))[..., :3]


def levels_by_openslide(path):
    with openslide.OpenSlide(path) as slide:
        for level, size in enumerate(slide.level_dimensions):
            yield white(slide.read_region((0, 0), level, size))


def levels_by_tifffile(path):
    with tifffile.TiffFile(path) as tiff:
        for level in tiff.series[0].levels:
            yield level.asarray()[..., :3]


def levels_by_pillow(path):
    with Image.open(path) as image:
        yield white(image)


@pytest.mark.parametrize("name", KNOWN)
def test_every_level_agrees_with_another_reader_everywhere(name, shared_data):
    path = shared_data(name)
    other = (
        levels_by_openslide if path.suffix in WHOLE_SLIDES
        else levels_by_tifffile if path.suffix == ".tif"
        else levels_by_pillow
    )  # fmt: skip
    with open_slide(path) as slide:
        count = 0
        for count, (level, expected) in enumerate(
            zip(slide.info.levels, other(path), strict=True), 1
        ):
            # All of it: an image that is turned or mirrored agrees nowhere near its corners.
            found = slide.read(0, 0, level.width, level.height, count - 1)
            assert found.shape == expected.shape
            assert np.abs(found.astype(np.int16) - expected).max() <= TOLERANCE
            corner = slide.read(level.width - 9, level.height - 7, 9, 7, count - 1)
            np.testing.assert_array_equal(corner, found[-7:, -9:])
        assert count == len(slide.info.levels)


@pytest.mark.parametrize("name", [name for name in KNOWN if name.endswith(".ome.tif")])
def test_mpp_is_that_of_the_ome_xml(name, shared_data):
    with tifffile.TiffFile(shared_data(name)) as tiff:
        pixels = ElementTree.fromstring(tiff.ome_metadata).find(".//{*}Pixels")
    assert pixels.get("PhysicalSizeXUnit", "µm") == "µm"
    expected = [float(pixels.get(f"PhysicalSize{axis}")) for axis in "XY"]
    with open_slide(shared_data(name)) as slide:
        assert slide.info.mpp == pytest.approx(expected)


@pytest.mark.parametrize("name", [n for n in KNOWN if n.endswith(WHOLE_SLIDES)])
def test_mpp_is_that_of_openslide(name, shared_data):
    with openslide.OpenSlide(shared_data(name)) as slide:
        expected = [float(slide.properties[f"openslide.mpp-{axis}"]) for axis in "xy"]
    with open_slide(shared_data(name)) as slide:
        assert slide.info.mpp == pytest.approx(expected)
