"""Nuclei by Cellpose: what is refused without it, and with it the whole way from a file."""

import pickle
import sys

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from pydantic import ValidationError

from uhrtranslate.errors import CheckpointError, MissingExtraError
from uhrtranslate.evaluation.options import EvaluateOptions
from uhrtranslate.extractors import CellposeFinder
from uhrtranslate.tasks.evaluate import evaluate


def test_without_the_extra_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "nuclei.pth")
    for name in ("cellpose", "cellpose.models"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'uhrtranslate\[nuclei\]'"):
        CellposeFinder(tmp_path / "nuclei.pth")


def test_what_a_file_holds_is_never_run(tmp_path):
    (tmp_path / "nuclei.pth").write_bytes(pickle.dumps({"net": print}))
    with pytest.raises(CheckpointError, match=r"nuclei\.pth"):
        CellposeFinder(tmp_path / "nuclei.pth")
    with pytest.raises(CheckpointError, match="gone"):
        CellposeFinder(tmp_path / "gone")


def test_a_network_that_finds_nothing_wanted_is_refused(tmp_path):
    with pytest.raises(ValidationError, match="give both"):
        EvaluateOptions(source=tmp_path, nuclei_model=tmp_path / "nuclei.pth")


def test_a_network_is_run_and_named(tmp_path, monkeypatch):
    """A trained one is no file of this repository, so what it would find is planted."""
    models = pytest.importorskip("cellpose.models")
    weights, section = tmp_path / "mine", skimage.data.immunohistochemistry()[:128, :128]
    models.CellposeModel(gpu=False, pretrained_model=False).net.save_model(weights)
    Image.fromarray(section).save(tmp_path / "result.png")
    options = EvaluateOptions(truth=tmp_path / "result.png", nuclei=True, nuclei_model=weights)
    figures = evaluate(tmp_path / "result.png", options).metrics["true_nuclei"]
    assert figures["finder"].startswith("cellpose-mine-")
    assert figures["count"] == figures["other_count"]
    labels = np.zeros((128, 128), np.uint16)
    labels[10:15, 20:31], labels[60:71, 60:65] = 1, 2
    finder = CellposeFinder(weights)
    monkeypatch.setattr(finder._model, "eval", lambda *given, **how: (labels, None, None))
    centres, mask = finder.find(section, 0.5)
    assert centres.tolist() == [[12, 25], [65, 62]]
    assert np.array_equal(mask, labels > 0)
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="no file of Cellpose 3"):
        CellposeFinder(tmp_path / "other.pth")
