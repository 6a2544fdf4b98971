"""Samplers of other libraries as f, g and h of this package: only names and axes are translated.

No result is corrected, clamped or cast. Libraries that take pixel coordinates get them from coordinates.py. Each
function imports its library when it is called.
"""

import contextlib
from collections.abc import Callable, Iterator

import numpy as np

from stn_ref import coordinates
from stn_ref.sampler import pixel_padding


def _name(kind: str, wanted, names: dict):
    """Return the library's name for `wanted`; raise NotImplementedError if it offers no equivalent."""
    if wanted not in names:
        raise NotImplementedError(f"{kind}={wanted!r} is not offered; only {', '.join(map(repr, names))}")
    return names[wanted]


def _pixels(U: np.ndarray, grid: np.ndarray, align_corners: bool) -> np.ndarray:
    return coordinates.to_pixels(grid, U.shape[2:], align_corners)


def _plane_by_plane(sample: Callable, U: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return V from sample(plane (H, W), x (Ho, Wo), y (Ho, Wo)) -> (Ho, Wo), in the dtype that it returns."""
    x, y = points[..., 0], points[..., 1]
    planes = [sample(plane, x[b], y[b]) for b, image in enumerate(U) for plane in image]
    shape = (*U.shape[:2], *points.shape[1:3])
    return np.stack(planes).reshape(shape) if planes else np.empty(shape, U.dtype)


# PyTorch: torch.nn.functional.grid_sample, whose interface all the others get.


def _tensors(*arrays: np.ndarray) -> list:
    import torch

    return [torch.from_numpy(np.array(array, order="C")) for array in arrays]  # a copy: torch refuses some strides


def _autograd(forward: Callable, *inputs: np.ndarray, gV: np.ndarray) -> list[np.ndarray]:
    import torch

    *leaves, gV = _tensors(*inputs, gV)
    for leaf in leaves:
        leaf.requires_grad_()
    return [g.numpy() for g in torch.autograd.grad(forward(*leaves), leaves, gV)]


def pytorch(U, grid, **options):
    """Return V of torch.nn.functional.grid_sample on the CPU."""
    from torch.nn.functional import grid_sample

    return grid_sample(*_tensors(U, grid), **options).numpy()


def pytorch_backward(U, grid, gV, **options):
    """Return the gradients of `pytorch`, computed by autograd."""
    from torch.nn.functional import grid_sample

    return tuple(_autograd(lambda U, grid: grid_sample(U, grid, **options), U, grid, gV=gV))


# Kornia: remap, in pixels, its default unit.


def _kornia_remap(mode: str, padding_mode: str, align_corners: bool) -> Callable:
    from kornia.geometry.transform import remap

    _name("mode", mode, {"bilinear": 1, "nearest": 0})
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    return lambda U, points: remap(U, points[..., 0], points[..., 1], **options)


def kornia(U, grid, *, mode, padding_mode, align_corners):
    """Return V of kornia.geometry.transform.remap on the CPU, called in pixels."""
    remap = _kornia_remap(mode, padding_mode, align_corners)
    return remap(*_tensors(U, _pixels(U, grid, align_corners))).numpy()


def kornia_backward(U, grid, gV, *, mode, padding_mode, align_corners):
    """Return the gradients of `kornia`, computed by autograd."""
    remap = _kornia_remap(mode, padding_mode, align_corners)
    gU, gpoints = _autograd(remap, U, _pixels(U, grid, align_corners), gV=gV)
    return gU, coordinates.to_pixels_backward(gpoints, U.shape[2:], align_corners)


def kornia_tps(control_points, destinations, xy):
    """Return xy mapped by kornia's get_tps_transform and warp_points_tps, combined as their docstrings say."""
    from kornia.geometry.transform import get_tps_transform, warp_points_tps

    control_points, destinations, xy = (tensor[None] for tensor in _tensors(control_points, destinations, xy))
    weights = get_tps_transform(control_points, destinations)
    return warp_points_tps(xy, destinations, *weights)[0].numpy()  # the kernels' centres are the second argument


# SciPy: map_coordinates. Its order 3 is a spline through the pixels, which is not Keys' cubic convolution.

ORDERS = {"nearest": 0, "bilinear": 1}


def scipy(U, grid, *, mode, padding_mode, align_corners):
    """Return V of scipy.ndimage.map_coordinates, plane by plane."""
    from scipy.ndimage import map_coordinates

    names = {"zeros": "grid-constant", "border": "nearest", "reflect": "reflect", "mirror": "mirror"}
    extension = _name("padding_mode", pixel_padding(padding_mode, align_corners), names)
    order = _name("mode", mode, ORDERS)
    return _plane_by_plane(
        lambda plane, x, y: map_coordinates(plane, [y, x], order=order, mode=extension),
        U,
        _pixels(U, grid, align_corners),
    )


def scipy_tps(control_points, destinations, xy):
    """Return xy mapped by scipy.interpolate.RBFInterpolator with the thin-plate kernel."""
    from scipy.interpolate import RBFInterpolator

    return RBFInterpolator(control_points, destinations, kernel="thin_plate_spline", degree=1)(xy)


# scikit-image: warp with an array of coordinates. Its order 3 is a spline, too.


def skimage(U, grid, *, mode, padding_mode, align_corners):
    """Return V of skimage.transform.warp, plane by plane."""
    from skimage.transform import warp

    names = {"zeros": "constant", "border": "edge", "reflect": "symmetric", "mirror": "reflect"}
    extension = _name("padding_mode", pixel_padding(padding_mode, align_corners), names)
    options = {"order": _name("mode", mode, ORDERS), "mode": extension, "clip": False, "preserve_range": True}
    return _plane_by_plane(
        lambda plane, x, y: warp(plane, np.stack([y, x]), **options), U, _pixels(U, grid, align_corners)
    )


def skimage_tps(control_points, destinations, xy):
    """Return xy mapped by skimage.transform.ThinPlateSplineTransform."""
    from skimage.transform import ThinPlateSplineTransform

    if hasattr(ThinPlateSplineTransform, "from_estimate"):  # from 0.26 on
        return ThinPlateSplineTransform.from_estimate(control_points, destinations)(xy)
    spline = ThinPlateSplineTransform()
    spline.estimate(control_points, destinations)
    return spline(xy)


# OpenCV: remap, whose coordinate maps are float32 for images of every dtype.


def opencv(U, grid, *, mode, padding_mode, align_corners):
    """Return V of cv2.remap, plane by plane."""
    import cv2

    flags = {"bilinear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST, "bicubic": cv2.INTER_CUBIC}
    flag = _name("mode", mode, flags)
    borders = {"zeros": cv2.BORDER_CONSTANT, "border": cv2.BORDER_REPLICATE}
    borders |= {"reflect": cv2.BORDER_REFLECT, "mirror": cv2.BORDER_REFLECT_101}
    border = _name("padding_mode", pixel_padding(padding_mode, align_corners), borders)
    with np.errstate(over="ignore"):
        points = _pixels(U, grid, align_corners).astype(np.float32)
    return _plane_by_plane(lambda plane, x, y: cv2.remap(plane, x, y, flag, borderMode=border), U, points)


# JAX: map_coordinates again, with gradients.


@contextlib.contextmanager
def _jax_precision(dtype) -> Iterator:
    """Return a context with jax in 64-bit mode if dtype is float64; on exit, restore the configuration of jax."""
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", dtype == np.float64)
    try:
        yield jax
    finally:
        jax.config.update("jax_enable_x64", before)


def _jax_sample(jax, mode: str, padding_mode: str, align_corners: bool) -> Callable:
    names = {"zeros": "constant", "border": "nearest", "reflect": "reflect", "mirror": "mirror"}
    extension = _name("padding_mode", pixel_padding(padding_mode, align_corners), names)
    order = _name("mode", mode, ORDERS)

    def plane(U, points):
        at = [points[..., 1], points[..., 0]]
        return jax.scipy.ndimage.map_coordinates(U, at, order=order, mode=extension)

    return jax.vmap(jax.vmap(plane, (0, None)))  # over the images, and over the channels at the same points


def jax(U, grid, *, mode, padding_mode, align_corners):
    """Return V of jax.scipy.ndimage.map_coordinates."""
    with _jax_precision(U.dtype) as jax:
        return np.asarray(_jax_sample(jax, mode, padding_mode, align_corners)(U, _pixels(U, grid, align_corners)))


def jax_backward(U, grid, gV, *, mode, padding_mode, align_corners):
    """Return the gradients of `jax`, computed by jax.vjp."""
    with _jax_precision(U.dtype) as jax:
        sample = _jax_sample(jax, mode, padding_mode, align_corners)
        _, pullback = jax.vjp(sample, U, _pixels(U, grid, align_corners))
        gU, gpoints = (np.asarray(g) for g in pullback(jax.numpy.asarray(gV)))
    return gU, coordinates.to_pixels_backward(gpoints, U.shape[2:], align_corners)
