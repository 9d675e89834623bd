"""Every format that is written opens in the programs that people have, with all it should say."""

import json
import os
import sys

import imagecodecs
import numpy as np
import openslide
import pytest
import skimage.data
import tifffile
from PIL import Image, ImageCms

from uhrtranslate.errors import InputError, MissingExtraError, OutputError
from uhrtranslate.io import (
    OutputSpec,
    check_complete,
    open_slide,
    open_view,
    open_writer,
)
from uhrtranslate.io.writers import ome_zarr as ome_zarr_writer
from uhrtranslate.io.writers.formats import slide_format, suffix_of
from uhrtranslate.io.writers.ome_zarr import ngff_metadata
from uhrtranslate.pixels import halve
from uhrtranslate.tables import COMPRESSIONS, FORMATS

SIZE = (1300, 900)
TISSUE = np.ascontiguousarray(
    np.tile(skimage.data.immunohistochemistry(), (2, 3, 1))[: SIZE[1], : SIZE[0]]
)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
HOW = json.dumps({"software": "uhrtranslate", "norm": "dn", "note": "micro \N{MICRO SIGN}"})


def write(path, pixels=TISSUE, **facts):
    given = {
        "mpp": (0.25, 0.3), "icc_profile": ICC, "description": HOW, "tile": 256, "smallest": 256,
        "objective_power": 40.0,
    }  # fmt: skip
    spec = OutputSpec(pixels.shape[1], pixels.shape[0], **(given | facts))
    with open_writer(path, spec) as writer:
        writer.write(0, 0, pixels)
    return path


