import csv
import json

import numpy as np
import pytest
import skimage.data
import skimage.metrics
import tifffile
import torch
from metrics.planted import as_jpeg, with_tiles
from PIL import Image

from uhrtranslate.errors import InputError, OptionError
from uhrtranslate.evaluation.conditions import holds, parse_condition
from uhrtranslate.evaluation.options import EvaluateOptions
from uhrtranslate.evaluation.result import as_line, finite_metrics
from uhrtranslate.evaluation.verdict import seam_verdict
from uhrtranslate.io import expand_inputs
from uhrtranslate.options import validated
from uhrtranslate.report.measures import flatten
from uhrtranslate.tasks.evaluate import Failed, evaluate, evaluate_many


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)
    return path


def options(**values):
    return validated(EvaluateOptions, values)


@pytest.fixture(scope="module")
def section():
    return skimage.data.retina()[200:1224, 200:1224]


@pytest.fixture
def pair(tmp_path, section):
    """A source, and a result with seams every 160 px that is darker."""
    darker = (section * 0.8).astype(np.uint8)
    return save(tmp_path / "a.png", section), save(
        tmp_path / "a.dn.png", with_tiles(darker, 160, 3)
    )


def test_seams_need_nothing_but_the_image(pair):
    source, result = pair
    found = evaluate(result, options())
    seam = found.metrics["seam"]
    assert seam["period"] == 160
    assert (seam["x"], seam["y"]) == (160, 160)
    assert seam["ratio"] > 1.05
    assert seam["p_value"] < 0.002
    assert len(found.borders) == 10
    assert found.borders[0].step >= found.borders[-1].step > 0
    assert found.heat.shape == (7, 7)
    clean = evaluate(source, options()).metrics["seam"]
    assert clean["period"] is None
    assert (clean["ratio"], clean["borders"]) == (None, 0)
    assert clean["verdict"] == "no grid found"


