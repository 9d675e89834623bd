"""The native format: one safetensors file with the weights and all facts of a generator.

Its metadata holds one JSON text under the key `uhrt`: a format version and the fields of
`GeneratorInfo`. Anyone may have written it, so it is checked like any input, and the network is
built from what the weights say, never by importing what the metadata names.
"""

import dataclasses
import json
from collections.abc import Container
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import save
from torch import nn

from uhrtranslate.errors import CheckpointError, OptionError
from uhrtranslate.models.checkpoint import fit, has_metadata, read_safetensors
from uhrtranslate.models.info import GeneratorInfo
from uhrtranslate.models.public import write_whole
from uhrtranslate.models.unwrap import show
from uhrtranslate.tables import GENERATOR_FAMILIES, PLANES

FORMAT = 2
_KEY = "uhrt"
# Facts that format 2 added. They are written only if they say something, so that older versions
# read all other files.
_ADDED = {
    "inputs", "histogram", "channels", "input_range", "output_range", "white_glass", "origin",
}  # fmt: skip
# Facts that follow from the architecture, and so are not stored.
_OF_THE_FAMILY = ("covariant", "period")


def _printable(text: str) -> str:
    if not text.isprintable():  # terminal escapes, line breaks
        raise ValueError("text must be printable, on one line")
    return text


_Text = Annotated[str, AfterValidator(_printable)]
_Name = Annotated[_Text, Field(min_length=1, max_length=100)]
_Count = Annotated[int, Field(ge=0, lt=2**53)]
_Sizes = Annotated[list[Annotated[int, Field(ge=0, le=65536)]], Field(max_length=50)]
_Value = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
_Range = Annotated[list[_Value], Field(min_length=2, max_length=2)]


