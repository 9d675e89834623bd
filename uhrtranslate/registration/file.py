"""Transforms as JSON documents: written, and read from files that nobody vouches for."""

import base64
import binascii
import math
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from uhrtranslate.errors import InputError
from uhrtranslate.registration.field import DisplacementGrid
from uhrtranslate.registration.transform import Frame, Matrix, Step, Transform

FORMAT, VERSION = "uhrt-transform", 1
# A slide of 10 million px a side is larger than any; so are its grids than these.
LARGEST, MOST_NODES, MOST_STEPS = 10_000_000, 1 << 22, 16
# Bytes of a document: base64 of the largest grid and something for the rest.
LARGEST_FILE = MOST_NODES * 8 * 4 // 3 + (1 << 20)

Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e12, le=1e12)]
Size = Annotated[int, Field(ge=1, le=LARGEST)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Frame(_Part):
    name: str = Field(max_length=4096)
    width: Size
    height: Size
    mpp: tuple[Annotated[float, Field(gt=0, le=1e6)], Annotated[float, Field(gt=0, le=1e6)]] | None


class _Matrix(_Part):
    kind: Literal["matrix"]
    matrix: Annotated[
        list[Annotated[list[Finite], Field(min_length=3, max_length=3)]],
        Field(min_length=3, max_length=3),
    ]


class _Grid(_Part):
    kind: Literal["grid"]
    origin: tuple[Finite, Finite]
    spacing: tuple[Annotated[float, Field(gt=0, le=1e9)], Annotated[float, Field(gt=0, le=1e9)]]
    columns: Annotated[int, Field(ge=1, le=MOST_NODES)]
    rows: Annotated[int, Field(ge=1, le=MOST_NODES)]
    displacement: str = Field(repr=False)


class _Document(_Part):
    format: Literal["uhrt-transform"]
    version: Literal[1]
    moving: _Frame
    fixed: _Frame
    steps: Annotated[
        list[Annotated[_Matrix | _Grid, Field(discriminator="kind")]],
        Field(max_length=MOST_STEPS),
    ]
    error: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    quality: dict[str, Any] = {}
    how: dict[str, Any] = {}


def dump_transform(transform: Transform) -> dict[str, Any]:
    """A transform as JSON values; grids are base64 of little-endian float32, row by row, x then y.

    Points are level-0 px of both slides, pixel 0 being 0 <= x < 1; the steps lead from the fixed
    slide to the moving one.
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "moving": _frame(transform.moving),
        "fixed": _frame(transform.fixed),
        "steps": [_dumped(step) for step in transform.steps],
        "error": transform.error,
        "quality": dict(transform.quality),
        "how": dict(transform.how),
    }


def load_transform(document: object, name: str) -> Transform:
    """The transform of parsed JSON.

    Args:
        document: what the file holds.
        name: of the file, for messages.

    Raises:
        InputError: it is no transform, of another version, or damaged.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(f"{name}: is no transform; make one with uhrt register.")
    if document.get("version") != VERSION:
        raise InputError(
            f"{name}: is a transform of version {str(document.get('version'))[:20]}, and this uhrt "
            f"reads version {VERSION}; make it again with uhrt register."
        )
    try:
        parts = _Document.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{name}: is a damaged transform ({where[:80]}: {first['msg'][:120]}); make it again "
            "with uhrt register."
        ) from None
    steps = tuple(_loaded(step, name) for step in parts.steps)
    moving, fixed = (
        Frame(one.name, one.width, one.height, one.mpp) for one in (parts.moving, parts.fixed)
    )
    return Transform(moving, fixed, steps, parts.error, parts.quality, parts.how)


def _frame(frame: Frame) -> dict[str, Any]:
    mpp = None if frame.mpp is None else list(frame.mpp)
    return {"name": frame.name, "width": frame.width, "height": frame.height, "mpp": mpp}


def _dumped(step: Step) -> dict[str, Any]:
    if isinstance(step, Matrix):
        return {"kind": "matrix", "matrix": step.values.tolist()}
    rows, columns = step.values.shape[:2]
    values = np.ascontiguousarray(step.values, "<f4").tobytes()
    return {
        "kind": "grid",
        "origin": list(step.origin),
        "spacing": list(step.spacing),
        "columns": columns,
        "rows": rows,
        "displacement": base64.b64encode(values).decode(),
    }


def _loaded(step: _Matrix | _Grid, name: str) -> Step:
    damaged = f"{name}: is a damaged transform"
    if isinstance(step, _Matrix):
        matrix = np.array(step.matrix)
        if abs(matrix[2, 2]) < 1e-12 or abs(np.linalg.det(matrix / matrix[2, 2])) < 1e-12:
            raise InputError(f"{damaged}: a matrix cannot be inverted; make it again.")
        return Matrix(matrix / matrix[2, 2])
    count = step.columns * step.rows
    # The text's length is compared before it is decoded.
    if count > MOST_NODES or len(step.displacement) != 4 * math.ceil(count * 8 / 3):
        raise InputError(
            f"{damaged}: a grid of {step.columns} x {step.rows} nodes does not fit its "
            f"{len(step.displacement)} characters; make it again with uhrt register."
        )
    try:
        data = base64.b64decode(step.displacement, validate=True)
        values = np.frombuffer(data, "<f4").reshape(step.rows, step.columns, 2)
    except (binascii.Error, ValueError):
        raise InputError(f"{damaged}: a grid is no base64; make it again.") from None
    if not np.isfinite(values).all() or np.abs(values).max(initial=0) > LARGEST:
        raise InputError(f"{damaged}: a grid has displacements that are no numbers; make it again.")
    return DisplacementGrid(step.origin, step.spacing, values.astype(np.float32))
