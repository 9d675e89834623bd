"""What is written of the losses: means of many steps, in columns that may come later."""

import pytest
import torch

from uhrtranslate.errors import TrainingError
from uhrtranslate.training.methods.base import Phase
from uhrtranslate.training.run.log import Log
from uhrtranslate.training.run.tally import Tally


def phase(**parts):
    return Phase("generator", torch.tensor(1.0), {n: torch.tensor(x) for n, x in parts.items()})


def test_a_tally_gives_the_mean_of_each_loss_since_the_last_time():
    tally = Tally()
    tally.add(1, [phase(gan=1.0), phase(l1=3.0)])
    tally.add(2, [phase(gan=2.0)])
    assert tally.read() == {"gan": [3.0, 2], "l1": [3.0, 1]}
    later = Tally(tally.read())  # as of a run that is resumed
    later.add(3, [phase(gan=6.0)])
    assert later.means() == {"gan": 3.0, "l1": 3.0}
    assert later.means() == {}


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_tally_names_the_first_step_whose_loss_is_no_number(wrong):
    tally = Tally()
    for step, loss in enumerate((1.0, wrong, wrong)):
        tally.add(step + 1, [phase(gan=loss)])
    with pytest.raises(TrainingError, match=f"step 2: the loss 'gan' of the generator is {wrong}"):
        tally.read()
    tally = Tally()
    tally.add(7, [Phase("generator", torch.tensor(wrong), {"gan": torch.tensor(1.0)})])
    with pytest.raises(TrainingError, match="step 7: the loss 'sum'"):
        tally.read()


def test_losses_that_come_later_get_columns_and_resuming_drops_newer_lines(tmp_path):
    log = Log(tmp_path, 0, tensorboard=False)
    log.write({"step": 1, "gan": 0.5})
    log.write({"step": 2, "l1": 0.25})
    assert (tmp_path / "log.csv").read_text() == "step,gan,l1\n1,0.5,\n2,,0.25\n"
    log = Log(tmp_path, 1, tensorboard=False)
    log.write({"step": 2, "gan": 0.125})
    assert (tmp_path / "log.csv").read_text() == "step,gan,l1\n1,0.5,\n2,0.125,\n"
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]
