"""The figures show what they say, the committed ones are of today, and the reader's own picture can be drawn."""

import json
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

from stn_ref import checks
from stn_ref.cli import figures, main
from stn_ref.plotting import gallery, style

FOLDER = figures.Path(__file__).parent.parent / "figures"
TRAINED = ("learned_warps", "grid_over_training")
QUICK = [name for name in gallery.FIGURES if name not in TRAINED]


@pytest.fixture(scope="module")
def drawings():
    with style.styled():
        return {name: gallery.draw(name) for name in QUICK}


def test_weights_of_the_bilinear_picture_add_up_to_1(drawings):
    numbers = drawings["bilinear_pixel"].numbers
    assert_allclose(numbers["weights"], [0.18, 0.42, 0.12, 0.28])
    assert_allclose(numbers["V"], 3 * 0.18 + 7 * 0.42 + 1 * 0.12 + 9 * 0.28)


def test_three_of_eight_shifts_stay_in_the_pooling_picture(drawings):
    assert drawings["pooling_shifts"].numbers["stays"].sum() == 1 + 3  # the image itself, and three
    assert drawings["pooling_counts"].numbers["3"].tolist() == [[3, 5, 3], [5, 8, 5], [3, 5, 3]]


def test_the_kernels_drawn_are_0_from_their_reach_on_and_1_in_the_middle(drawings):
    numbers = drawings["hat_kernel"].numbers
    for mode, reach in (("nearest", 0.5), ("bilinear", 1), ("bicubic", 2)):
        k = numbers[f"{mode} k"]
        assert k[250] == 1 and not k[np.abs(np.linspace(-2.5, 2.5, 501)) > reach + 1e-9].any()


def test_the_kinks_drawn_are_those_of_the_line(drawings):
    numbers = drawings["kinks"].numbers
    assert numbers["right"].tolist() == [2, -1, 0] and numbers["left"].tolist() == [1, 2, -1]
    assert numbers["central"].tolist() == [1.5, 0.5, -0.5] and numbers["as_printed"].tolist() == [3, 5, 4]


def test_only_the_antialiased_stripes_stay_the_same_when_moved(drawings):
    numbers = drawings["aliasing"].numbers
    plain, moved = numbers["bilinear"], numbers["bilinear, moved 2 pixels"]
    assert (plain == 1).all() and (moved == 0).all()
    still = numbers["antialiased, moved 2 pixels or not"]
    assert_allclose(still[1:-1], 0.5, atol=1e-12)
    assert_allclose(numbers["antialiased moved"][1:-1], 0.5, atol=1e-12)


def report(**parts):
    row = {"name": "grid_sample forward x -> y", "threads": 1, "ratio": 2.0, "ratio_10_90": [1.5, 2.5]}
    costs = {"nanoseconds_per_pixel": 3.0, "torch_nanoseconds_per_pixel": 6.0, "peak_bytes_per_pixel": 4.0}
    growth = [row | costs | {"pass": p, "pixels": 2**k} for p in ("forward", "backward") for k in (8, 18, 20)]
    known = {"torch": "2.13.0+cpu", "processor": "a CPU"}
    rest = {"date": "2026-01-02", "threads": [1], "environment": known}
    both = row | {"name": "grid + sampler x", "layers_ratio": 3.0}
    return rest | {"parts": {"sampler": [row], "grid": [both], "steps": [row], "growth": growth} | parts}