class _Header(BaseModel):
    """What the metadata may say, and within which bounds."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: int
    architecture: _Name
    arguments: dict[_Name, bool | int | float | _Name | _Sizes] = Field(max_length=50)
    in_channels: int = Field(ge=1, le=64)
    out_channels: int = Field(ge=1, le=64)
    stride: int = Field(ge=1, le=4096)
    cell: int | None = Field(ge=1, le=65536)
    halo: int | None = Field(ge=0, le=65536)
    mpp: float | None = Field(gt=0, le=1000, allow_inf_nan=False)
    domains: Annotated[list[_Name], Field(min_length=2, max_length=2)]
    value_range: _Range
    input_range: _Range | None = None
    output_range: _Range = [0.0, 1.0]
    description: Annotated[_Text, Field(max_length=2000)]
    inputs: list[_Name] = Field(default=["rgb"], min_length=1, max_length=64)
    histogram: list[_Count] | None = Field(default=None, min_length=256, max_length=256)
    channels: list[_Name] = Field(default=[], max_length=64)
    opaque: Literal[False] = False  # native files hold weights, never programs
    white_glass: bool = False
    origin: Annotated[_Text, Field(max_length=20_000)] = ""


def check_info(info: GeneratorInfo) -> None:
    """Check the facts of a generator as a native file would hold them.

    Raises:
        OptionError: a field is out of bounds.
    """
    try:
        parse_facts(dump_facts(info), (info.architecture,))
    except ValueError as error:
        raise OptionError(f"the generator's facts cannot be stored: {error}") from error


def save_native(path: Path, module: nn.Module, info: GeneratorInfo, half: bool = False) -> None:
    """Write a generator to one safetensors file; an existing one is replaced, in one step.

    Args:
        path: the file, usually `name.safetensors`.
        module: the network, of a family in `GENERATOR_FAMILIES`.
        info: its facts.
        half: store float16, which loads as float32: half the size, 3 decimal digits.

    Raises:
        OptionError: the network is of no known family, or `info` does not describe it.
        OutputError: the file cannot be written.
    """
    if info.architecture not in GENERATOR_FAMILIES:
        raise OptionError(
            f"{info.architecture} has no native format; only {', '.join(GENERATOR_FAMILIES)} have"
        )
    check_info(info)
    tensors = {
        key: (t.half() if half and t.is_floating_point() else t).detach().cpu().contiguous().clone()
        for key, t in module.state_dict().items()
    }
    try:
        fit(GENERATOR_FAMILIES[info.architecture], info.arguments, tensors)
    except CheckpointError as error:
        raise OptionError(f"the generator cannot be stored: {error}") from error
    write_whole(path, save(tensors, {_KEY: dump_facts(info)}))


def is_native(path: Path) -> bool:
    """Whether a file is a safetensors file with the metadata of this format.

    Raises:
        CheckpointError: the file cannot be read, or is no checkpoint.
    """
    return has_metadata(path, _KEY)


def load_native(path: Path) -> tuple[nn.Module, GeneratorInfo]:
    """Read a generator and its facts.

    Returns: the network on the CPU in float32, in eval mode, without gradients; and its facts.

    Raises:
        CheckpointError: the file is damaged or of a newer format, its metadata is out of bounds,
            or weights and metadata tell of different networks.
    """
    tensors, metadata = read_safetensors(path)
    try:
        info = parse_facts(metadata.get(_KEY, ""))
        family = GENERATOR_FAMILIES[info.architecture]
        read = family.recognise(tensors)
        if read is None:
            raise CheckpointError(f"its weights are not of a {info.architecture} generator")
        # Numbers that could ask for a network without end are taken only where the weights agree.
        wrong = [k for k, v in read.items() if info.arguments.get(k, v) != v]
        if wrong:
            raise CheckpointError(f"weights and metadata differ in {', '.join(wrong)}")
        arguments = {**info.arguments, **read}
        if family.stride(arguments) != info.stride:
            raise CheckpointError("weights and metadata differ in stride")
        module = fit(family, arguments, tensors)
    except (CheckpointError, ValueError) as error:
        raise CheckpointError(f"{path}: {show(error, 400)}") from error
    period = family.period_of(arguments)
    return module, dataclasses.replace(
        info, arguments=arguments, covariant=family.covariant, period=period
    )


def dump_facts(info: GeneratorInfo) -> str:
    """The facts of a generator as a text that `parse_facts` reads."""
    silent = {key for key in _ADDED if getattr(info, key) == getattr(GeneratorInfo, key)}
    left_out = {*silent, *_OF_THE_FAMILY, "opaque"}  # older versions do not know the last
    facts = {key: v for key, v in dataclasses.asdict(info).items() if key not in left_out}
    return json.dumps({"format": 1 if silent == _ADDED else FORMAT, **facts})


def parse_facts(text: str, architectures: Container[str] = GENERATOR_FAMILIES) -> GeneratorInfo:
    """Read and check the facts of a generator of one of some architectures.

    Raises:
        ValueError: says what is wrong with them.
    """
    try:
        fields: Any = json.loads(text[:100_000])
    except (ValueError, RecursionError) as error:
        raise ValueError("its metadata is no valid JSON") from error
    version = fields.get("format") if isinstance(fields, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise ValueError(f"its format is {version}, newer than {FORMAT}; update uhrtranslate")
    try:
        header = _Header.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(p) for p in first["loc"])
        raise ValueError(f"its metadata is wrong at {show(place)}: {first['msg']}") from None
    if header.architecture not in architectures:
        raise ValueError(f"its architecture is {header.architecture}, which is not known here")
    unknown = [name for name in header.inputs if name not in PLANES]
    if unknown:
        raise ValueError(f"its input {unknown[0]} is not known here, only {', '.join(PLANES)}")
    if header.histogram is not None and not any(header.histogram):
        raise ValueError("its metadata is wrong at histogram: it counts no pixels")
    ranges = {
        name: None if found is None else (found[0], found[1])
        for name in ("value_range", "input_range", "output_range")
        for found in [getattr(header, name)]
    }
    for name, span in ranges.items():
        if span is not None and span[0] >= span[1]:
            raise ValueError(f"its metadata is wrong at {name}: it is empty")
    values = header.model_dump(exclude={"format"})
    values["arguments"] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in header.arguments.items()
    }
    values["domains"] = tuple(header.domains)
    values["inputs"] = tuple(header.inputs)
    values["channels"] = tuple(header.channels)
    values["histogram"] = None if header.histogram is None else tuple(header.histogram)
    return GeneratorInfo(**values | ranges)
