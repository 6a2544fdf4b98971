"""Finite differences for the tests of nn/, independent of stn_ref.gradcheck, so that no test relies on it."""

import numpy as np


def relative(a, n):
    """max|a - n| / max(|a|, |n|)."""
    scale = max(np.abs(a).max(initial=0), np.abs(n).max(initial=0))
    return 0.0 if scale == 0 else np.abs(a - n).max() / scale


def slopes(f, array, h=1e-5):
    """Central differences of the number f() in each element of `array`, which is changed in place and restored."""
    n = np.empty(array.shape)
    for k in np.ndindex(array.shape):
        before = array[k]
        array[k] = before + h
        right = f()
        array[k] = before - h
        n[k] = (right - f()) / (2 * h)
        array[k] = before
    return n


def gradient_errors(layer, x, rng):
    """Relative error of the gradient of x and of each Param, for a random cotangent; float64."""
    gy = rng.standard_normal(layer.forward(x).shape)
    layer.zero_grad()
    gx = layer.backward(gy)
    layer.eval()

    def f():
        return float((layer.forward(x) * gy).sum())

    errors = {"x": relative(gx, slopes(f, x))}
    for name, param in layer.named_params():
        errors[name] = relative(param.grad, slopes(f, param.value))
    layer.train()
    return errors
