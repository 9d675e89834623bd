"""The options of `uhrt translate` as typed parameters.

All of them default to None, "not given", so that a configuration file can fill them in; the
defaults shown are those of `TranslateOptions` (tests compare the two).
"""

from pathlib import Path
from typing import Annotated

import typer

from uhrtranslate.options import (
    Compression,
    Format,
    KernelType,
    Norm,
    Pad,
    Precision,
    StatsPrecision,
    ThumbnailShape,
)

METHOD, GEOMETRY, IMAGE, MACHINE = "Method", "Geometry", "Image", "Machine and output"

Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[INPUT...]",
        help="Slides, photos, folders (searched by known endings), glob patterns, "
        "or - for a list of paths on stdin.",
        show_default=False,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="A file (.tif, .png, .jpg, .webp) for one input, else a folder.",
        show_default="beside the input",
    ),
]
Manifest = Annotated[
    Path | None,
    typer.Option(
        "--manifest",
        metavar="CSV",
        help="Table of inputs: path, and if need be output, model, mpp, region of each.",
        show_default=False,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="YAML",
        help="File with any of these options; flags win.",
        show_default=False,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="M",
        help="Bundled generator (see 'uhrt models'), checkpoint (.pth, .pt, .ckpt, .safetensors), "
        "or package.module:factory.",
        show_default="he2ihc",
        rich_help_panel=METHOD,
    ),
]
NormOption = Annotated[
    Norm | None,
    typer.Option(
        "--norm",
        help="What replaces instance norm: dense (dn), kernelized (kin), thumbnail (tin), "
        "or each cell's own (in).",
        show_default="dn",
        rich_help_panel=METHOD,
    ),
]
Kernel = Annotated[
    int | None,
    typer.Option(
        metavar="K",
        help="Side of KIN's kernel in cells, odd.",
        show_default="3",
        rich_help_panel=METHOD,
    ),
]
KernelTypeOption = Annotated[
    KernelType | None,
    typer.Option(
        "--kernel-type",
        help="KIN's kernel.",
        show_default="constant",
        rich_help_panel=METHOD,
    ),
]
ThumbnailOption = Annotated[
    ThumbnailShape | None,
    typer.Option(
        "--thumbnail",
        help="TIN's thumbnail: of the image's aspect, or square as in the public code.",
        show_default="aspect",
        rich_help_panel=METHOD,
    ),
]
Cell = Annotated[
    int | None,
    typer.Option(
        metavar="PX",
        help="Side of the statistics cells: the patch size of the training.",
        show_default="the generator's own, or 512",
        rich_help_panel=GEOMETRY,
    ),
]
TileOption = Annotated[
    str | None,
    typer.Option(
        "--tile",
        metavar="PX|auto",
        help="Side of what is computed at once; changes speed and memory, not the result.",
        show_default="auto",
        rich_help_panel=GEOMETRY,
    ),
]
Halo = Annotated[
    str | None,
    typer.Option(
        metavar="PX|auto",
        help="True neighbours around a tile, measured by default; with --pad reflect, mirrored "
        "px (16 for dn, 0 for the others).",
        show_default="auto",
        rich_help_panel=GEOMETRY,
    ),
]
PadOption = Annotated[
    Pad | None,
    typer.Option(
        "--pad",
        help="Seamless (context), or the published geometry: every cell alone, mirrored (reflect).",
        show_default="context",
        rich_help_panel=GEOMETRY,
    ),
]
Level = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Pyramid level to translate.",
        show_default="0, the largest",
        rich_help_panel=IMAGE,
    ),
]
Mpp = Annotated[
    float | None,
    typer.Option(
        metavar="F",
        help="Micrometres per pixel to translate at, from the nearest finer level.",
        show_default=False,
        rich_help_panel=IMAGE,
    ),
]
RegionOption = Annotated[
    str | None,
    typer.Option(
        "--region",
        metavar="X,Y,W,H",
        help="Part of the image, in level-0 pixels.",
        show_default="all",
        rich_help_panel=IMAGE,
    ),
]
AllowSparse = Annotated[
    bool | None,
    typer.Option(
        "--allow-sparse",
        help="Take TIFFs that hold fewer than 1 in 50 of their tiles; they are refused otherwise, "
        "as their size is more likely damaged.",
        rich_help_panel=IMAGE,
    ),
]
Batch = Annotated[
    str | None,
    typer.Option(
        metavar="N|auto",
        help="Tiles that are computed together.",
        show_default="auto: 1 on a CPU, on a GPU by its memory",
        rich_help_panel=MACHINE,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="auto|cpu|cuda:N",
        help="Where the generator runs; several, as cuda:0,cuda:1, share the work.",
        show_default="auto",
        rich_help_panel=MACHINE,
    ),
]
AtOnce = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Images that are worked on at once, sharing the devices.",
        show_default="as many as there are devices",
        rich_help_panel=MACHINE,
    ),
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        "--precision",
        help="Of the convolutions; sums are always fp32. auto: the fastest that is less than "
        "a grey level from fp32.",
        show_default="fp32",
        rich_help_panel=MACHINE,
    ),
]
StatsPrecisionOption = Annotated[
    StatsPrecision | None,
    typer.Option(
        "--stats-precision",
        help="The same for the forwards that only give statistics.",
        show_default="as --precision",
        rich_help_panel=MACHINE,
    ),
]
Compile = Annotated[
    bool | None,
    typer.Option(
        "--compile",
        help="Let torch compile the generator: a minute or two once, then faster.",
        rich_help_panel=MACHINE,
    ),
]
Profile = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        metavar="JSON",
        help="Write a trace of where the time goes, for chrome://tracing.",
        show_default=False,
        rich_help_panel=MACHINE,
    ),
]
Mask = Annotated[
    str | None,
    typer.Option(
        "--mask",
        metavar="none|auto|FILE",
        help="Where tissue is: found in a thumbnail, or an image or QuPath's GeoJSON. "
        "Cells without are not computed.",
        show_default="none",
        rich_help_panel=IMAGE,
    ),
]
Background = Annotated[
    str | None,
    typer.Option(
        "--background",
        metavar="white|keep|COLOR",
        help="What stands where the mask has no tissue; keep: the source's pixels.",
        show_default="white",
        rich_help_panel=IMAGE,
    ),
]
FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format",
        help="Of slides: flat pyramidal BigTIFF, OME-TIFF, with Aperio's description, OME-Zarr.",
        show_default="by the output's ending, or tiff",
        rich_help_panel=MACHINE,
    ),
]
KeepAssociated = Annotated[
    bool | None,
    typer.Option(
        "--keep-associated",
        help="Copy thumbnail, label and macro image; labels may carry patients' names.",
        rich_help_panel=MACHINE,
    ),
]
Resume = Annotated[
    bool | None,
    typer.Option(
        "--resume",
        help="Go on where a run was cut off; outputs that are complete are skipped.",
        rich_help_panel=MACHINE,
    ),
]
SkipExisting = Annotated[
    bool | None,
    typer.Option(
        "--skip-existing",
        help="Skip inputs whose output is there, and complete when read.",
        rich_help_panel=MACHINE,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Say what would be done and what it would take; do nothing."),
]
CompressionOption = Annotated[
    Compression | None,
    typer.Option(
        "--compression",
        help="Of TIFF outputs.",
        show_default="jpeg",
        rich_help_panel=MACHINE,
    ),
]
Quality = Annotated[
    int | None,
    typer.Option(
        metavar="1-100",
        help="JPEG quality.",
        show_default="90",
        rich_help_panel=MACHINE,
    ),
]
Preview = Annotated[
    bool | None,
    typer.Option(
        "--preview",
        help="Also write a PNG with source and result side by side.",
        rich_help_panel=MACHINE,
    ),
]
Overwrite = Annotated[
    bool | None,
    typer.Option(
        "--overwrite",
        help="Replace existing outputs.",
        rich_help_panel=MACHINE,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Threads that read, and threads that encode.",
        show_default="2",
        rich_help_panel=MACHINE,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON object per input on stdout, instead of paths.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors on stderr.")]
Debug = Annotated[bool, typer.Option("--debug", help="Tracebacks with errors.")]