def pyramid(pixels):
    """The levels that a pyramid of these pixels has, by the definition: means of 2 x 2."""
    levels = [pixels]
    while max(levels[-1].shape[:2]) > 256:
        last = levels[-1]
        h, w = last.shape[:2]
        even = np.pad(last, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge")
        levels.append(halve(even))
    return levels


def psnr(a, b):
    error = np.mean((a.astype(float) - b.astype(float)) ** 2)
    return 10 * np.log10(255**2 / max(error, 1e-9))


def same(found, expected, compression):
    if compression == "jpeg":
        # Smaller levels have more colour per pixel, of which 4:2:0 keeps every other.
        assert psnr(found, expected) > (38 if found.shape == TISSUE.shape else 30)
    else:
        assert np.array_equal(found, expected)


LEVELS = pyramid(TISSUE)
TIFFS = [
    (format, compression) for format in ("tiff", "ome-tiff", "svs") for compression in COMPRESSIONS
]


@pytest.fixture(scope="module", params=TIFFS, ids="-".join)
def written(request, tmp_path_factory):
    format, compression = request.param
    path = tmp_path_factory.mktemp("formats") / f"a{suffix_of(format)}"
    return write(path, compression=compression), format, compression


class TestTiffs:
    def test_tifffile_sees_every_level(self, written):
        path, format, compression = written
        with tifffile.TiffFile(path) as tiff:
            assert tiff.is_bigtiff
            assert tiff.is_ome == (format == "ome-tiff")
            first = tiff.pages[0]
            pages = [first, *first.pages] if format == "ome-tiff" else list(tiff.pages)
            assert len(pages) == len(LEVELS)
            if format == "ome-tiff":
                assert [level.shape[:2] for level in tiff.series[0].levels] == [
                    level.shape[:2] for level in LEVELS
                ]
            for number, (page, expected) in enumerate(zip(pages, LEVELS, strict=True)):
                same(page.asarray(), expected, compression)
                per_cm = page.tags["XResolution"].value
                share = TISSUE.shape[1] / expected.shape[1]
                assert 1e4 * per_cm[1] / per_cm[0] == pytest.approx(0.25 * share, rel=1e-3)
                assert page.tags["ResolutionUnit"].value == tifffile.RESUNIT.CENTIMETER
                assert number or page.iccprofile == ICC

    def test_openslide_sees_levels_and_spacing(self, written):
        path, format, compression = written
        with openslide.OpenSlide(path) as slide:
            assert slide.level_count == (1 if format == "ome-tiff" else len(LEVELS))
            assert slide.dimensions == SIZE
            mpp = [float(slide.properties[f"openslide.mpp-{axis}"]) for axis in "xy"]
            expected = (0.275, 0.275) if format == "svs" else (0.25, 0.3)  # Aperio's has one MPP
            assert mpp == pytest.approx(expected, rel=1e-3)
            power = slide.properties.get("openslide.objective-power")
            assert power == ("40" if format == "svs" else None)
            assert slide.color_profile is not None
            for level in range(slide.level_count):
                size = slide.level_dimensions[level]
                found = np.asarray(slide.read_region((0, 0), level, size).convert("RGB"))
                same(found, LEVELS[level], compression)
            if format == "svs":
                assert slide.properties["openslide.vendor"] == "aperio"
                assert json.loads(slide.properties["aperio.uhrt"])["norm"] == "dn"

    def test_libvips_sees_pixels_and_spacing(self, written):
        pyvips = pytest.importorskip("pyvips")
        path, format, compression = written
        if compression == "zstd":
            pytest.skip("pyvips' binary wheel gives zeros for zstd, without an error")
        levels = {"subifd": range(-1, len(LEVELS) - 1)} if format == "ome-tiff" else {
            "page": range(len(LEVELS))
        }  # fmt: skip
        ((key, numbers),) = levels.items()
        for number, expected in zip(numbers, LEVELS, strict=True):
            image = pyvips.Image.tiffload(str(path), **{key: number})
            same(image.numpy()[..., :3], expected, compression)
            share = TISSUE.shape[1] / expected.shape[1]
            assert 1e3 / image.xres == pytest.approx(0.25 * share, rel=1e-3)  # px per mm

    def test_we_see_all_of_it(self, written):
        path, format, compression = written
        with open_slide(path) as slide:
            sizes = [(level.height, level.width) for level in slide.info.levels]
            if format == "ome-tiff":
                assert slide.info.format == "OME-TIFF"
            assert sizes == [level.shape[:2] for level in LEVELS]
            same(slide.read(0, 0, *SIZE), TISSUE, compression)
        complete = check_complete(path)
        assert (complete.width, complete.height, complete.description) == (*SIZE, HOW)


class TestOmeXml:
    def test_is_valid_and_says_what_it_should(self, tmp_path):
        ome_types = pytest.importorskip("ome_types")
        path = write(tmp_path / "a.ome.tif", position=(100, 200))
        ome = ome_types.from_tiff(path)  # pydantic models made from the schema
        (image,) = ome.images
        pixels = image.pixels
        assert (pixels.size_x, pixels.size_y, pixels.size_c) == (*SIZE, 3)
        assert (pixels.physical_size_x, pixels.physical_size_y) == (0.25, 0.3)
        assert pixels.physical_size_x_unit.value == "µm"
        (channel,) = pixels.channels
        assert (channel.name, channel.samples_per_pixel) == ("RGB", 3)
        assert pixels.planes[0].position_x == 25
        assert pixels.planes[0].position_y == 60
        assert image.description == HOW
        assert not ome.instruments
        assert not ome.experimenters

    def test_is_the_same_each_time(self, tmp_path):
        first, second = (write(tmp_path / name).read_bytes() for name in ("a.ome.tif", "b.ome.tif"))
        assert first == second


class TestOmeZarr:
    @pytest.fixture(params=["jpeg", "none"])
    def path(self, request, tmp_path_factory):
        pytest.importorskip("zarr")
        folder = tmp_path_factory.mktemp("zarr")
        return write(folder / "a.ome.zarr", compression=request.param, position=(4, 10))

    def test_zarr_reads_the_levels(self, path):
        zarr = pytest.importorskip("zarr")
        group = zarr.open_group(path, mode="r")
        for number, expected in enumerate(LEVELS):
            assert np.array_equal(group[str(number)][:].transpose(1, 2, 0), expected)

    def test_the_metadata_is_ngff(self, path):
        attributes = json.loads((path / ".zattrs").read_text())
        (image,) = attributes["multiscales"]
        assert image["version"] == "0.4"
        assert [axis["type"] for axis in image["axes"]] == ["channel", "space", "space"]
        assert image["axes"][1]["unit"] == image["axes"][2]["unit"] == "micrometer"
        assert len(image["datasets"]) == len(LEVELS)
        for data, level in zip(image["datasets"], LEVELS, strict=True):
            scale, translation = data["coordinateTransformations"]
            assert (scale["type"], translation["type"]) == ("scale", "translation")
            step = [0.3 * SIZE[1] / level.shape[0], 0.25 * SIZE[0] / level.shape[1]]
            assert scale["scale"] == pytest.approx([1, *step])
            assert translation["translation"] == pytest.approx(
                [0, 3 + (step[0] - 0.3) / 2, 1 + (step[1] - 0.25) / 2]
            )
        assert json.loads((path / ".zgroup").read_text()) == {"zarr_format": 2}
        assert len(attributes["omero"]["channels"]) == 3

    def test_we_read_it_back(self, path):
        with open_slide(path) as slide:
            assert slide.info.mpp == (0.25, 0.3)
            assert [(v.height, v.width) for v in slide.info.levels] == [v.shape[:2] for v in LEVELS]
            assert np.array_equal(slide.read(700, 500, 300, 200), TISSUE[500:700, 700:1000])
            assert slide.read(-5, 895, 10, 10).shape == (10, 10, 3)
            assert open_view(slide, mpp=0.6).height == 450
        complete = check_complete(path)
        assert (complete.width, complete.height, complete.description) == (*SIZE, HOW)

    def test_a_lost_chunk_is_noticed(self, path, tmp_path):
        import shutil

        copy = shutil.copytree(path, tmp_path / "copy.zarr")
        (copy / "0" / "0" / "1" / "1").unlink()
        with pytest.raises(InputError, match="not complete"):
            check_complete(copy)

    def test_it_is_replaced_whole(self, path, tmp_path):
        target = tmp_path / "a.zarr"
        write(target, TISSUE[:300, :300])
        with pytest.raises(OutputError, match="exists already"):
            write(target)
        spec = OutputSpec(20, 10)
        with open_writer(target, spec, overwrite=True) as writer:
            writer.write(0, 0, TISSUE[:10, :20])
        with open_slide(target) as slide:
            assert (slide.info.width, slide.info.height) == (20, 10)
        assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]

    def test_all_of_it_is_on_the_disk_before_it_has_its_name(self, tmp_path, monkeypatch):
        """File by file, as a sync of all disks is slow, and unknown to Windows."""
        monkeypatch.delattr("os.sync", raising=False)
        synced = set()

        def fsync(descriptor, fsync=os.fsync):
            assert not (tmp_path / "b.zarr").exists() or os.path.samestat(
                os.fstat(descriptor), tmp_path.stat()
            )
            synced.add(os.fstat(descriptor).st_ino)
            fsync(descriptor)

        monkeypatch.setattr("os.fsync", fsync)
        write(tmp_path / "b.zarr")
        inside = [tmp_path, tmp_path / "b.zarr", *(tmp_path / "b.zarr").rglob("*")]
        assert len(inside) > 30
        expected = [one for one in inside if one.is_file() or sys.platform != "win32"]
        assert {entry.stat().st_ino for entry in expected} == synced

    def test_other_folders_are_refused(self, tmp_path):
        (tmp_path / "a.zarr").mkdir()
        with pytest.raises(InputError, match="no OME-Zarr image"):
            open_slide(tmp_path / "a.zarr")

    def test_without_zarr_the_extra_is_named(self, tmp_path, monkeypatch):
        def missing(module, extra):
            raise MissingExtraError(f"{module}: pip install 'uhrtranslate[{extra}]'")

        monkeypatch.setattr(ome_zarr_writer, "require", missing)
        with pytest.raises(MissingExtraError, match=r"uhrtranslate\[zarr\]"):
            write(tmp_path / "a.zarr")
        assert not list(tmp_path.iterdir())

    def test_without_mpp_there_is_no_unit(self):
        metadata = ngff_metadata(OutputSpec(10, 10), [(10, 10)])
        assert all("unit" not in axis for axis in metadata["multiscales"][0]["axes"])


