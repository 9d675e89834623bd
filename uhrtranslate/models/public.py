"""Checkpoints as the public repositories save them, and how any checkpoint gets to the disk.

The networks here have the public keys (CycleGAN, CUT, LSeSim, pix2pix, KIN), so a checkpoint for
those repositories is the plain state dict, as their `latest_net_G.pth` is.
"""

import io
from pathlib import Path

import torch
from torch import nn

from uhrtranslate.errors import OutputError
from uhrtranslate.replace import replace_file


def save_public(path: Path, module: nn.Module) -> None:
    """Write the plain state dict of a generator; an existing file is replaced, in one step.

    Args:
        path: the file, usually `latest_net_G.pth`.
        module: the network, of a family in `GENERATOR_FAMILIES`.

    Raises:
        OutputError: the file cannot be written.
    """
    state = {key: tensor.detach().cpu().clone() for key, tensor in module.state_dict().items()}
    content = io.BytesIO()
    torch.save(state, content)
    write_whole(path, content.getvalue())


def write_whole(path: Path, content: bytes) -> None:
    """Write a checkpoint whole or not at all.

    Raises:
        OutputError: it cannot be written; an existing one is as it was.
    """
    try:
        replace_file(path, content)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
