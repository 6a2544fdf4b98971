"""What every layer promises, asked of each in turn."""

import os
import subprocess
import sys

import numpy as np
import pytest
from differences import gradient_errors
from numpy.testing import assert_array_equal

from stn_ref import checks, nn
from stn_ref.kernels.cpu import threads

F64 = np.float64


def generator():
    return np.random.default_rng(7)


# name: (make(dtype), shape of x)
LAYERS = {
    "linear": (lambda dtype=F64: nn.Linear(5, 3, generator(), dtype=dtype), (4, 5)),
    "constant": (lambda dtype=F64: nn.Linear.constant(5, np.arange(3, dtype=dtype)), (4, 5)),
    "conv": (lambda dtype=F64: nn.Conv2d(2, 3, (3, 2), generator(), dtype=dtype), (3, 2, 6, 5)),
    "conv_stride": (
        lambda dtype=F64: nn.Conv2d(3, 2, (4, 5), generator(), stride=(3, 2), padding=(2, 1), dtype=dtype),
        (2, 3, 7, 10),
    ),
    "conv_gaps": (lambda dtype=F64: nn.Conv2d(2, 2, (1, 2), generator(), stride=(2, 3), dtype=dtype), (2, 2, 5, 7)),
    "conv_one": (lambda dtype=F64: nn.Conv2d(2, 3, (4, 3), generator(), dtype=dtype), (2, 2, 4, 3)),
    "max_pool": (lambda dtype=F64: nn.MaxPool2d(2), (2, 3, 5, 6)),
    "max_pool_overlap": (lambda dtype=F64: nn.MaxPool2d((3, 2), (2, 1)), (2, 2, 6, 5)),
    "max_pool_gaps": (lambda dtype=F64: nn.MaxPool2d((1, 2), (2, 3)), (2, 2, 6, 5)),
    "avg_pool": (lambda dtype=F64: nn.AvgPool2d((1, 2), (2, 3)), (2, 3, 5, 7)),
    "avg_pool_overlap": (lambda dtype=F64: nn.AvgPool2d((3, 2), (2, 1)), (2, 2, 6, 5)),
    "relu": (lambda dtype=F64: nn.ReLU(), (3, 4, 2)),
    "tanh": (lambda dtype=F64: nn.Tanh(), (3, 4)),
    "sigmoid": (lambda dtype=F64: nn.Sigmoid(), (3, 4)),
    "flatten": (lambda dtype=F64: nn.Flatten(), (2, 3, 4, 5)),
}
DROPOUTS = {
    "dropout": (lambda dtype=F64: nn.Dropout(0.4, generator()), (2, 3, 4, 5)),
    "dropout2d": (lambda dtype=F64: nn.Dropout2d(0.4, generator()), (2, 3, 4, 5)),
}
ALL = LAYERS | DROPOUTS
every_layer = pytest.mark.parametrize("name", ALL)


def case(name, rng, dtype=F64):
    make, shape = ALL[name]
    return make(dtype), rng.standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_agree_with_finite_differences(name, rng):
    errors = gradient_errors(*case(name, rng), rng)
    assert max(errors.values()) < 1e-8, errors  # h = 1e-5, float64: truncation and rounding both below 1e-9


@pytest.mark.parametrize("name", LAYERS)
def test_a_backward_that_is_wrong_by_a_thousandth_is_caught(name, rng):
    layer, x = case(name, rng)
    right = layer.backward

    layer.backward = lambda gy, needs=True: right(1.001 * gy, needs)
    assert max(gradient_errors(layer, x, rng).values()) > 1e-6


@every_layer
def test_float32_stays_float32(name, rng):
    layer, x = case(name, rng, np.float32)
    y = layer.forward(x)
    gx = layer.backward(y * np.float32(0.5))
    assert y.dtype == gx.dtype == np.float32
    assert all(param.grad.dtype == np.float32 for param in layer.params())


@every_layer
def test_an_empty_batch_gives_an_empty_result(name, rng):
    layer, x = case(name, rng)
    shape = layer.forward(x).shape
    layer.forget()
    y = layer.forward(x[:0])
    assert y.shape == (0, *shape[1:])
    assert layer.backward(y).shape == (0, *x.shape[1:])
    assert all(not param.grad.any() for param in layer.params())