class TestOmeZarr05:
    """NGFF 0.5, checked against what its specification demands of an image."""

    @pytest.fixture(params=["jpeg", "none"])
    def path(self, request, tmp_path_factory):
        pytest.importorskip("zarr")
        folder = tmp_path_factory.mktemp("zarr")
        return write(folder / "a.v05.ome.zarr", compression=request.param, position=(4, 10))

    def test_zarr_reads_the_levels(self, path):
        zarr = pytest.importorskip("zarr")
        group = zarr.open_group(path, mode="r", zarr_format=3)
        for number, expected in enumerate(LEVELS):
            array = group[str(number)]
            assert array.metadata.dimension_names == ("c", "y", "x")
            assert np.array_equal(array[:].transpose(1, 2, 0), expected)

    def test_the_metadata_is_ngff(self, path):
        node = json.loads((path / "zarr.json").read_text())
        assert (node["zarr_format"], node["node_type"]) == (3, "group")
        assert not list(path.rglob(".z*")), "nothing of zarr 2"
        ome = node["attributes"]["ome"]
        assert ome["version"] == "0.5"
        assert "multiscales" not in node["attributes"]
        (image,) = ome["multiscales"]
        assert "version" not in image
        assert image["axes"] == [
            {"name": "c", "type": "channel"},
            {"name": "y", "type": "space", "unit": "micrometer"},
            {"name": "x", "type": "space", "unit": "micrometer"},
        ]
        assert [data["path"] for data in image["datasets"]] == ["0", "1", "2", "3"][: len(LEVELS)]
        scales = []
        for data, level in zip(image["datasets"], LEVELS, strict=True):
            scale, translation = data["coordinateTransformations"]
            assert (scale["type"], translation["type"]) == ("scale", "translation")
            assert len(scale["scale"]) == len(translation["translation"]) == len(image["axes"])
            assert scale["scale"][1:] == pytest.approx(
                [0.3 * SIZE[1] / level.shape[0], 0.25 * SIZE[0] / level.shape[1]]
            )
            scales.append(scale["scale"][1])
        assert scales == sorted(scales), "the largest level first"
        for channel in ome["omero"]["channels"]:
            assert len(bytes.fromhex(channel["color"])) == 3
            assert set(channel["window"]) == {"min", "max", "start", "end"}

    def test_we_read_it_back_and_notice_a_lost_chunk(self, path):
        with open_slide(path) as slide:
            assert slide.info.format == "OME-Zarr 0.5"
            assert slide.info.mpp == (0.25, 0.3)
            assert np.array_equal(slide.read(700, 500, 300, 200), TISSUE[500:700, 700:1000])
        complete = check_complete(path)
        assert (complete.width, complete.height, complete.description) == (*SIZE, HOW)
        (path / "0" / "c" / "0" / "1" / "1").unlink()
        with pytest.raises(InputError, match="not complete"):
            check_complete(path)


