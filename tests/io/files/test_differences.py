"""Why a run cannot be gone on with, in words that users know."""

import pytest

from uhrtranslate.errors import OutputError
from uhrtranslate.io.files.differences import difference
from uhrtranslate.io.files.journal import State, check_same_job
from uhrtranslate.options import SynthesizeOptions, TranslateOptions, make_options

SHA = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("name", "old", "new", "words", "remedy"),
    [
        ("norm", "kin", "dn", "its --norm was kin and is now dn", "add --norm kin"),
        ("tile", 128, 256, "its --tile was 128 and is now 256", "add --tile 128"),
        ("precision", "bf16", "fp32", "its --precision was bf16 and is now fp32", "add --prec"),
        ("region", None, [0, 0, 5, 9], "--region was not set and is now 0,0,5,9", "leave out --re"),
        (
            "keep_associated",
            True,
            False,
            "--keep-associated was on and is now off",
            "add --keep-as",
        ),
        ("invert", False, True, "its --invert was off and is now on", "add --no-invert"),
        ("class", "tumour", None, "its --class was tumour and is now not set", "add --class tum"),
        ("size", [64, 32], [64, 64], "its --size was 64x32 and is now 64x64", "add --size 64x32"),
        ("compiled", True, None, "was computed by compiled code, and now would", "add --compile"),
        ("compiled", None, True, "was computed without compiled code", "add --no-compile"),
        ("batch_statistics", None, True, "used their running statistics", "leave out --batch-st"),
        ("pooled", True, False, "followed the histogram of all inputs", "add --pool"),
        ("input's time", 1, 2, "its input has been written again since", "use the old input"),
        ("model_sha256", SHA, "f" + SHA[1:], "its model has other weights now", "use the old we"),
        ("uhrt", "0.1", "0.2", "its version of uhrt was 0.1 and is now 0.2", "use the old one"),
        ("channels", ["a", "b"], None, "list of channels was a,b and is now not set", "use the"),
        (
            "input_range",
            [0, 9],
            [0, 5],
            "its input range was 0,9 and is now 0,5",
            "use the old one",
        ),
        ("seen", SHA, None, "its seen was 0123456789ab... and is now not set", "use the old one"),
    ],
)
def test_each_kind_of_fact_is_told_in_plain_words(name, old, new, words, remedy):
    before, now = ({"same": 1} | ({} if one is None else {name: one}) for one in (old, new))
    told, advice = difference(before, now)
    assert words in told
    assert advice.startswith(remedy)
    assert difference(now, now) is None


@pytest.mark.parametrize("kind", [TranslateOptions, SynthesizeOptions])
def test_options_are_told_by_their_flags(kind):
    for name in kind.model_fields.keys() - {"mask", "pool", "model", "batch_statistics"}:
        told, advice = difference({name: "old"}, {name: "new"})
        switch = "--class" if name == "prompt" else f"--{name.replace('_', '-')}"
        assert told == f"its {switch} was old and is now new"
        assert advice == f"add {switch} old"


def test_what_is_advised_for_options_is_what_they_take():
    job = make_options({"norm": "kin", "kernel": 5}).model_dump(mode="json")
    _, advice = difference(job, job | {"kernel": 3})
    assert advice == "add --kernel 5"


def test_inputs_that_are_made_of_options_are_told_by_these():
    before = {"input's hash": SHA, "size": [64, 64]}
    told, _ = difference(before, {"input's hash": "f" + SHA[1:], "size": [64, 32]})
    assert told.startswith("its --size was")


def test_the_sentence_says_what_to_do(tmp_path):
    state = State({"compiled": True, "tile": 128}, 10, 20, {})
    check_same_job(tmp_path / "a.tif", state, {"tile": 128, "compiled": True})
    with pytest.raises(OutputError) as error:
        check_same_job(tmp_path / "a.tif", state, {"tile": 128})
    assert str(error.value) == (
        f"{tmp_path / 'a.tif'}: cannot be resumed, as it was computed by compiled code, and now "
        "would be without it; add --compile, or --overwrite without --resume to start afresh"
    )
