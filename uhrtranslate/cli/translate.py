"""`uhrt translate`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.allocator import keep_memory
from uhrtranslate.cli.report import Report, errors_as_sentences
from uhrtranslate.errors import OptionError
from uhrtranslate.options import make_options, read_config

if TYPE_CHECKING:
    from uhrtranslate.runs.items import Item

EXAMPLES = """[bold]Examples[/bold]

uhrt translate slide.svs --norm dn

uhrt translate slides/ -o out/ --model latest_net_G.pth --cell 512

uhrt translate photo.jpg -o photo.png --model latest_net_G.pth

find slides -name '*.svs' | uhrt translate - -o out/ --json

uhrt translate slides/ -o weekend/ --mask auto --resume

uhrt translate --manifest slides.csv -o table/ --dry-run
"""


def translate(
    inputs: p.Inputs = None,
    output: p.Output = None,
    manifest: p.Manifest = None,
    config: p.Config = None,
    model: p.Model = None,
    norm: p.NormOption = None,
    kernel: p.Kernel = None,
    kernel_type: p.KernelTypeOption = None,
    thumbnail: p.ThumbnailOption = None,
    cell: p.Cell = None,
    tile: p.TileOption = None,
    halo: p.Halo = None,
    pad: p.PadOption = None,
    level: p.Level = None,
    mpp: p.Mpp = None,
    region: p.RegionOption = None,
    allow_sparse: p.AllowSparse = None,
    mask: p.Mask = None,
    background: p.Background = None,
    batch: p.Batch = None,
    device: p.Device = None,
    at_once: p.AtOnce = None,
    precision: p.PrecisionOption = None,
    stats_precision: p.StatsPrecisionOption = None,
    compile: p.Compile = None,
    format: p.FormatOption = None,
    compression: p.CompressionOption = None,
    quality: p.Quality = None,
    keep_associated: p.KeepAssociated = None,
    preview: p.Preview = None,
    overwrite: p.Overwrite = None,
    resume: p.Resume = None,
    skip_existing: p.SkipExisting = None,
    workers: p.Workers = None,
    profile: p.Profile = None,
    dry_run: p.DryRun = False,
    as_json: p.AsJson = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Translate slides and photos through a generator, without seams.

    Writes pyramidal tiled TIFF (slide.svs -> slide.dn.tif), or PNG, JPEG, WebP for photos.
    Results go to stdout, progress and errors to stderr. Exit code 0: all done; 1: some inputs
    failed, the others are done; 2: wrong usage.
    """
    flags: dict[str, Any] = {
        "model": model,
        "norm": norm,
        "kernel": kernel,
        "kernel_type": kernel_type,
        "thumbnail": thumbnail,
        "cell": cell,
        "tile": tile,
        "halo": halo,
        "pad": pad,
        "level": level,
        "mpp": mpp,
        "region": region,
        "allow_sparse": allow_sparse,
        "mask": mask,
        "background": background,
        "batch": batch,
        "device": device,
        "at_once": at_once,
        "precision": precision,
        "stats_precision": stats_precision,
        "compile": compile,
        "format": format,
        "compression": compression,
        "quality": quality,
        "keep_associated": keep_associated,
        "preview": preview,
        "overwrite": overwrite,
        "resume": resume,
        "skip_existing": skip_existing,
        "workers": workers,
        "profile": profile,
    }
    with errors_as_sentences(debug):
        given = {name: value for name, value in flags.items() if value is not None}
        options = make_options((read_config(config) if config else {}) | given)
        if options.compile:
            keep_memory()

        items = find_items(inputs or [], manifest)

        from uhrtranslate.tasks.translate import plan_many, translate_many

        with Report(as_json, quiet, len(items)) as report:
            run = plan_many if dry_run else translate_many
            run(items, output, options, report.event)
    if report.failures:
        raise typer.Exit(1)


def find_items(inputs: list[str], manifest: Path | None) -> "list[Item]":
    """What the user named: on the command line, on stdin, in a manifest."""
    from uhrtranslate.io import expand_inputs
    from uhrtranslate.runs.items import Item
    from uhrtranslate.runs.manifest import read_manifest

    if not inputs and manifest is None:
        raise OptionError(
            "no inputs: name slides or folders, - for a list on stdin, or a manifest."
        )
    items = [Item(found) for found in expand_inputs(inputs, sys.stdin)]
    if manifest is not None:
        items += read_manifest(manifest)
    if not items:
        raise OptionError("no inputs: the list is empty.")
    return items
