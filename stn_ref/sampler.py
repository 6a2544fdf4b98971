"""Sec. 3.3: differentiable image sampling (Eqs. 3-7).

Reads: kernels/, coordinates.py. Read next: transformer.py.
"""

import numpy as np

from stn_ref import checks, coordinates, kernels
from stn_ref.nn.layer import Layer

MODES = ("bilinear",)
PADDINGS = ("zeros",)
KINKS = ("right",)


def _check(U: np.ndarray, points: np.ndarray, name: str) -> None:
    checks.floating("U", U)
    checks.floating(name, points, like=("U", U))
    checks.shape("U", U, ("N", "C", "H", "W"))
    checks.not_empty("U", U, ("N", "C", "H", "W"), "H", "W")
    checks.shape(name, points, ("N", "Ho", "Wo", 2), N=(U.shape[0], "U"))


def _check_cotangent(U: np.ndarray, points: np.ndarray, gV: np.ndarray) -> None:
    checks.floating("gV", gV, like=("U", U))
    known = {"N": (U.shape[0], "U"), "C": (U.shape[1], "U")}
    known |= {"Ho": (points.shape[1], "the grid"), "Wo": (points.shape[2], "the grid")}
    checks.shape("gV", gV, ("N", "C", "Ho", "Wo"), **known)


def sample(U: np.ndarray, points: np.ndarray, *, backend: str = "cpu") -> np.ndarray:
    """Bilinear sampling, Eq. (5).

        V[b,c,i,j] = sum_{n,m} U[b,c,n,m] hat(x_s - m) hat(y_s - n),   hat(d) = max(0, 1 - |d|)

    Args:
        U: (N, C, H, W) input feature map, float32 or float64.
        points: (N, Ho, Wo, 2) source points (x_s, y_s), pixels; (0, 0) is the centre of U[..., 0, 0].
        backend: "cpu" (Numba), "vectorised" (NumPy) or "literal" (the sum above, in slow loops).

    Returns:
        V: (N, C, Ho, Wo), dtype of U. Outside the image the sum is empty: V fades to 0 over one pixel. A NaN
        coordinate gives NaN in all channels; an infinite one is outside.

    Raises:
        TypeError: U is not float32 or float64, or points of another dtype.
        ShapeError: axes disagree, or H or W is 0.

    Source: Jaderberg et al. 2015, Sec. 3.3.
    """
    _check(U, points, "points")
    return kernels.get(backend).sample_forward(U, points)


