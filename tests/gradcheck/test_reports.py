"""What a report says, as text, as JSON and as a table."""

import json

import numpy as np
import pytest
from checking import SMOOTH, Overwrites, check, normal

from stn_ref.gradcheck import GradcheckError, gradcheck, table


def test_the_same_rng_gives_the_same_report():
    x = normal(30, 30)
    first, again = (check(*SMOOTH["tanh"], x, seed=3) for _ in range(2))
    assert first == again
    assert first != check(*SMOOTH["tanh"], x, seed=4)


def test_a_failure_says_where_what_and_how():
    report = check(np.tanh, lambda x, gy: gy * (1 - np.tanh(x) ** 2) + (x == x[1, 2]), normal(3, 4), names=["x"])
    entry = report.entries[0]
    assert entry.worst_index == (1, 2) and entry.analytic == pytest.approx(entry.numeric + 1)
    lines = str(report).splitlines()
    assert lines[0] == "gradcheck: FAIL, backward against finite differences, tolerance 1e-07"
    assert lines[2].startswith("x ") and lines[2].endswith("FAIL")
    assert lines[3].startswith("    at (1, 2): backward gives ")
    with pytest.raises(GradcheckError, match="FAIL"):
        report.raise_for_failure()


def test_a_report_that_passed_is_true_and_returned():
    report = check(*SMOOTH["square"], normal(3))
    assert report.raise_for_failure() is report and report.passed and bool(report)


def test_reports_become_json_with_nan_as_a_string():
    report = check(np.copy, lambda x, gy: gy * np.nan, normal(2, 3), names=["x"])
    entry = json.loads(json.dumps(report.to_dict(), allow_nan=False))["entries"][0]
    assert (entry["analytic"], entry["max_rel_error"], entry["shape"]) == ("nan", "inf", [2, 3])


def test_the_table_has_a_line_for_each_array():
    reports = {
        "square": check(*SMOOTH["square"], normal(3), names=["x"]),
        "abs": check(np.abs, lambda x, gy: 2 * gy, np.array([0.0]), names=["x"]),
        "affine": gradcheck(Overwrites(normal(4, 5), normal(5)), normal(3, 4), rng=np.random.default_rng(0)),
    }
    lines = table(reports).splitlines()
    assert [line.split()[0] for line in lines] == [
        "layer",
        "square",
        "abs",
        "affine",
        "affine",
        "affine",
        "affine",
        "affine",
    ]
    assert lines[1].endswith("pass") and lines[2].endswith("1 (1 judged, 1 outside)  FAIL")
    assert "overwrites" in lines[-1]