class TestShardedOmeZarr:
    """Few files: 8 x 8 tiles in each, of 64 px here."""

    @pytest.fixture
    def path(self, tmp_path):
        pytest.importorskip("zarr")
        return write(tmp_path / "a.sharded.ome.zarr", tile=64)

    def test_zarr_reads_the_levels_from_few_files(self, path):
        zarr = pytest.importorskip("zarr")
        group = zarr.open_group(path, mode="r", zarr_format=3)
        assert group.attrs["ome"]["version"] == "0.5"
        for number, expected in enumerate(LEVELS):
            array = group[str(number)]
            assert (array.chunks, array.shards) == ((3, 64, 64), (3, 512, 512))
            assert np.array_equal(array[:].transpose(1, 2, 0), expected)
            files = [file for file in (path / str(number) / "c").rglob("*") if file.is_file()]
            rows, columns = (-(-side // 512) for side in expected.shape[:2])
            assert len(files) == rows * columns

    @pytest.mark.parametrize("damage", ["lost", "cut", "index"])
    def test_a_damaged_shard_is_noticed(self, path, damage):
        assert check_complete(path).description == HOW
        shard = path / "0" / "c" / "0" / "1" / "1"
        content = shard.read_bytes()
        if damage == "lost":
            shard.unlink()
        else:
            end = len(content) - 40
            rest = b"" if damage == "cut" else b"?" + content[end + 1 :]
            shard.write_bytes(content[:end] + rest)
        with pytest.raises(InputError, match=r"a\.sharded\.ome\.zarr: .*make it again"):
            check_complete(path)


IMAGES = {
    "thumbnail": TISSUE[::8, ::8].copy(),
    "label": np.full((60, 80, 3), 200, np.uint8),
    "macro": TISSUE[::20, ::10].copy(),
}


class TestAssociatedImages:
    def test_aperio_has_them_where_openslide_looks(self, tmp_path):
        path = write(tmp_path / "a.svs", associated=IMAGES)
        with openslide.OpenSlide(path) as slide:
            assert slide.level_count == len(LEVELS)
            for name, image in IMAGES.items():
                found = np.asarray(slide.associated_images[name].convert("RGB"))
                assert psnr(found, image) > 25

    def test_ome_has_them_as_images(self, tmp_path):
        ome_types = pytest.importorskip("ome_types")
        path = write(tmp_path / "a.ome.tif", associated=IMAGES)
        assert [image.name for image in ome_types.from_tiff(path).images] == ["image", *IMAGES]
        with tifffile.TiffFile(path) as tiff:
            assert len(tiff.series) == 4
            assert psnr(tiff.series[2].asarray(), IMAGES["label"]) > 30

    @pytest.mark.parametrize("name", ["a.tif", "a.zarr"])
    def test_formats_without_a_place_refuse_them(self, tmp_path, name):
        with pytest.raises(OutputError, match="--keep-associated"):
            write(tmp_path / name, associated=IMAGES)


class TestNames:
    @pytest.mark.parametrize(
        ("name", "asked", "format"),
        [
            ("a.tif", None, "tiff"), ("a.OME.TIFF", None, "ome-tiff"), ("a.svs", None, "svs"),
            ("a.zarr", None, "ome-zarr"), ("a.tif", "svs", "svs"),
            ("a.zarr", "ome-zarr-0.5", "ome-zarr-0.5"),
            ("a.tif", "ome-tiff", "ome-tiff"),
            ("a.btf", None, "tiff"),
        ],
    )  # fmt: skip
    def test_say_the_format(self, tmp_path, name, asked, format):
        assert slide_format(tmp_path / name, asked) is FORMATS[format]

    @pytest.mark.parametrize(
        ("name", "asked"),
        [("a.svs", "tiff"), ("a.zarr", "svs"), ("a.tif", "ome-zarr"), ("a.xyz", None), ("a", None)],
    )
    def test_that_contradict_are_refused(self, tmp_path, name, asked):
        with pytest.raises(OutputError, match=name):
            slide_format(tmp_path / name, asked)

    def test_of_photos_hold_no_slides(self, tmp_path):
        with pytest.raises(OutputError, match="name of a photo"):
            write(tmp_path / "a.png", format="svs")

    def test_default_suffixes_are_their_own_format(self, tmp_path):
        for format in FORMATS:
            assert slide_format(tmp_path / f"a{suffix_of(format)}") is FORMATS[format]


class TestPhotos:
    @pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
    def test_are_complete_or_not(self, tmp_path, name):
        path = write(tmp_path / name)
        complete = check_complete(path)
        assert (complete.width, complete.height) == SIZE
        with Image.open(path) as image:
            assert image.info["icc_profile"] == ICC
        path.write_bytes(path.read_bytes()[:-2000])
        with pytest.raises(InputError):
            check_complete(path)


def test_a_region_says_where_it_was(tmp_path):
    path = write(tmp_path / "a.tif", position=(4000, 2000))
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages[0].tags
        x, y = (tags[name].value for name in ("XPosition", "YPosition"))
    assert 1e4 * x[0] / x[1] == pytest.approx(1000)
    assert 1e4 * y[0] / y[1] == pytest.approx(600)


def test_aperio_levels_are_jpeg_where_asked(tmp_path):
    with tifffile.TiffFile(write(tmp_path / "a.svs")) as tiff:
        page = tiff.pages[0]
        tile = page.parent.filehandle
        offset, length = page.dataoffsets[0], page.databytecounts[0]
        tile.seek(offset)
        assert imagecodecs.jpeg8_decode(tile.read(length)).shape == (256, 256, 3)
