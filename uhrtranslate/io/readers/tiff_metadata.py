"""What a TIFF says about its pixels: mpp, objective power, properties."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree

import tifffile

from uhrtranslate.io.channels import Channel, numbered_channels, ome_colour, shown_name

Mpp = tuple[float, float]

# Coarser resolutions belong to paper and screens (1200 dpi is 21 um), not to microscopes.
COARSEST_MPP = 20.0
# Those of the OME schema's UnitsLength that occur in files.
MICROMETRES = {"nm": 1e-3, "µm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}
PER_UNIT = {2: 25400.0, 3: 10000.0}  # TIFF ResolutionUnit: inch, centimetre
# Planes of an OME image; tifffile makes a list as long as the metadata says.
MOST_PLANES = 1_000_000
PROPERTY_TAGS = ("ImageDescription", "Make", "Model", "Software", "DateTime")


@dataclass(frozen=True)
class TiffMetadata:
    """Facts of a TIFF; None where it does not state them."""

    mpp: Mpp | None
    objective_power: float | None
    icc_profile: bytes | None
    properties: Mapping[str, str]


def read_channels(tif: tifffile.TiffFile, series: int, count: int) -> tuple[Channel, ...]:
    """Names and colours of a series' channels, as its OME-XML tells them."""
    plain = numbered_channels(count)
    try:
        images = ElementTree.fromstring(tif.ome_metadata or "").findall("{*}Image")
        told = images[series].findall("{*}Pixels/{*}Channel")
    except (ElementTree.ParseError, IndexError):
        return plain
    if len(told) != count:
        return plain
    return tuple(
        Channel(shown_name(one.get("Name"), own), ome_colour(one.get("Color"), own))
        for one, own in zip(told, plain, strict=True)
    )


def read_metadata(tif: tifffile.TiffFile, series: int) -> TiffMetadata:
    """Read what an open TIFF says about a series, whose index is also that of the OME image."""
    page = tif.series[series].keyframe
    mpp = power = None
    if tif.is_ome:
        mpp, power = _ome(tif.ome_metadata, series)
    elif tif.is_svs:
        mpp, power = _aperio(page.description)
    if mpp is None:
        mpp = plausible(_imagej(tif, page) if tif.is_imagej else _resolution(page))
    properties = {
        f"tiff.{name}": str(page.tags[name].value) for name in PROPERTY_TAGS if name in page.tags
    }
    icc = page.tags.get(34675)
    return TiffMetadata(mpp, power, icc.value if icc else None, MappingProxyType(properties))


def exaggerates(xml: str | None) -> str | None:
    """Which number in OME-XML is impossible, in a few words; None if all are possible."""
    try:
        root = ElementTree.fromstring(xml or "")
    except ElementTree.ParseError:
        return None
    for element in root.iter():
        name = str(element.tag).rpartition("}")[2]
        if name == "Pixels":
            planes = math.prod(max(_count(element.get(f"Size{axis}")), 1) for axis in "CZT")
        elif name == "TiffData":
            planes = max((_count(value) for value in element.attrib.values()), default=0)
        elif name.startswith("ModuloAlong"):
            start, end, step = (_real(element.get(key)) for key in ("Start", "End", "Step"))
            planes = int(min(abs(end - start) / (abs(step) or 1.0), 2.0 * MOST_PLANES))
        else:
            continue
        if planes > MOST_PLANES:
            return f"its OME-XML tells of {planes:,} planes in one image"
    return None


def _count(text: str | None) -> int:
    try:
        return int(text or 0)
    except ValueError:
        return 0


def _real(text: str | None) -> float:
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else math.inf


def plausible(mpp: Mpp | None) -> Mpp | None:
    """The mpp if a microscope can have it; resolution tags often describe a printer's."""
    return mpp if mpp is not None and max(mpp) <= COARSEST_MPP else None


def _resolution(page: tifffile.TiffPage) -> Mpp | None:
    unit = PER_UNIT.get(int(page.tags.valueof("ResolutionUnit", 2)))
    return _per_pixel(page, unit) if unit else None


def _imagej(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Mpp | None:
    unit = str((tif.imagej_metadata or {}).get("unit", ""))
    unit = {"micron": "um", "\\u00B5m": "um"}.get(unit, unit)
    return _per_pixel(page, MICROMETRES[unit]) if unit in MICROMETRES else None


def _per_pixel(page: tifffile.TiffPage, unit: float) -> Mpp | None:
    values = []
    for name in ("XResolution", "YResolution"):
        numerator, denominator = page.tags.valueof(name, (0, 1))
        if not numerator or not denominator:
            return None
        values.append(unit * denominator / numerator)
    return values[0], values[1]


def _ome(xml: str | None, index: int) -> tuple[Mpp | None, float | None]:
    try:
        root = ElementTree.fromstring(xml or "")
    except ElementTree.ParseError:
        return None, None
    images = root.findall("{*}Image")
    if index >= len(images):
        return None, None
    image = images[index]
    pixels = image.find("{*}Pixels")
    sizes = [_length(pixels, f"PhysicalSize{axis}") for axis in "XY"] if pixels is not None else []
    mpp = (sizes[0], sizes[1]) if len(sizes) == 2 and sizes[0] and sizes[1] else None
    settings = image.find("{*}ObjectiveSettings")
    wanted = settings.get("ID") if settings is not None else None
    objectives = root.findall("{*}Instrument/{*}Objective")
    chosen = [o for o in objectives if wanted is None or o.get("ID") == wanted]
    power = positive(chosen[0].get("NominalMagnification")) if len(chosen) == 1 else None
    return mpp, power


def _aperio(description: str) -> tuple[Mpp | None, float | None]:
    """What a description says in Aperio's manner, as `|MPP = 0.499|AppMag = 20`."""
    pairs = (part.partition("=") for part in description.split("|")[1:])
    facts = {name.strip(): positive(value) for name, _, value in pairs}
    mpp, power = facts.get("MPP"), facts.get("AppMag")
    return (mpp, mpp) if mpp else None, power


def _length(element: Any, name: str) -> float | None:
    value = positive(element.get(name))
    unit = MICROMETRES.get(element.get(f"{name}Unit", "µm").replace("\u03bc", "µ"))
    return value * unit if value and unit else None


def positive(text: str | None) -> float | None:
    """The number in a text if it is positive and finite."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if value > 0 and math.isfinite(value) else None
