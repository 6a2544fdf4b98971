"""Numbers over seeds."""

import math

import pytest

from stn_ref.lab.results import summary


def results(*errors, cell="a"):
    return [{"cell": cell, "result": {"test_error_percent": error}} for error in errors]


def test_mean_and_spread_over_seeds_by_hand():
    found = summary.over_seeds(results(1.0, 2.0, 6.0) + results(0.5, cell="b") + results(None, cell="c"))
    assert found == {"a": summary.Summary(3.0, math.sqrt(7), 3), "b": summary.Summary(0.5, None, 1)}  # (4 + 1 + 9) / 2
    assert str(found["a"]) == "3.00 ± 2.65" and str(found["b"]) == "0.50"
    doubled = summary.over_seeds(results(1.0, 2.0), lambda result: 2 * result["result"]["test_error_percent"])
    assert doubled == {"a": summary.Summary(3.0, math.sqrt(2), 2)}


def test_the_binomial_standard_error_by_hand():
    assert summary.standard_error(0.7, 10_000) == pytest.approx(math.sqrt(0.7 * 99.3 / 10_000))
    assert summary.standard_error(50, 100) == 5


def test_a_cell_is_expected_to_take_as_long_as_those_most_like_it():
    took = [("cnn/R", 10.0), ("cnn/TC", 40.0), ("fcn/TC", 4.0)]
    assert summary.expected_seconds("cnn/TC", took) == 40
    assert summary.expected_seconds("fcn/R", took) == 7  # cnn/R and fcn/TC share a half
    assert summary.expected_seconds("st-cnn/E", took) == 18
