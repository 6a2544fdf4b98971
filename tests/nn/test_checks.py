"""The checks that every layer shares."""

import numpy as np
import pytest

from stn_ref import checks


def test_a_number_stands_for_both_of_a_pair():
    assert checks.pair("kernel", np.int64(3)) == (3, 3)
    assert checks.pair("kernel", [3, 5], least=3) == (3, 5)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ((3, 5, 7), ValueError, r"kernel must be an integer or a pair \(vertical, horizontal\); got \(3, 5, 7\)"),
        ((), ValueError, r"kernel must be an integer or a pair"),
        ((3, 0), ValueError, "kernel must be at least 1; got 0"),
        ((3, 2.5), TypeError, "kernel must be an integer; got 2.5"),
        (None, TypeError, "kernel must be an integer; got None"),
    ],
)
def test_a_value_that_is_not_a_pair_is_named(value, error, message):
    with pytest.raises(error, match=message):
        checks.pair("kernel", value, 1)


@pytest.mark.parametrize("dtype", ("float64", float, np.float64, np.dtype(np.float64)))
def test_every_form_of_a_dtype_is_accepted(dtype):
    assert checks.float_dtype("dtype", dtype) == np.float64


@pytest.mark.parametrize(
    ("dtype", "got"), [(None, "None"), (np.int32, "int32"), ("rubbish", "rubbish"), (3, "3"), (">f4", ">f4")]
)
def test_a_dtype_that_is_not_supported_is_named(dtype, got):
    with pytest.raises(TypeError, match=f"^dtype must be float32 or float64; got {got}$"):
        checks.float_dtype("dtype", dtype)
