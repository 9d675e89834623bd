"""`uhrt doctor`."""

from typing import TYPE_CHECKING, Annotated

import typer

from uhrtranslate.cli.printing import print_error, print_facts, print_json
from uhrtranslate.cli.report import errors_as_sentences

if TYPE_CHECKING:
    from uhrtranslate.tasks.doctor import Diagnosis

EXAMPLES = """[bold]Examples[/bold]

uhrt doctor

uhrt doctor --json | jq .versions
"""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Print versions, devices, compiled forwards, codecs, and what is missing.

    Exit code 0: everything needed works; 1: something does not.
    """
    with errors_as_sentences():
        from uhrtranslate.tasks.doctor import diagnose

        found = diagnose()
    if as_json:
        print_json(found)
    else:
        _print(found)
    for problem in found.problems:
        print_error(problem)
    if found.problems:
        raise typer.Exit(1)


def _print(found: "Diagnosis") -> None:
    rows = list(found.versions.items())
    for device in found.devices:
        memory = "" if device.memory is None else f", {device.memory / 1e9:.1f} GB"
        about = f"{device.model} ({device.note}{memory}); forwards {device.forwards}"
        rows.append((f"device {device.name}", about))
    kernels = found.kernels
    rows.append(("GPUs", found.cuda))
    rows.append(("Triton", "is there" if found.triton else "is not there; only GPUs need it"))
    rows.append(("C++ compiler", kernels.compiler or "none"))
    kept = kernels.library or f"made anew by each process, as {kernels.folder} is not for us alone"
    rows.append(("kernels", kernels.reason or f"loaded, {kept}"))
    working = [name for name, works in found.codecs.items() if works]
    rows.append(("codecs", ", ".join(working)))
    rows.append(("generators", ", ".join(found.generators)))
    rows.append(("free disk here", f"{found.free_disk / 1e9:.1f} GB"))
    print_facts([*rows, *(("not installed", part) for part in found.missing)])