def test_structure_is_that_of_the_whole_image(pair):
    """Streamed in blocks, equal to scikit-image on all of it."""
    source, result = pair
    found = evaluate(result, options(source=source, grid=160)).metrics
    a, b = (
        np.asarray(Image.open(path), float) @ [0.299, 0.587, 0.114] for path in (source, result)
    )
    ssim = skimage.metrics.structural_similarity(
        a, b, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert found["structure"]["ssim"] == pytest.approx(ssim, abs=1e-6)
    assert found["structure"]["pcc"] == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    psnr = 10 * np.log10(255**2 / ((a - b) ** 2).mean())
    assert found["structure"]["psnr"] == pytest.approx(psnr)
    assert found["colour"]["mean_difference"] < -5
    assert found["colour"]["cell"] == 160
    assert found["seam"]["source_ratio"] == pytest.approx(1, abs=0.15)


def test_blocks_do_not_show(tmp_path):
    """1104 px and more: several blocks of 1024, the last of them narrow."""
    pixels = np.tile(skimage.data.immunohistochemistry(), (3, 3, 1))[:1110, :1300]
    other = as_jpeg(pixels, 30)
    a, b = save(tmp_path / "a.png", pixels), save(tmp_path / "b.png", other)
    found = evaluate(b, options(truth=a, shift=4)).metrics["paired"]
    grey = [p.astype(float) @ [0.299, 0.587, 0.114] for p in (pixels, other)]
    ssim = skimage.metrics.structural_similarity(
        *grey, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert found["ssim"] == pytest.approx(ssim, abs=1e-6)
    psnr = skimage.metrics.peak_signal_noise_ratio(pixels, other)
    assert found["psnr"] == pytest.approx(psnr)
    assert 0.8 < found["ms_ssim"] < 1
    assert found["median_shift"] == 0


def test_equal_images_are_fit_for_json(pair):
    source, _ = pair
    record = as_line(evaluate(source, options(source=source, truth=source)))
    assert record["paired"]["psnr"] is None  # infinite
    assert record["structure"]["ssim"] == pytest.approx(1)
    json.dumps(record, allow_nan=False)


def test_a_source_in_another_resolution_is_brought_to_size(tmp_path, section):
    source = save(tmp_path / "large.png", section)
    small = Image.fromarray(section).resize((512, 512), Image.Resampling.BOX)
    result = save(tmp_path / "small.png", np.asarray(small))
    found = evaluate(result, options(source=source, region="100,60,300,200"))
    assert (found.width, found.height) == (300, 200)
    assert found.metrics["structure"]["pcc"] > 0.99


def test_another_shape_is_refused(tmp_path, section):
    a, b = save(tmp_path / "a.png", section), save(tmp_path / "b.png", section[:500])
    with pytest.raises(InputError, match="another shape"):
        evaluate(a, options(source=b))


@pytest.mark.slow
def test_populations_of_the_same_tissue_are_nearer(tmp_path):
    ihc = skimage.data.immunohistochemistry()
    real = save(tmp_path / "real" / "x.png", ihc[:256])
    near, far = save(tmp_path / "near.png", ihc[256:]), save(tmp_path / "far.png", 255 - ihc[256:])
    common = {"reference": real.parent, "patch": 64, "patches": 60, "seeds": 2, "grid": 64}
    a = evaluate(near, options(**common, source=far, domain=True))
    b = evaluate(far, options(**common, source=near, domain=True))
    population = a.metrics["population"]
    assert population["extractor"] == "uhrt-random-v1"
    assert population["fid_low"] <= population["fid"] <= population["fid_high"]
    assert population["fid"] < b.metrics["population"]["fid"]
    assert population["kid"] < b.metrics["population"]["kid"]
    assert population["precision"] > b.metrics["population"]["precision"]
    assert any("go by KID" in warning for warning in a.warnings)
    assert a.metrics["domain"]["accuracy"] > 0.9
    assert a.metrics["domain"]["taken_for_target"] > 0.9
    assert any("no NIQE" in warning for warning in a.warnings)


def test_niqe_is_fitted_to_the_reference(tmp_path):
    section = np.tile(skimage.data.immunohistochemistry(), (3, 2, 1))
    real = save(tmp_path / "real.png", section)
    good, bad = (
        save(tmp_path / "good.png", section[:600]),
        save(tmp_path / "bad.png", as_jpeg(section[:600], 5)),
    )
    found = evaluate_many(
        expand_inputs([str(good), str(bad)]),
        options(reference=real, patches=8, patch=64, seeds=1, save_niqe=tmp_path / "m.json"),
        lambda one: None,
    )
    again = evaluate(good, options(niqe=tmp_path / "m.json")).metrics["quality"]
    assert again == found[0].metrics["quality"]
    quality = [one.metrics["quality"] for one in found]
    assert quality[0]["niqe"] < quality[1]["niqe"]
    assert quality[0]["niqe_model"] == quality[1]["niqe_model"]


def test_folders_go_together_by_name(tmp_path, section):
    for name in ("one", "sub/two"):
        save(tmp_path / "src" / f"{name}.png", section[:400, :400])
        save(tmp_path / "out" / f"{name}.dn.tif", section[:400, :400] // 2)
    save(tmp_path / "out" / "lonely.png", section[:400, :400])
    told = []
    found = evaluate_many(
        expand_inputs([str(tmp_path / "out")]),
        options(source=tmp_path / "src"),
        told.append,
    )
    assert [one.input.rsplit("/", 1)[-1] for one in found] == ["one.dn.tif", "two.dn.tif"]
    assert found[1].source.endswith("src/sub/two.png")
    failed = [one for one in told if isinstance(one, Failed)]
    assert len(failed) == 1
    assert "no image named lonely" in failed[0].error
    reference = options(source=tmp_path / "src", reference=tmp_path / "src", patch=64, patches=20)
    *each, together = evaluate_many(
        expand_inputs([one.input for one in found]), reference, told.append
    )
    assert len(each) == 2
    assert together.input == "*"
    assert together.metrics["images"]["count"] == 2
    pcc = [one.metrics["structure"]["pcc"] for one in each]
    assert together.metrics["structure"]["pcc"] == pytest.approx(np.mean(pcc))
    assert together.metrics["population"]["output"] == 20


@pytest.fixture
def tissue(tmp_path):
    """Outputs and real images, one of each smaller than a patch of 64 px."""
    ihc = skimage.data.immunohistochemistry()
    for name, side in (("large", 200), ("small", 40)):
        save(tmp_path / "out" / f"{name}.png", ihc[:side, :side])
        save(tmp_path / "real" / f"{name}.png", ihc[256 : 256 + side, :side])
    return tmp_path


def test_an_image_that_is_too_small_does_not_end_an_evaluation(uhrt_here, tissue):
    done = uhrt_here(
        "evaluate", tissue / "out", "--reference", tissue / "real", "-o", tissue / "report",
        "--patch", 64, "--patches", 20, "--seeds", 1, "--grid", 64,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    content = json.loads((tissue / "report" / "evaluation.json").read_text())
    assert len(content["images"]) == 2
    assert content["together"]["metrics"]["population"]["output"] == 20
    for place in ("out", "real"):
        sentence = f"left out of the populations: {tissue / place / 'small.png'}: is 40 x 40 px"
        assert sentence in " ".join(done.stderr.split())
        assert any(sentence in warning for warning in content["together"]["warnings"])


@pytest.mark.parametrize(("images", "real"), [(["small"], "large"), (["large", "small"], "small")])
def test_without_any_patch_the_other_figures_are_still_there(uhrt_here, tissue, images, real):
    done = uhrt_here(
        "evaluate", *(tissue / "out" / f"{name}.png" for name in images), "--grid", 64,
        "--reference", tissue / "real" / f"{real}.png", "-o", tissue / "report", "--patch", 64,
    )  # fmt: skip
    assert done.returncode == 1
    assert (
        "small.png: is 40 x 40 px, smaller than a patch; choose a --patch below 64" in done.stderr
    )
    assert "Traceback" not in done.stderr
    content = json.loads((tissue / "report" / "evaluation.json").read_text())
    assert [one["input"].rsplit("/")[-1] for one in content["images"]] == [
        f"{name}.png" for name in images
    ]
    assert all("population" not in one["metrics"] for one in content["images"])


def test_lpips_compares_with_source_and_truth(tmp_path, pair):
    """Random weights in the public layout: equal images are 0 apart, others are not."""
    from uhrtranslate.extractors.lpips import BACKBONES

    source, result = pair
    torch.manual_seed(0)
    net = BACKBONES["alex"].build()
    state = {f"features.{k}": v for k, v in net.state_dict().items()}
    heads = {
        f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1)
        for i, width in enumerate(BACKBONES["alex"].widths)
    }
    for name, weights in (("alex.pth", state), ("lin.pth", heads)):
        torch.save(weights, tmp_path / name)
    files = (tmp_path / "alex.pth", tmp_path / "lin.pth")
    found = evaluate(result, options(source=source, truth=result, lpips=files, patch=64)).metrics
    assert found["paired"]["lpips"] == 0
    assert found["structure"]["lpips_c"] > 0
    assert found["paired"]["lpips_name"].startswith("lpips-alex-")


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("seam_ratio>1.02", 1.03, True),
        ("seam.ratio > 1.02", 1.02, False),
        ("seam_ratio>=1.02", 1.02, True),
        ("seam_ratio<-1e-3", -0.5, True),
        ("seam_ratio==1", 1, True),
        ("seam_ratio<9", None, None),
    ],
)
def test_conditions(text, value, expected):
    assert holds(parse_condition(text), {"seam.ratio": value}) is expected


def test_conditions_that_are_none(pair):
    with pytest.raises(OptionError, match="no condition"):
        parse_condition("seam_ratio!1")
    figures = flatten(finite_metrics(evaluate(pair[0], options())))
    with pytest.raises(OptionError, match=r"fid was not measured.*seam_ratio"):
        holds(parse_condition("fid>3"), figures)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"grid": "coarse"}, "grid"),
        ({"shift": 3}, "a shift is of paired truth"),
        ({"domain": True}, "--source and --reference"),
        ({"weights": "w.pth"}, "--reference"),
        ({"lpips": ("a", "b")}, "--truth or --source"),
    ],
)
def test_options_that_do_not_fit(values, sentence):
    with pytest.raises(OptionError, match=sentence):
        options(**values)