def sample_backward(
    U: np.ndarray, points: np.ndarray, gV: np.ndarray, *, backend: str = "cpu", needs: tuple[bool, bool] = (True, True)
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Gradients of `sample`, Eqs. (6) and (7), times gV and summed.

        gU[b,c,n,m] = sum_{i,j} gV[b,c,i,j] hat(x_s - m) hat(y_s - n)
        gx_s[b,i,j] = sum_c gV[b,c,i,j] sum_{n,m} U[b,c,n,m] hat'(x_s - m) hat(y_s - n)

    Args:
        U: as for `sample`.
        points: as for `sample`.
        gV: (N, C, Ho, Wo), dL/dV.
        backend: as for `sample`.
        needs: which of (gU, gpoints) are wanted; the other is None and, except with "literal", costs nothing.

    Returns:
        (gU, gpoints), shaped as U and points. A NaN coordinate gives gpoints = NaN and adds nothing to gU.

    Raises:
        TypeError, ShapeError: as for `sample`; also for gV.

    Deviation: at integer x_s the right derivative is taken, that of the cell [x_s, x_s + 1). Eq. (7) as printed gives
    U[n, m] there, which is neither one-sided derivative: a constant image would have a slope.
    """
    _check(U, points, "points")
    _check_cotangent(U, points, gV)
    return kernels.get(backend).sample_backward(U, points, gV, needs)


class Sampler(Layer):
    """Eq. (5) as a layer with two inputs: forward(U, points) -> V, backward(gV) -> (gU, gpoints).

    Args:
        backend: "cpu", "vectorised" or "literal".
    """

    def __init__(self, *, backend: str = "cpu"):
        checks.one_of("backend", backend, kernels.BACKENDS)
        self.backend = backend

    def forward(self, U: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return V (N, C, Ho, Wo)."""
        return self.keep(sample(U, points, backend=self.backend), U, points)

    def backward(
        self, gV: np.ndarray, needs: bool | tuple[bool, bool] = True
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return (gU, gpoints)."""
        gV, (U, points) = self.take(gV)
        needs = (needs, needs) if isinstance(needs, (bool, np.bool_)) else tuple(needs)
        if len(needs) != 2:
            raise ValueError(f"needs must be a flag, or one each for U and points; got {needs!r}")
        return sample_backward(U, points, gV, backend=self.backend, needs=needs)


def _check_options(mode: str, padding_mode: str, align_corners: bool, kink: str = "right") -> None:
    checks.one_of("mode", mode, MODES)
    checks.one_of("padding_mode", padding_mode, PADDINGS)
    checks.one_of("kink", kink, KINKS)
    checks.flag("align_corners", align_corners)


def grid_sample(
    U: np.ndarray,
    grid: np.ndarray,
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool = False,
    backend: str = "cpu",
) -> np.ndarray:
    """Sample U at normalised points; torch.nn.functional.grid_sample.

    The points are taken to pixels (coordinates.py), then Eq. (5): see `sample`.

    Args:
        U: (N, C, H, W) input feature map, float32 or float64.
        grid: (N, Ho, Wo, 2) source points, normalised, last axis (x, y), dtype of U.
        mode: "bilinear".
        padding_mode: "zeros".
        align_corners: False: -1 and 1 are the outer edges of the image; True: the centres of its corner pixels.
        backend: "cpu", "vectorised" or "literal".

    Returns:
        V: (N, C, Ho, Wo), dtype of U.

    Raises:
        TypeError: U is not float32 or float64, or grid of another dtype.
        ShapeError: axes disagree, or H or W is 0.
        ValueError: an option that is not supported; the message names those that are.

    Source: Jaderberg et al. 2015, Sec. 3.3.

    >>> grid_sample(np.array([[[[1.0, 3.0]]]]), np.zeros((1, 1, 1, 2))).tolist()
    [[[[2.0]]]]
    """
    _check_options(mode, padding_mode, align_corners)
    _check(U, grid, "grid")
    points = coordinates.to_pixels(grid, U.shape[2:], align_corners)
    return kernels.get(backend).sample_forward(U, points)


def grid_sample_backward(
    U: np.ndarray,
    grid: np.ndarray,
    gV: np.ndarray,
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool = False,
    backend: str = "cpu",
    kink: str = "right",
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of `grid_sample`, Eqs. (6) and (7) and the chain factor of normalised coordinates.

    Args:
        U: as for `grid_sample`, and so are grid, mode, padding_mode, align_corners and backend.
        grid: (N, Ho, Wo, 2).
        gV: (N, C, Ho, Wo), dL/dV.
        mode: "bilinear".
        padding_mode: "zeros".
        align_corners: the convention.
        backend: "cpu", "vectorised" or "literal".
        kink: "right": at an integer x_s, the slope of the cell on its right.

    Returns:
        (gU, ggrid), shaped as U and grid.

    Raises:
        TypeError, ShapeError, ValueError: as for `grid_sample`; also for gV and kink.

    Source: Jaderberg et al. 2015, Sec. 3.3. Deviation at kinks: see `sample_backward`.
    """
    _check_options(mode, padding_mode, align_corners, kink)
    _check(U, grid, "grid")
    _check_cotangent(U, grid, gV)
    points = coordinates.to_pixels(grid, U.shape[2:], align_corners)
    gU, gpoints = kernels.get(backend).sample_backward(U, points, gV)
    return gU, coordinates.to_pixels_backward(gpoints, U.shape[2:], align_corners)
