"""np.seterr(all="raise") of the caller changes nothing: layers, losses and optimisers follow IEEE 754 in silence."""

import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from test_kept_arrays import every_use

from stn_ref import nn, transforms
from stn_ref.lab.experiments.parts import Inside
from stn_ref.localisation import fc_localisation
from stn_ref.sampler import Sampler
from stn_ref.several import Parallel, ParallelTransformers, PerView
from stn_ref.training.consistency import Consistent, PointsApart
from stn_ref.transformer import SpatialTransformer

HARD = (0.0, 1e-310, -1e-300, 1e-170, 1.0, 1e170, 1.7e308, -1.7e308, np.inf, np.nan)  # under- and overflow; invalid


def hard(rng, shape):
    return rng.choice(HARD, shape)


def uses(rng):
    """Yield (name, layer, inputs) for every layer of the package, with numbers that raise each kind of error."""
    for name, layer, inputs, _ in every_use(rng):
        yield name, layer, tuple(hard(rng, x.shape) for x in inputs)
    affine = transforms.get("affine")

    def f_loc():
        return fc_localisation((1, 4, 5), affine, rng, hidden=(3,), dtype=float)

    U = hard(rng, (3, 1, 4, 5))
    sampler = Sampler(backend="vectorised")
    yield "transformer", SpatialTransformer(f_loc(), affine, backend="vectorised"), (U,)
    yield "transformer with theta", SpatialTransformer(f_loc(), affine, sampler=sampler, return_theta=True), (U,)
    yield "parallel", Parallel(nn.Tanh(), nn.ReLU()), (U,)
    yield "transformers", ParallelTransformers(f_loc(), [affine], sampler=sampler), (U,)
    yield "views", PerView(nn.Flatten(), 1), (U,)
    yield "inside", Inside(0.5), (hard(rng, (3, 2)),)
    yield "apart", PointsApart(), (hard(rng, (3, 4, 5, 2)), hard(rng, (3, 4, 5, 2)))
    net = nn.Sequential(SpatialTransformer(f_loc(), affine, backend="vectorised"), nn.Flatten())
    yield "consistent", Consistent(net), (U, U, hard(rng, (3, 2, 3)))
    yield "squares", nn.MeanSquaredError(), (hard(rng, (3, 4)), hard(rng, (3, 4)))
    yield "entropy", nn.SoftmaxCrossEntropy(), (hard(rng, (3, 4)), np.arange(3))


def step(layer, inputs, rng):
    """Return all that one forward and backward compute."""
    y = layer.forward(*inputs)
    if isinstance(y, float):
        return [np.array(y), layer.backward()]
    gys = [hard(rng, out.shape) for out in (y if isinstance(y, tuple) else (y,))]
    gx = layer.backward(*gys)
    arrays = [*(y if isinstance(y, tuple) else (y,)), *(gx if isinstance(gx, tuple) else (gx,))]
    return [*(a for a in arrays if a is not None), *(param.grad for param in layer.params())]


def everything():
    """Return all results of all layers and optimisers, by name; the same bits in every call."""
    results = {name: step(layer, inputs, np.random.default_rng(5)) for name, layer, inputs in uses(generator())}
    for name, make in {
        "sgd": lambda p: nn.SGD(p, 1e160, momentum=0.9, nesterov=True, weight_decay=0.1),
        "adam": lambda p: nn.Adam(p, 1e160, weight_decay=1e-200),
    }.items():
        rng = generator()
        params = [nn.Param(hard(rng, (7, 9))), nn.Param(hard(rng, (40_000,)))]  # the second in pieces, on two threads
        optimiser = make(params)
        for _ in range(3):
            for param in params:
                param.grad[...] = hard(rng, param.value.shape)
            norm = nn.clip_grad_norm(params, 1.0)
            optimiser.step()
        results[name] = [np.array(norm), *(param.value for param in params)]
    return results


def generator():
    return np.random.default_rng(3)


@pytest.mark.parametrize("rule", ["raise", "warn", "print"])
def test_the_rule_of_the_caller_does_not_matter(rule, capsys):
    """Warnings are errors in this suite, so "warn" raises, too."""
    with np.errstate(all="ignore"):
        wanted = everything()
    with np.errstate(all=rule):
        got = everything()
        assert np.geterr()["over"] == rule
    for name, arrays in wanted.items():
        for a, b in zip(arrays, got[name], strict=True):
            assert_array_equal(a, b, err_msg=name)
    assert not any(capsys.readouterr())


def test_the_rule_of_the_caller_holds_in_layers_from_elsewhere():
    class Log(nn.Layer):
        def forward(self, x):
            return self.keep(np.log(x), x)

    with np.errstate(all="raise"), pytest.raises(FloatingPointError, match="divide by zero"):
        nn.Sequential(nn.ReLU(), Log()).forward(np.zeros((2, 3)))


INTERPRETED = """
import sys, numpy as np; sys.path.insert(0, sys.argv[1])
from test_seterr import everything
np.seterr(all="raise")
everything()
"""


def test_interpreted_kernels_follow_the_same_rule():
    code = [sys.executable, "-c", INTERPRETED, os.path.dirname(__file__)]
    subprocess.run(code, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, check=True)