@every_layer
def test_strided_and_read_only_inputs_work_and_are_not_changed(name, rng):
    _, x = case(name, rng)
    wide = np.repeat(x, 2, axis=-1)
    wide.flags.writeable = False
    results = []
    for argument in (x, wide[..., ::2]):
        twin, _ = case(name, np.random.default_rng(0))
        y = twin.forward(argument)
        gy = np.asfortranarray(np.random.default_rng(5).standard_normal(y.shape))
        gy.flags.writeable = False
        gx = twin.backward(gy)
        results.append([y, gx, *(param.grad for param in twin.params())])
    for a, b in zip(*results, strict=True):
        assert_array_equal(a, b)
    assert_array_equal(wide, np.repeat(x, 2, axis=-1))


@every_layer
def test_a_gradient_that_nobody_needs_is_none(name, rng):
    layer, x = case(name, rng)
    gy = rng.standard_normal(layer.forward(x).shape)
    assert layer.backward(gy, needs=False) is None
    grads = [param.grad.copy() for param in layer.params()]
    layer, _ = case(name, rng)
    layer.forward(x)
    layer.backward(gy)
    for grad, param in zip(grads, layer.params(), strict=True):
        assert_array_equal(grad, param.grad)


@every_layer
def test_backward_without_forward_and_forward_twice_are_errors(name, rng):
    layer, x = case(name, rng)
    with pytest.raises(checks.UsageError, match="needs a forward in training mode before it"):
        layer.backward(x)
    y = layer.forward(x)
    with pytest.raises(checks.UsageError, match=r"share\(\)"):
        layer.forward(x)
    layer.backward(y)
    with pytest.raises(checks.UsageError, match="once for each backward"):
        layer.backward(y)


@every_layer
def test_eval_keeps_nothing(name, rng):
    layer, x = case(name, rng)
    layer.eval()
    layer.forward(x)
    assert layer._memory is None
    with pytest.raises(checks.UsageError):
        layer.backward(x)


@every_layer
def test_a_cotangent_of_the_wrong_shape_or_dtype_is_named(name, rng):
    layer, x = case(name, rng)
    y = layer.forward(x)
    with pytest.raises(checks.ShapeError, match="gy must have the shape of the output"):
        layer.backward(np.zeros((1, *y.shape)))
    with pytest.raises(TypeError, match="gy must have the dtype of the output"):
        layer.backward(y.astype(np.float32))


@every_layer
def test_a_wrong_number_of_cotangents_is_named(name, rng):
    layer, x = case(name, rng)
    y = layer.forward(x)
    with pytest.raises(ValueError, match=r"backward takes one gradient for each output .*: expected 1, got 2"):
        layer.backward((y, y))
    assert layer.backward(y).shape == x.shape  # what forward kept is still there


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (([nn.ReLU()],), r"layers must be Layers; got list: write Sequential\(\*layers\)"),
        ((nn.ReLU(), 3), "layers must be Layers; got int$"),
        ((nn.ReLU,), "layers must be Layers; got type$"),
    ],
)
def test_a_sequence_of_anything_else_is_an_error_when_it_is_made(layers, message):
    with pytest.raises(TypeError, match=message):
        nn.Sequential(*layers)


@pytest.mark.parametrize(
    "use",
    [
        lambda dtype: nn.Linear(2, 3, generator(), dtype=dtype),
        lambda dtype: nn.Conv2d(2, 3, 3, generator(), dtype=dtype),
        lambda dtype: nn.Linear(2, 3, generator()).astype(dtype),
        lambda dtype: nn.Param(np.zeros(3)).astype(dtype),
    ],
)
def test_a_wrong_dtype_is_named(use):
    with pytest.raises(TypeError, match="dtype must be float32 or float64; got int32"):
        use(np.int32)


@every_layer
def test_integers_are_a_type_error(name, rng):
    layer, x = case(name, rng)
    with pytest.raises(TypeError, match="x must be a float32 or float64 NumPy array; got a NumPy array of int64"):
        layer.forward(np.zeros(x.shape, np.int64))


@pytest.mark.parametrize("name", ["linear", "conv"])
def test_params_and_input_of_different_dtypes_are_a_type_error(name, rng):
    layer, x = case(name, rng)
    with pytest.raises(TypeError, match="x must have the dtype of W, float64; got float32"):
        layer.forward(x.astype(np.float32))
    layer.astype(np.float32).forward(x.astype(np.float32))