def test_the_figure_about_speed_draws_what_was_measured_and_leaves_out_rows_that_failed(tmp_path):
    from stn_ref.plotting.gallery import speed

    path = tmp_path / "cpu.json"
    failed = {"name": "fcn", "threads": 1, "error": "MemoryError: no room"}
    path.write_text(json.dumps(report(steps=[failed, report()["parts"]["steps"][0] | {"name": "cnn", "ratio": 0.5}])))
    with style.styled():
        drawing = speed.draw(speed.measured(path))
    assert drawing.numbers["cnn, 1 threads"].tolist() == [0.5, 1.5, 2.5] and "fcn, 1 threads" not in drawing.numbers
    assert drawing.numbers["grid + sampler x, 1 threads"].tolist() == [2.0, 1.5, 2.5, 3.0]  # the last one as layers
    assert "2 of 3 at or above 1, from 0.50 to 2.00" in drawing.alt and "a CPU, 2026-01-02: " in drawing.caption
    assert "Other programs" not in drawing.caption
    with style.styled():  # reports without the part about the grid can be drawn, too
        assert "2 of 2 at or above 1" in speed.draw(report(grid=[])).alt
    disturbed = report(sampler=[report()["parts"]["sampler"][0] | {"others_cores": 1.0}])
    with style.styled():
        assert drawing.caption + " Other programs were running." == speed.draw(disturbed).caption
    path.write_text(json.dumps(report(growth=[failed])))
    with pytest.raises(
        ValueError, match="has no ratios to PyTorch in its part 'growth'; with torch installed: stn-ref"
    ):
        speed.measured(path)


def test_a_damaged_report_of_speed_is_named_by_file_and_key(tmp_path):
    from stn_ref.plotting.gallery import speed

    path, row = tmp_path / "cpu.json", report()["parts"]["growth"][0]
    for change, why in (
        ({"threads": []}, "threads must have at least 1 item"),
        ({"date": None}, "date must be text; got None"),
        ({"environment": {"torch": "2"}}, "environment.processor is missing"),
        ({"parts": []}, "parts must be an object; got a list"),
        ({"parts": {"steps": [[]]}}, r"parts.steps\[0\] must be an object; got a list"),
        (report(growth=[row | {"ratio": 0}]), r"parts.growth\[0\].ratio must be a number from 1e-09 to 1e\+09; got 0"),
        (report(growth=[row | {"ratio_10_90": [1]}]), r"parts.growth\[0\].ratio_10_90 must have 2 items; got 1"),
        (report(growth=[row | {"threads": 3}]), r"parts.growth\[0\].threads must be an integer from 1 to 1; got 3"),
        (report(growth=[row, {"name": "x", "threads": 1}]), r"parts.growth\[1\].pass is missing"),
        (
            report(growth=[row | {"peak_bytes_per_pixel": "4"}]),
            r"growth\[0\].peak_bytes_per_pixel must be a number of at",
        ),
    ):
        path.write_text(json.dumps(report() | change))
        with pytest.raises(checks.DamagedFileError, match=rf"cpu\.json is damaged or not a report.*{why}.*; move"):
            speed.measured(path)
    path.write_text(json.dumps(report(growth=[row])))
    with pytest.raises(ValueError, match=r"cpu\.json has no ratios to PyTorch in its part 'growth'"):
        speed.measured(path)


def test_every_drawing_has_words_and_numbers(drawings):
    for name, drawing in drawings.items():
        assert len(drawing.alt) > 60 and drawing.alt.endswith("."), name
        assert 40 < len(drawing.caption) < 220 and drawing.caption.endswith("."), name
        assert drawing.numbers or name == "architecture", name


def test_the_loss_is_0_at_the_star_only(drawings):
    loss = drawings["loss_basin"].numbers["loss"]
    assert loss.min() == loss[6, 4] == 0 and (loss == 0).sum() == 1


def test_no_committed_figure_is_stale(capsys):
    assert main(["figures", "--check", "--out", str(FOLDER)]) == 0, capsys.readouterr().out


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib")
def test_the_captions_beside_the_figures_are_theirs(drawings):
    import tomllib

    captions = tomllib.loads((FOLDER / "captions.toml").read_text(encoding="utf-8"))
    assert list(captions) == list(gallery.FIGURES)
    for name, drawing in drawings.items():
        assert captions[name] == {"alt": drawing.alt, "caption": drawing.caption}