def seam(ratio, p=0.001, borders=20, **more):
    return {"ratio": ratio, "p_value": p, "borders": borders, **more}


@pytest.mark.parametrize(
    ("figures", "verdict"),
    [
        ({"ratio": None, "p_value": None, "borders": 0}, "not measured"),
        ({"ratio": None, "p_value": 0.4, "borders": 0}, "no grid found"),
        (seam(1.5), "show"),
        (seam(1.5, source_ratio=1.45), "do not show"),
        (seam(1.5, borders=3), "show"),
        (seam(1.5, 0.3, borders=3), "too few borders"),
        (seam(1.0, 0.5), "do not show"),
        # Less than elsewhere, but more than the picture has there.
        (seam(0.97, 0.6, source_ratio=0.78, excess=1.24, excess_low=1.1), "show"),
        (seam(0.79, 0.9, source_ratio=0.78, excess=1.02, excess_low=0.97), "do not show"),
    ],
)
def test_the_verdict_is_against_the_source(figures, verdict):
    assert seam_verdict(figures) == verdict


def test_the_table_is_short_and_says_what_is_better(uhrt_here, pair):
    source, result = pair
    done = uhrt_here("evaluate", result, "--source", source)
    first, verdict, *lines = done.stdout.splitlines()
    assert first == str(result)
    assert verdict.startswith("  Seams show: ratio ")
    assert "the source has" in verdict
    assert 5 <= len(lines) <= 12
    assert any("SSIM" in line and "higher is better" in line for line in lines)
    assert lines[-1] == "  More: --all, --json, or a page by -o FOLDER."
    everything = uhrt_here("evaluate", result, "--source", source, "--all").stdout
    assert len(everything.splitlines()) > 30
    assert "colour.hue_spread" in everything


