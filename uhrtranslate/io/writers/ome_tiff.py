"""Pyramids as OME-TIFF: the smaller levels below the first page, metadata as OME-XML.

For Bio-Formats, OMERO, QuPath and napari. OME-TIFF specification 6, schema 2016-06.
"""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from uhrtranslate.io.writers.base import EncodedLevel, SlideFormat
from uhrtranslate.io.writers.output_spec import SOFTWARE, OutputSpec
from uhrtranslate.io.writers.tiff_pages import image_tags, open_tiff, write_level, write_picture

_SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_TYPES = {8: "uint8", 16: "uint16", 32: "float"}


def write_ome_tiff(path: Path, spec: OutputSpec, levels: list[EncodedLevel]) -> None:
    """Write a pyramid, and its associated images as separate images; see `SlideFormat`."""
    first = {**image_tags(spec, ome_xml(spec)), "subifds": len(levels) - 1}
    next_ = {"subfiletype": 0, "subifds": len(levels) - 1}
    with open_tiff(path) as tiff:
        for plane in range(len(spec.channels) or 1):
            top = first if plane == 0 else next_
            for number, level in enumerate(levels):
                one = replace(level, tiles=level.planes[plane]) if spec.channels else level
                write_level(tiff, spec, one, **(top if number == 0 else {"subfiletype": 1}))
        for image in spec.associated.values():
            write_picture(tiff, image)


def ome_xml(spec: OutputSpec) -> str:
    """The OME-XML of an output, valid by the schema; it does not name patients or machines."""
    ElementTree.register_namespace("", _SCHEMA)
    ElementTree.register_namespace("xsi", _XSI)
    location = {f"{{{_XSI}}}schemaLocation": f"{_SCHEMA} {_SCHEMA}/ome.xsd"}
    root = ElementTree.Element(f"{{{_SCHEMA}}}OME", {"Creator": SOFTWARE, **location})
    _image(root, 0, 0, "image", spec.width, spec.height, spec)
    pages = len(spec.channels) or 1
    for number, (name, image) in enumerate(spec.associated.items()):
        _image(root, 1 + number, pages + number, name, image.shape[1], image.shape[0], None)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False)


def _image(
    root: ElementTree.Element,
    number: int,
    page: int,
    name: str,
    width: int,
    height: int,
    spec: OutputSpec | None,
) -> None:
    """Add one image, whose first page is `page`; spec is None for associated images."""
    channels = spec.channels if spec else ()

    def child(parent: ElementTree.Element, tag: str, **attributes: str) -> ElementTree.Element:
        return ElementTree.SubElement(parent, f"{{{_SCHEMA}}}{tag}", attributes)

    image = child(root, "Image", ID=f"Image:{number}", Name=name)
    if spec and spec.description:
        child(image, "Description").text = spec.description
    spacing: dict[str, str] = {}
    if spec and spec.mpp:
        for axis, mpp in zip("XY", spec.mpp, strict=True):
            spacing |= {f"PhysicalSize{axis}": f"{mpp:.9g}", f"PhysicalSize{axis}Unit": "µm"}
    pixels = child(
        image,
        "Pixels",
        ID=f"Pixels:{number}",
        DimensionOrder="XYCZT",
        Type=_TYPES[spec.bits if spec else 8],
        SizeX=str(width),
        SizeY=str(height),
        SizeC=str(len(channels) or 3),
        SizeZ="1",
        SizeT="1",
        Interleaved="false" if channels else "true",
        **spacing,
    )
    for c, channel in enumerate(channels):
        child(
            pixels, "Channel", ID=f"Channel:{number}:{c}", Name=channel.name, SamplesPerPixel="1",
            Color=str(_signed(channel.colour)),
        )  # fmt: skip
    for c in range(len(channels)):
        child(pixels, "TiffData", IFD=str(page + c), FirstC=str(c), PlaneCount="1")
    if not channels:
        child(pixels, "Channel", ID=f"Channel:{number}:0", Name="RGB", SamplesPerPixel="3")
        child(pixels, "TiffData", IFD=str(page), PlaneCount="1")
    position = spec.position_um if spec else None
    if position:
        child(
            pixels, "Plane", TheZ="0", TheT="0", TheC="0",
            PositionX=f"{position[0]:.9g}", PositionXUnit="µm",
            PositionY=f"{position[1]:.9g}", PositionYUnit="µm",
        )  # fmt: skip


def _signed(colour: tuple[int, int, int]) -> int:
    """A colour as OME's number: red, green, blue and opacity in 32 bits with a sign."""
    return int.from_bytes(bytes([*colour, 255]), "big", signed=True)


OME_TIFF = SlideFormat(
    (".ome.tif", ".ome.tiff", ".ome.btf", ".tif", ".tiff", ".btf"),
    write_ome_tiff,
    holds_associated=True,
    bits=(8, 16, 32),
    holds_channels=True,
    planar=True,
)