def test_a_figure_is_stale_when_its_numbers_its_words_or_its_file_are_not_todays(tmp_path):
    quiet = lambda line: None  # noqa: E731
    figures.regenerate(["align_corners"], tmp_path, note=quiet)
    assert figures.stale(["align_corners"], tmp_path, quiet) == {}
    kept = tmp_path / "numbers" / "align_corners.json"
    report = json.loads(kept.read_text())
    report["numbers"]["True"][1] += 0.01
    kept.write_text(json.dumps(report))
    assert figures.stale(["align_corners"], tmp_path, quiet) == {"align_corners": "True differs by 0.01"}
    report["caption"] = "Other words."
    kept.write_text(json.dumps(report))
    assert figures.stale(["align_corners"], tmp_path, quiet) == {"align_corners": "its alt text or caption has changed"}
    for content, why in (
        ("{", "not the numbers of a figure"),
        ('{"alt": "", "caption": ""}', "numbers is missing"),
        ('{"alt": "", "caption": "", "numbers": {"x": 1}}', "numbers.x must be a list; got 1"),
    ):
        kept.write_text(content)
        with pytest.raises(checks.DamagedFileError, match=rf"align_corners\.json is damaged.*{why}"):
            figures.stale(["align_corners"], tmp_path, quiet)
    kept.write_text(json.dumps(report))
    (tmp_path / "align_corners.svg").unlink()
    assert figures.stale(["align_corners"], tmp_path, quiet) == {"align_corners": "it is missing"}


def test_the_same_figure_is_the_same_file(tmp_path):
    for k in (1, 2):
        figures.regenerate(["hat_kernel", "grids"], tmp_path / str(k), note=lambda line: None)
    for name in ("hat_kernel.svg", "grids.png"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


@pytest.mark.parametrize("suffix", ("svg", "png", "pdf"))
@pytest.mark.parametrize("channels", ((), (3,), (4,)))
def test_the_readers_own_picture_in_any_format(tmp_path, rng, suffix, channels, capsys):
    import matplotlib.image

    matplotlib.image.imsave(tmp_path / "photo.png", rng.random((12, 17, *channels)))
    out = tmp_path / f"my.{suffix}"
    arguments = ["figures", "--image", str(tmp_path / "photo.png"), "--transform", "affine", "--dark"]
    assert main([*arguments, "--theta", "0.8 0.3 0, -0.3 0.8 0", "--size", "5", "3", "--out", str(out)]) == 0
    assert out.stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "figure must be one of 'pooling_shifts', "),
        (["--image", "missing.png"], "missing.png"),
        (["--image", "x.png", "grids"], "leave NAME out of `figures --image FILE`, or write `figures --list`"),
        (["--image", "x.png", "--theta", "1 2"], "theta must be 6 finite numbers for affine: theta11"),
        (["--image", "x.png", "--theta", "nan 0 0 0 1 0"], "theta must be 6 finite numbers for affine: theta11"),
        (["--image", "x.png", "--theta", "1 a"], "theta must be numbers separated by spaces or commas; got '1 a'"),
        (["--theta", "1 0 0 0 1 0"], "leave --theta out of `figures NAME`, or write `figures --image FILE`"),
        (["kinks", "--dark"], "or `figures NAME --out FOLDER` or `figures --out FOLDER`"),
        (["cifar10", "--results", "."], "leave --results out of `figures NAME`, or write `figures NAME --out FOLDER`"),
        (
            ["--results", ".", "--out", "x"],
            "leave --results out of `figures --out FOLDER`, or write `figures NAME",
        ),
        (["kinks", "--results", ".", "--out", "x"], "figure of results must be one of 'invariance'"),
        (["kinks", "--size", "0", "0", "--out", "x"], "size must lie in [0.5, 100]"),
    ],
)
def test_wrong_arguments_are_one_clear_line(arguments, message, capsys):
    assert main(["figures", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