def test_small_images_are_not_asked_for_hundreds_of_patches(tmp_path, section):
    """500 patches of a picture that has room for four show the same pixels again and again."""
    result = save(tmp_path / "out.png", section[:200, :200])
    real = save(tmp_path / "real" / "a.png", section[300:700, 300:700])
    values = {"reference": real.parent, "patch": 100, "seeds": 1, "grid": 100}
    found = evaluate(result, options(**values)).metrics["population"]
    assert (found["real"], found["output"]) == (16, 16)
    found = evaluate(result, options(**values, patches=40)).metrics["population"]
    assert (found["real"], found["output"]) == (40, 40)


def test_seams_that_were_not_measured_are_not_called_perfect(uhrt_here, tmp_path):
    image = tmp_path / "small.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)).save(image)
    report = ("-o", tmp_path / "report")
    done = uhrt_here("evaluate", image, "--grid", 128, "--json", "--fail-if", "seam_ratio>1.1")
    found = json.loads(done.stdout)["seam"]
    assert (found["ratio"], found["p_value"], found["borders"]) == (None, None, 0)
    assert found["verdict"] == "not measured"
    assert done.returncode == 0
    assert "seam_ratio>1.1 could not be checked, as seam_ratio was not measured." in done.stderr
    done = uhrt_here("evaluate", image, "--grid", 128, *report)
    assert "Seams were not measured" in done.stdout
    page = (tmp_path / "report/index.html").read_text()
    assert "Seams were not measured: there is no border in the image." in page
    assert "do not show" not in page
    (row,) = csv.DictReader((tmp_path / "report/evaluation.csv").read_text().splitlines())
    assert (row["seam.ratio"], row["seam.verdict"]) == ("", "not measured")


@pytest.mark.slow
def test_the_program(uhrt, pair, tmp_path):
    source, result = pair
    done = uhrt("evaluate", source, result, "--json", "--fail-if", "seam_ratio>1.02")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["input"] for line in lines] == [str(source), str(result)]
    assert [line["seam"]["period"] for line in lines] == [None, 160]
    assert done.returncode == 1
    assert f"{result}: seam_ratio>1.02 holds." in done.stderr
    done = uhrt("evaluate", source, "--fail-if", "seam_ratio>1.02", "--all")
    assert done.returncode == 0
    assert "seam.p_value" in done.stdout
    cut = tmp_path / "cut.tif"
    tifffile.imwrite(cut, np.zeros((64, 64, 3), np.uint8))
    cut.write_bytes(cut.read_bytes()[:200])
    done = uhrt("evaluate", cut, source, "--json")
    assert done.returncode == 1
    assert "cut.tif" in done.stderr
    assert "Traceback" not in done.stderr
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["failed", "done"]
    for bad in (["--grid", "3"], ["--fail-if", "x"], ["--mpp", "-1"]):
        assert uhrt("evaluate", source, *bad).returncode == 2, bad
    assert uhrt("evaluate").returncode == 2
