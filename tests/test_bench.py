"""The benchmark measures what it says, in turns, and compares like with like. How fast anything is, no test asks."""

import numpy as np
import pytest

from stn_ref import models
from stn_ref.kernels.cpu import threads
from stn_ref.lab.bench import grid, layers, machine, report, sampler, steps, timing
from stn_ref.sampler import MODES, PADDING_MODES


def test_ratios_are_taken_round_by_round():
    row = timing.summary(
        {
            "ours": np.array([1.0, 2.0, 4.0]),
            "kernel": np.array([1.0, 1.0, 4.0]),
            "torch": np.array([2.0, 4.0, 4.0]),
            "limit": np.array([0.5, 0.5, 1.0]),
        }
    )
    assert row["ratio"] == 2 and row["of_limit"] == 0.25  # medians of (2, 2, 1) and (1/2, 1/4, 1/4)
    assert row["ours_ms"] == 2000 and row["torch_ms"] == 4000 and row["rounds"] == 3
    assert row["ratio_10_90"] == pytest.approx([1.2, 2.0])  # quantiles of three numbers, between neighbours
    assert row["kernel_ms"] == 1000 and row["kernel_ratio"] == 2  # the median of (2, 4, 1)


def test_the_number_of_threads_is_as_before_afterwards():
    before = threads.get_num_threads()
    with pytest.raises(ZeroDivisionError), timing.on_threads(3):
        assert threads.get_num_threads() == 3
        raise ZeroDivisionError
    assert threads.get_num_threads() == before


@pytest.mark.parity
def test_pytorch_gets_as_many_threads_as_we_do():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    with timing.on_threads(before + 1):
        assert torch.get_num_threads() == threads.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("n_bytes", (1, 4096, 2**20, 2**26))
@pytest.mark.parametrize("n", (1, 3))
def test_a_copy_of_any_size_copies_all_of_it(n_bytes, n, monkeypatch):
    copied = []
    monkeypatch.setattr(np, "copyto", lambda target, source: copied.append(target.nbytes + source.nbytes))
    with timing.on_threads(n):
        call, share = machine.copy(n_bytes)
        call()
    assert sum(copied) * share == pytest.approx(max(8, n_bytes // 8 * 8))


@pytest.mark.parity
@pytest.mark.parametrize(("name", "size", "batch"), steps.STEPS)
def test_a_step_trains_as_many_parameters_in_pytorch(name, size, batch, rng):
    pytest.importorskip("torch")
    from stn_ref.lab.bench.pytorch import twin

    net = models.build(name, size, rng)
    ours = sum(param.value.size for param in net.params())
    assert ours == sum(weight.numel() for weight in twin(net).parameters())
    assert {"tutorial": 27_360, "cifar10": 1_585_008}.get(name, ours) == ours
    U, labels = steps.example(name, size, 2)
    assert net.eval().forward(U).shape == (2, 10) and labels.shape == (2,)


def test_a_row_during_which_others_worked_is_marked():
    row = {"name": "x", "threads": 2, "ours_ms": 1.0, "others_cores": 1.3}
    assert "disturbed: 1.3 cores busy" in report.line(row)
    assert report.disturbance([row, row | {"others_cores": 0.0}]).startswith(
        "other programs kept cores busy during 1 of 2"
    )


def test_a_row_shows_what_was_timed_beside_it():
    row = {"name": "x", "threads": 1, "ours_ms": 2.0, "kernel_ms": 0.5}
    assert report.line(row).endswith("kernel alone 500.0 us")  # without PyTorch there is no ratio
    assert report.line(row | {"kernel_ratio": 4.0}).endswith("kernel alone 500.0 us (ratio 4.00)")


@pytest.mark.parametrize(("what", "least"), [("forward", 4), ("backward", 12)])
def test_growth_measures_time_and_the_memory_of_the_results(what, least):
    row = sampler.growth(0.0, 10, what)
    assert row["pixels"] == 1024 and row["nanoseconds_per_pixel"] == pytest.approx(1e6 * row["ours_ms"] / 1024)
    assert row["peak_bytes_per_pixel"] >= least


def test_peak_memory_counts_what_a_call_lets_go_of_again():
    peak = sampler.peak_bytes(lambda: np.ones(10**6, np.float32).sum())
    assert 4e6 <= peak < 4.1e6


def _assert_same(got, wanted):
    assert len(got) == len(wanted)
    for ours, theirs in zip(got, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12 * max(1.0, np.abs(theirs).max()))  # float64, some 20 terms


@pytest.mark.parity
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding_mode", PADDING_MODES)
def test_the_samplers_that_are_compared_compute_the_same(mode, padding_mode):
    pytest.importorskip("torch")
    calls = sampler.calls((2, 3, 5, 7, 4, 6), mode, padding_mode, "float64")
    forward, backward = ({name: call() for name, call in calls[what].items()} for what in sampler.PASSES)
    _assert_same([forward["ours"], forward["kernel"]], [forward["torch"].numpy()] * 2)
    _assert_same(backward["ours"], [array.numpy() for array in backward["torch"]])
    gU, gpoints = backward["kernel"]
    _assert_same((gU, gpoints * np.array([7, 5]) / 2), backward["ours"])  # pixels a normalised unit


@pytest.mark.parity
def test_the_grids_that_are_compared_compute_the_same():
    pytest.importorskip("torch")
    for what in sampler.PASSES:
        results = {name: call() for name, call in grid.calls((2, 4, 6), what, "float64").items()}
        _assert_same([results["ours"]], [results["torch"].numpy()])
    results = {name: call() for name, call in grid.together((2, 3, 5, 7, 4, 6), "float64").items()}
    for name in ("ours", "layers"):
        _assert_same(results[name], [array.numpy() for array in results["torch"]])


@pytest.mark.parity
@pytest.mark.parametrize(
    ("name", "size"), sorted({step[:2] for step in steps.STEPS if step[0] not in models.PUBLISHED})
)
def test_the_steps_that_are_compared_train_alike(name, size, rng):
    pytest.importorskip("torch")
    from stn_ref.lab.bench.pytorch import torch_step

    net = models.build(name, size, rng)  # the two nets that are left out draw their dropout each for itself
    U, labels = steps.example(name, size, 6)
    theirs, ours = torch_step(net, U, labels), steps.our_step(net, U, labels)
    losses = np.array([(ours(), theirs()) for _ in range(4)])
    np.testing.assert_allclose(losses[:, 0], losses[:, 1], rtol=1e-3)  # float32, through kinks
    assert losses[0, 0] != losses[-1, 0]


@pytest.mark.parity
@pytest.mark.parametrize("k", range(len(layers.LAYERS)))
def test_the_layers_that_are_compared_compute_the_same(k, rng):
    torch = pytest.importorskip("torch")
    from stn_ref.lab.bench.pytorch import torch_layer

    _, make, shape, first = layers.LAYERS[k]
    layer, x = make(rng).astype(np.float64), rng.standard_normal((2, *shape[1:]))
    y = layer.forward(x)
    gy = rng.standard_normal(y.shape)
    gx = layer.backward(gy, needs=not first)
    forward, training = torch_layer(layer, x, gy, needs=not first)
    pairs = [(y, forward().detach()), (gx, training())]
    for got, wanted in pairs:
        assert (got is None) == (wanted is None)
        if got is not None:
            assert np.abs(got - wanted.numpy()).max() <= 1e-12 * torch.abs(wanted).max().item()  # some hundred terms
