"""Sec. 3.3: Eq. (3) with a kernel k(d; phi) whose width is learnt, or follows the map to avoid aliasing.

Reads: sampler.py, kernels/. Read next: transformer.py.

Bilinear sampling reads four pixels, however far apart its points are. Where the map shrinks the image it misses the
pixels between the points, and the output is aliased. This file has two remedies: a kernel whose width is a parameter
(`KernelSampler`), and a width for each point that equals the local scale of the map (`AntialiasedSampler`).
"""

import numpy as np

from stn_ref import checks, kernels
from stn_ref.nn.layer import Layer, Param
from stn_ref.sampler import PIXEL_PADDINGS, check_cotangent, check_points

KERNELS = ("tent", "gaussian")


def _check_options(kernel: str, padding: str, backend: str) -> None:
    checks.one_of("kernel", kernel, KERNELS)
    checks.one_of("padding", padding, PIXEL_PADDINGS)
    checks.one_of("backend", backend, kernels.BACKENDS)


def _spread(phi: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return phi broadcast to one pair for each point, (N, Ho, Wo, 2)."""
    checks.floating("phi", phi, like=("points", points))
    if phi.shape not in ((2,), points.shape):
        raise checks.ShapeError(
            f"phi must be (2,), or one (phi_x, phi_y) for each point, {points.shape}; got shape {phi.shape}"
        )
    return np.broadcast_to(phi, points.shape)


def kernel_sample(
    U: np.ndarray,
    points: np.ndarray,
    phi: np.ndarray,
    *,
    kernel: str = "tent",
    padding: str = "zeros",
    backend: str = "cpu",
) -> np.ndarray:
    """Return the image sampled at points by Eq. (3) with a kernel of width phi.

        V[b,c,i,j] = sum_{n,m} U[b,c,n,m] k(x_s - m; phi_x) k(y_s - n; phi_y) / (K_x K_y)

        tent:     k(d; phi) = max(0, 1 - |d| / phi);  phi = 1 is bilinear sampling, except that pixels at distance phi
                  are multiplied by 0, so a NaN among them reaches V
        gaussian: k(d; phi) = exp(-d^2 / (2 phi^2)), cut off where it is below 2e-16

    K is the sum of k over all places along its axis, also those outside the image: a constant image stays constant.

    Args:
        U: (N, C, H, W) input feature map, float32 or float64.
        points: (N, Ho, Wo, 2) source points (x_s, y_s), pixels.
        phi: (2,), the widths (phi_x, phi_y) in pixels, or one pair for each point, (N, Ho, Wo, 2). The least width of
            a tent is 1, that of a Gaussian 0.1; the largest is the size of the image. A phi outside this range is
            clamped, and its gradient is 0.
        kernel: "tent" or "gaussian".
        padding: the values outside the image: "zeros", "border", "reflect" or "mirror", see `sample`. It extends the
            image and does not move the points.
        backend: "cpu", "vectorised" or "literal".

    Returns:
        V: (N, C, Ho, Wo), dtype of U. A NaN in a point or its phi gives NaN in all channels.

    Raises:
        TypeError, ShapeError, ValueError: as for `sample`; also for phi.

    Source: Jaderberg et al. 2015, Sec. 3.3, Eq. (3), where Phi_x and Phi_y are "the parameters of a generic sampling
    kernel". Deviation: the division by K is not in the paper.
    """
    _check_options(kernel, padding, backend)
    check_points(U, points)
    return kernels.get(backend).wide_forward(U, points, _spread(phi, points), kernel, padding)


def kernel_sample_backward(
    U: np.ndarray,
    points: np.ndarray,
    phi: np.ndarray,
    gV: np.ndarray,
    *,
    kernel: str = "tent",
    padding: str = "zeros",
    backend: str = "cpu",
    needs: bool | tuple[bool, bool, bool] = True,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the gradients (gU, gpoints, gphi) of `kernel_sample`, times gV and summed, shaped as U, points and phi.

        d/dphi (k / K) = (dk/dphi - (k / K) dK/dphi) / K,    and likewise for x_s

    The tent has a kink where a pixel lies at its end or in its middle. There the right derivative is taken.

    Args:
        U: (N, C, H, W), as for `kernel_sample`.
        points: (N, Ho, Wo, 2), pixels.
        phi: (2,) or (N, Ho, Wo, 2).
        gV: (N, C, Ho, Wo), dL/dV.
        kernel: "tent" or "gaussian".
        padding: as for `kernel_sample`.
        backend: "cpu", "vectorised" or "literal".
        needs: which of (gU, gpoints, gphi) to compute, one flag for each or one for all; the others are None.

    Raises:
        TypeError, ShapeError, ValueError: as for `kernel_sample`; also for gV.

    Source: Jaderberg et al. 2015, Sec. 3.3: Eqs. (6) and (7) for the kernel of Eq. (3).
    """
    _check_options(kernel, padding, backend)
    check_points(U, points)
    check_cotangent(U, points, gV)
    needs = checks.flags("needs", needs, ("U", "points", "phi"))
    wide = _spread(phi, points)
    gU, gpoints, gphi = kernels.get(backend).wide_backward(U, points, wide, gV, kernel, padding, needs)
    if gphi is not None and phi.shape == (2,):
        with np.errstate(all="ignore"):
            gphi = gphi.sum(axis=(0, 1, 2))  # one width for all points: the sum of their gradients
    return gU, gpoints, gphi


class KernelSampler(Layer):
    """Eq. (3) with a kernel of learnable width: forward(U, points) -> V, backward(gV) -> (gU, gpoints).

    Args:
        phi: the initial widths (phi_x, phi_y), pixels. They are the parameter `phi`, without weight decay.
        kernel: "tent" or "gaussian".
        padding: "zeros", "border", "reflect" or "mirror".
        backend: "cpu", "vectorised" or "literal".
        dtype: of phi.
        lr_scale: factor on the learning rate of phi.

    A tent narrower than 1 acts as one of width 1, and its gradient is 0: training does not widen it again.
    """

    def __init__(
        self,
        phi: tuple[float, float] = (1.0, 1.0),
        *,
        kernel: str = "tent",
        padding: str = "zeros",
        backend: str = "cpu",
        dtype=np.float32,
        lr_scale: float = 1.0,
    ):
        _check_options(kernel, padding, backend)
        if np.shape(phi) != (2,):
            raise checks.ShapeError(f"phi must be (2,), the widths (phi_x, phi_y); got {phi!r}")
        widest = float(np.finfo(np.float32).max)
        value = np.array([checks.between("phi", w, 0, widest) for w in phi], checks.float_dtype("dtype", dtype))
        self.phi = Param(value, decay=False, lr_scale=lr_scale)
        self.kernel, self.padding, self.backend = kernel, padding, backend

    def forward(self, U: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return V (N, C, Ho, Wo)."""
        check_points(U, points)
        phi = _spread(self.phi.value, points)
        V = kernels.get(self.backend).wide_forward(U, points, phi, self.kernel, self.padding)
        return self.keep(V, U, points, self.phi.value)

    def backward(
        self, gV: np.ndarray, needs: bool | tuple[bool, bool] = True
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return (gU, gpoints); add to phi.grad."""
        needs = checks.flags("needs", needs, ("U", "points"))
        gV, (U, points, phi) = self.take(gV)
        phi, backend = _spread(phi, points), kernels.get(self.backend)
        gU, gpoints, gphi = backend.wide_backward(U, points, phi, gV, self.kernel, self.padding, (*needs, True))
        with np.errstate(all="ignore"):
            self.phi.add(gphi.sum(axis=(0, 1, 2)))  # one width for all points: the sum of their gradients
        return gU, gpoints


def _difference(points: np.ndarray, axis: int) -> np.ndarray:
    """Return the derivative of the points along an axis: central differences, one-sided at the ends; 0 if alone."""
    p = np.moveaxis(points, axis, 0)
    d = np.zeros_like(p)
    if len(p) > 1:
        d[0], d[-1] = p[1] - p[0], p[-1] - p[-2]
        d[1:-1] = (p[2:] - p[:-2]) / 2
    d[~np.isfinite(d)] = 0  # a neighbour at infinity gives no difference
    return np.moveaxis(d, 0, axis)


def _difference_backward(gd: np.ndarray, axis: int) -> np.ndarray:
    """Return the gradient of the points, by the transpose of `_difference`."""
    gd = np.moveaxis(gd, axis, 0)
    gp = np.zeros_like(gd)
    if len(gd) > 1:
        gp[1] += gd[0]
        gp[0] -= gd[0]
        gp[-1] += gd[-1]
        gp[-2] -= gd[-1]
        gp[2:] += gd[1:-1] / 2
        gp[:-2] -= gd[1:-1] / 2
    return np.moveaxis(gp, 0, axis)


@np.errstate(all="ignore")
def footprint(points: np.ndarray) -> np.ndarray:
    """Return the local scale of a map: the number of pixels of U that one pixel of V covers, in x and in y.

        s_x = max(1, sqrt((dx_s/di)^2 + (dx_s/dj)^2)),   the same for y

    These are the row norms of the Jacobian. A rotation by any angle has s = 1, so it does not blur. A map that shrinks
    the image by 3 has s = 3. Where the map enlarges, s stays 1, the width of bilinear sampling.

    Args:
        points: (N, Ho, Wo, 2), pixels. The derivatives are differences between neighbours, exact for affine maps.

    Returns:
        s: (N, Ho, Wo, 2), at least 1.

    Raises:
        TypeError, ShapeError: points are not a float array (N, Ho, Wo, 2).
    """
    checks.floating("points", points)
    checks.shape("points", points, ("N", "Ho", "Wo", 2))
    return np.maximum(1, np.hypot(_difference(points, 1), _difference(points, 2)))


@np.errstate(all="ignore")
def footprint_backward(points: np.ndarray, gs: np.ndarray) -> np.ndarray:
    """Return the gradient (N, Ho, Wo, 2) of sum(gs * footprint(points)) for the points; gs: (N, Ho, Wo, 2).

    The scale of a point contributes nothing where it is clamped to 1, or where the point is not finite: a point that is
    not finite affects only its own sample.
    """
    di, dj = _difference(points, 1), _difference(points, 2)
    s = np.hypot(di, dj)
    g = np.where((s > 1) & np.isfinite(points).all(-1, keepdims=True), gs / np.maximum(s, 1), 0)
    return _difference_backward(g * di, 1) + _difference_backward(g * dj, 2)


class AntialiasedSampler(Layer):
    """Eq. (3) with a tent whose width is the local scale: forward(U, points) -> V, backward(gV) -> (gU, gpoints).

        V = kernel_sample(U, points, footprint(points))

    The gradient of the points has two terms: one through the place of a point and one through its width. Where the map
    does not shrink this is bilinear sampling; at the identity V equals U exactly. A point that covers s x s pixels
    costs about as much as s^2 bilinear points. A single neighbour far away makes the width that of the image.

    Args:
        padding: "zeros", "border", "reflect" or "mirror".
        backend: "cpu", "vectorised" or "literal".

    Source: the width of the filter follows the derivatives of the map, as in texture mapping (Heckbert 1989). Here it
    is measured only along the axes of the image, because Eq. (3) is separable.
    """

    def __init__(self, *, padding: str = "zeros", backend: str = "cpu"):
        _check_options("tent", padding, backend)
        self.padding, self.backend = padding, backend

    def forward(self, U: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return V (N, C, Ho, Wo)."""
        check_points(U, points)
        V = kernels.get(self.backend).wide_forward(U, points, footprint(points), "tent", self.padding)
        return self.keep(V, U, points)

    def backward(
        self, gV: np.ndarray, needs: bool | tuple[bool, bool] = True
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return (gU, gpoints)."""
        needs = checks.flags("needs", needs, ("U", "points"))
        gV, (U, points) = self.take(gV)
        backend, needs_all = kernels.get(self.backend), (needs[0], needs[1], needs[1])
        gU, gpoints, gs = backend.wide_backward(U, points, footprint(points), gV, "tent", self.padding, needs_all)
        with np.errstate(all="ignore"):
            return gU, (gpoints + footprint_backward(points, gs) if needs[1] else None)