@pytest.mark.parametrize("name", ["linear", "conv", "conv_stride"])
def test_twins_sum_their_gradients(name, rng):
    layer, x = case(name, rng)
    twin = layer.share()
    y, z = layer.forward(x), twin.forward(2 * x)
    layer.backward(y)
    alone = [param.grad.copy() for param in layer.params()]
    twin.backward(z)
    both = [param.grad.copy() for param in layer.params()]
    layer.zero_grad()
    layer.forward(2 * x)
    layer.backward(z)
    for a, b, second in zip(alone, both, layer.params(), strict=True):
        assert_array_equal(b, a + second.grad)


@pytest.mark.parametrize("name", ["linear", "conv"])
def test_weights_decay_and_biases_do_not(name, rng):
    layer, _ = case(name, rng)
    assert layer.W.decay
    assert not layer.b.decay


THREADED = {
    "linear": (lambda: nn.Linear(300, 200, generator()), (300, 300)),
    "conv": (lambda: nn.Conv2d(3, 8, 5, generator(), stride=(1, 2), padding=2), (37, 3, 17, 12)),
    "conv_windows": (lambda: nn.Conv2d(13, 70, (3, 5), generator(), padding=(1, 0)), (37, 13, 9, 12)),
    "max_pool": (lambda: nn.MaxPool2d(2), (333, 3, 17, 12)),
    "avg_pool": (lambda: nn.AvgPool2d(2), (333, 3, 17, 12)),
    "relu": (nn.ReLU, (500, 1000)),
    "tanh": (nn.Tanh, (500, 1000)),
    "sigmoid": (nn.Sigmoid, (500, 1000)),
}


@pytest.mark.parametrize("name", THREADED)
def test_results_do_not_depend_on_the_number_of_threads(name, monkeypatch):
    make, shape = THREADED[name]
    x = np.random.default_rng(3).standard_normal(shape, np.float32)
    results = []
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 1)  # ns: short work is shared, too
    for count in (1, 2, 3):
        monkeypatch.setattr(threads, "_threads", count)
        layer = make()
        y = layer.forward(x)
        results.append([y, layer.backward(y), *(param.grad for param in layer.params())])
    for one, *others in zip(*results, strict=True):
        for other in others:
            assert_array_equal(one, other)


def all_results():
    """Return the output and the gradients of every layer, in both dtypes."""
    results = {}
    for name in ALL:
        for dtype in (np.float32, np.float64):
            layer, x = case(name, np.random.default_rng(1), dtype)
            y = layer.forward(x)
            arrays = [y, layer.backward(y), *(param.grad for param in layer.params())]
            results.update({f"{name}.{np.dtype(dtype)}.{k}": array for k, array in enumerate(arrays)})
    return results


INTERPRETED = """
import warnings; warnings.simplefilter("error")
import sys, numpy as np; sys.path.insert(0, sys.argv[1])
from test_layer_contract import all_results
np.savez(sys.argv[2], **all_results())
"""


def test_interpreted_kernels_give_the_same_bits(tmp_path):
    file = tmp_path / "interpreted.npz"
    subprocess.run(
        [sys.executable, "-c", INTERPRETED, os.path.dirname(__file__), file],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        check=True,
    )
    interpreted = np.load(file)
    compiled = all_results()
    assert set(compiled) == set(interpreted)
    for key, array in compiled.items():
        assert_array_equal(array, interpreted[key], err_msg=key)


def test_importing_the_layers_loads_no_numba():
    code = "import sys, stn_ref.nn; assert 'numba' not in sys.modules and 'scipy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


WITHOUT_NUMBA = """
import sys; sys.modules["numba"] = None
import numpy as np
from stn_ref import kernels, nn

x = np.zeros((2, 3, 5, 4), np.float32)
wanted = {
    "Conv2d": nn.Conv2d(3, 2, 3, np.random.default_rng(0)).forward,
    "MaxPool2d": nn.MaxPool2d(2).forward,
    "AvgPool2d": nn.AvgPool2d(2).forward,
    "backend 'cpu'": lambda x: kernels.get("cpu"),
}
for name, call in wanted.items():
    try:
        call(x)
    except ImportError as error:
        assert str(error).startswith(f"{name} needs numba, which is not installed: pip install numba"), error
    else:
        raise AssertionError(f"{name}: no error")
nn.Linear(4, 2, np.random.default_rng(0)).forward(x[0, 0])
nn.Conv2d(3, 2, (5, 4), np.random.default_rng(0)).forward(x)  # as large as the image: a matrix product
"""


def test_without_numba_the_layers_that_need_it_say_so():
    subprocess.run([sys.executable, "-c", WITHOUT_NUMBA], check=True)
