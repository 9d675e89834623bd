"""Pyramids as OME-TIFF: levels below the first page, all that is known in OME-XML.

For Bio-Formats, OMERO, QuPath and napari. OME-TIFF specification 6, schema 2016-06.
"""

from pathlib import Path
from xml.etree import ElementTree

import tifffile

from uhrtranslate.io.writers.metadata import SOFTWARE, OutputSpec, pixels_per_cm
from uhrtranslate.io.writers.tiff import EncodedLevel
from uhrtranslate.io.writers.tiff_codecs import COMPRESSIONS

_SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"


def write_ome_tiff(path: Path, spec: OutputSpec, levels: list[EncodedLevel]) -> None:
    """Write a pyramid from tiles that are encoded already; only one tile is held at a time.

    Args:
        path: the file to create.
        spec: as the tiles were encoded; its associated images become images of their own.
        levels: the largest first.

    Raises:
        OSError: the file cannot be written.
    """
    with path.open("w+b") as stream, tifffile.TiffWriter(stream, bigtiff=True) as tiff:
        for number, level in enumerate(levels):
            first = number == 0
            downsample = spec.width / level.width, spec.height / level.height
            tiff.write(
                level.tiles,
                shape=(level.height, level.width, 3),
                dtype=spec.dtype,
                tile=(spec.tile, spec.tile),
                **COMPRESSIONS[spec.compression].tags,
                subifds=len(levels) - 1 if first else None,
                subfiletype=0 if first else 1,
                resolution=pixels_per_cm(spec.mpp, downsample) if spec.mpp else None,
                resolutionunit="CENTIMETER" if spec.mpp else "NONE",
                iccprofile=spec.icc_profile if first else None,
                description=ome_xml(spec).encode() if first else None,
                extratags=spec.position_tags() if first else (),
                software=SOFTWARE if first else False,
                metadata=None,
                contiguous=False,
            )
        for image in spec.associated.values():
            tiff.write(
                image,
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": 90},
                software=False,
                metadata=None,
                contiguous=False,
                resolutionunit="NONE",
            )


def ome_xml(spec: OutputSpec) -> str:
    """The OME-XML of an output, valid by the schema; it says nothing of patients or machines."""
    ElementTree.register_namespace("", _SCHEMA)
    ElementTree.register_namespace("xsi", _XSI)
    root = ElementTree.Element(
        f"{{{_SCHEMA}}}OME",
        {
            "Creator": SOFTWARE,
            f"{{{_XSI}}}schemaLocation": f"{_SCHEMA} {_SCHEMA}/ome.xsd",
        },
    )
    _image(root, 0, "image", spec.width, spec.height, spec)
    for number, (name, image) in enumerate(spec.associated.items(), start=1):
        _image(root, number, name, image.shape[1], image.shape[0], None)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False)


def _image(
    root: ElementTree.Element,
    number: int,
    name: str,
    width: int,
    height: int,
    spec: OutputSpec | None,
) -> None:
    """One image; spec is that of the slide, None for associated images."""

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
        Type=f"uint{spec.bits if spec else 8}",
        SizeX=str(width),
        SizeY=str(height),
        SizeC="3",
        SizeZ="1",
        SizeT="1",
        Interleaved="true",
        **spacing,
    )
    child(pixels, "Channel", ID=f"Channel:{number}:0", Name="RGB", SamplesPerPixel="3")
    child(pixels, "TiffData", IFD=str(number), PlaneCount="1")
    position = spec.position_um if spec else None
    if position:
        child(
            pixels, "Plane", TheZ="0", TheT="0", TheC="0",
            PositionX=f"{position[0]:.9g}", PositionXUnit="µm",
            PositionY=f"{position[1]:.9g}", PositionYUnit="µm",
        )  # fmt: skip
