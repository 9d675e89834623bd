"""Networks as files that other programs run: TorchScript and ONNX, with a note for their users.

Both hold the network's graph as it was traced, so a forward must not branch on pixels or sizes;
`deviation` shows whether a file gives what the network gives at other sizes.
"""

import inspect
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from uhrtranslate.errors import CheckpointError, OptionError, require, warnings_kept
from uhrtranslate.models.info import GeneratorInfo
from uhrtranslate.models.native import dump_facts
from uhrtranslate.models.public import write_whole
from uhrtranslate.models.torchscript import ARCHITECTURE
from uhrtranslate.models.torchscript import FACTS as FACTS_OF_SCRIPTS
from uhrtranslate.models.unwrap import show

# Of ONNX; of 2022, so that the runtimes that programs ship know it.
OPSET = 17
INPUT, OUTPUT = "image", "translated"
README = "README.txt"
FACTS = "uhrt.json"


def to_torchscript(
    network: nn.Module, example: Tensor, note: str, facts: Mapping[str, Any]
) -> bytes:
    """A file for `torch.jit.load`; the note and the facts are its extra files.

    uhrt itself can run it, too.
    """
    content = io.BytesIO()
    with warnings_kept(), torch.no_grad():
        traced: Any = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
        own = dump_facts(GeneratorInfo(ARCHITECTURE, value_range=(0.0, 1.0)))
        extra = {README: note, FACTS: json.dumps(facts), FACTS_OF_SCRIPTS: own}
        torch.jit.save(traced, content, extra)
    return content.getvalue()


def to_onnx(network: nn.Module, example: Tensor, note: str, facts: Mapping[str, Any]) -> bytes:
    """An ONNX file of any batch, height and width; note and facts are its doc_string and metadata.

    Raises:
        MissingExtraError: onnx is not installed.
    """
    onnx = require("onnx", "export")
    content = io.BytesIO()
    free = {0: "n", 2: "h", 3: "w"}
    # The exporter that traces; torch 2.4 knows no other.
    export: Any = torch.onnx.export
    chosen = {"dynamo": False} if "dynamo" in inspect.signature(export).parameters else {}
    with warnings_kept(), torch.no_grad():
        export(
            network,
            (example,),
            content,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: free, OUTPUT: free},
            **chosen,
        )
    model = onnx.load_from_string(content.getvalue())
    model.doc_string = note
    onnx.helper.set_model_props(model, {README: note, FACTS: json.dumps(facts)})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def run_torchscript(content: bytes, x: Tensor) -> Tensor:
    """What a TorchScript file makes of a batch."""
    with warnings_kept(), torch.inference_mode():
        network: Any = torch.jit.load(io.BytesIO(content))  # type: ignore[no-untyped-call]
        y: Tensor = network(x)
    return y


def run_onnx(content: bytes, x: Tensor) -> Tensor:
    """What an ONNX file makes of a batch.

    Raises:
        MissingExtraError: onnxruntime is not installed.
    """
    runtime = require("onnxruntime", "export")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors; the exception says them
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (y,) = session.run([OUTPUT], {INPUT: x.numpy()})
    return torch.from_numpy(np.asarray(y))


Export = Callable[[nn.Module, Tensor, str, Mapping[str, Any]], bytes]
Run = Callable[[bytes, Tensor], Tensor]
_FORMATS: dict[str, tuple[Export, Run]] = {
    ".pt": (to_torchscript, run_torchscript),
    ".onnx": (to_onnx, run_onnx),
}


def check_name(path: Path) -> None:
    """Check that a file's ending says how to write it.

    Raises:
        OptionError: it does not.
    """
    if path.suffix not in _FORMATS:
        raise OptionError(f"{path}: the ending must be .pt (TorchScript) or .onnx (ONNX).")


def save_exported(
    path: Path,
    network: nn.Module,
    example: Tensor,
    trial: Tensor,
    note: str,
    facts: Mapping[str, Any],
) -> float:
    """Write a network as the file's ending says, after trying what will be written.

    Args:
        path: name.pt or name.onnx; an existing file is replaced, in one step.
        network: on the CPU, in eval mode, from [n, c, h, w] to [n, k, h, w] float32 in 0..1.
        example: an input to trace the network with.
        trial: an input of another size.
        note: for the people who use the file.
        facts: the same as JSON values.

    Returns:
        How far the file's output for `trial` is from the network's, in grey levels.

    Raises:
        OptionError: the ending is of no known format.
        CheckpointError: the network cannot be exported, or depends on more than was traced.
        MissingExtraError: a package is not installed.
        OutputError: the file cannot be written.
    """
    check_name(path)
    export, run = _FORMATS[path.suffix]
    try:
        content = export(network, example, note, facts)
        with torch.inference_mode():
            expected = network(trial)
        found = run(content, trial)
        deviation = 255 * float((found - expected).abs().max())
    except (RuntimeError, ValueError, TypeError) as error:  # whatever tracers and runtimes raise
        raise CheckpointError(
            f"{path}: the generator cannot be exported ({show(error, 200)})."
        ) from error
    if not deviation <= 1:
        raise CheckpointError(
            f"{path}: the generator cannot be exported, since its graph depends on the size or the "
            f"values of its input: it would be {deviation:.1f} grey levels off."
        )
    write_whole(path, content)
    return deviation
