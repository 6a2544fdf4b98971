"""What bench/memory.py counts."""

import sys

import numpy as np
import pytest

from stn_ref.lab.bench import memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_memory_that_is_let_go_of_again_counts_and_what_was_there_before_does_not():
    there = np.ones(1 << 23)  # 64 MB

    def call():
        np.ones(1 << 22)  # 32 MB, gone when the call returns

    growth = memory.peak_growth(call, 2)
    assert 0.9 < growth / 2**25 < 1.3 and there.all()


def test_a_larger_batch_takes_more_memory_in_a_process_of_its_own():
    small, large = (memory.step_memory("tutorial", 28, batch, "ours", 1) for batch in (16, 512))
    assert large - small > 512 * 8 * 22 * 22 * 4  # the largest output alone


def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match="model must be one of"):
        memory.step_memory("x", 28, 2, "ours", 1)
