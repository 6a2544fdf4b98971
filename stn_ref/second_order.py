"""Beyond Sec. 3.3: forward mode and second order of grid_sample.

Reads: sampler.py, kernels/. Read next: transformer.py.

The backward goes from a loss to its gradients. Two questions need more:

    grid_sample_jvp              How does V change, if U and the grid change? (One pass, without a loss.)
    grid_sample_double_backward  How does a loss on the gradients change? (Gradient penalties, Newton's method.)

In the formulas n runs over the taps of a point. w_n is the weight of a tap, d_x w_n and so on are its derivatives for
the point in pixels, and u_n and h_n are the taps of U and of its tangent. The point moves by (dx, dy) pixels:
dx = s_x pi_x dgrid_x, with the chain factor s_x of coordinates.py and the slope pi_x of the padding.
"""

import numpy as np

from stn_ref import checks, coordinates, kernels
from stn_ref.sampler import check_cotangent, check_options, check_points, pixel_padding


def grid_sample_jvp(
    U: np.ndarray,
    grid: np.ndarray,
    dU: np.ndarray | None,
    dgrid: np.ndarray | None,
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool = False,
    backend: str = "cpu",
    kink: str = "right",
    a: float = -0.75,
    ties: str = "even",
) -> np.ndarray:
    """Return dV, the change of V = grid_sample(U, grid) as U changes by dU and grid by dgrid: forward mode.

        dV[b,c,i,j] = sum_n w_n dU_n + (dx d_x w_n + dy d_y w_n) U_n

    It is the Jacobian times (dU, dgrid), and the transpose of `grid_sample_backward`: <gV, dV> = <gU, dU> +
    <ggrid, dgrid> for every gV. (JVP: Jacobian-vector product.)

    Args:
        U: (N, C, H, W), as for `grid_sample`.
        grid: (N, Ho, Wo, 2), normalised.
        dU: (N, C, H, W), the tangent of U. None means zeros.
        dgrid: (N, Ho, Wo, 2), the tangent of grid, normalised. None means zeros.
        mode: "bilinear", "nearest" or "bicubic". With nearest V moves only in jumps, so dgrid has no effect.
        padding_mode: "zeros", "border" or "reflection".
        align_corners: the convention of the grid.
        backend: "cpu", "vectorised" or "literal".
        kink: the slope at an integer x_s, as for `grid_sample_backward`.
        a: Keys' parameter, used only by bicubic.
        ties: as for `grid_sample`.

    Returns:
        dV: (N, C, Ho, Wo), dtype of U. A NaN coordinate gives NaN. Where dx = 0, the term of dx is 0 for any pixels: on
        a flat border, and where dgrid is 0. A tap outside the image multiplies nothing.

    Raises:
        TypeError, ShapeError, ValueError: as for `grid_sample`; also for dU and dgrid.
        NotImplementedError: backend is "cuda" or "cuda_atomic".

    Source: Eqs. (3) to (7) of Jaderberg et al. 2015, differentiated. Deviation at kinks: see `sample_backward`.

    >>> ramp = np.array([[[[0.0, 1.0, 2.0, 3.0]]]])  # a step of 0.5 is a quarter of the width: one pixel
    >>> float(grid_sample_jvp(ramp, np.zeros((1, 1, 1, 2)), None, np.array([[[[0.5, 0.0]]]])).item())
    1.0
    """
    padding = pixel_padding(padding_mode, align_corners)
    check_options(mode, padding, a, backend, kink, ties)
    kernel = kernels.second(backend)
    check_points(U, grid, "grid")
    dU, dgrid = checks.tangent("dU", dU, "U", U), checks.tangent("dgrid", dgrid, "grid", grid)
    unit = coordinates.unit(U.shape[2:], align_corners, U.dtype)
    return kernel.sample_jvp(U, grid, dU, dgrid, mode, padding, kink, a, unit, ties)


def grid_sample_double_backward(
    U: np.ndarray,
    grid: np.ndarray,
    gV: np.ndarray | None,
    hU: np.ndarray | None,
    hgrid: np.ndarray | None,
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool = False,
    backend: str = "cpu",
    kink: str = "right",
    a: float = -0.75,
    ties: str = "even",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of <gU, hU> + <ggrid, hgrid> for gV, U and grid, where (gU, ggrid) is the backward's result.

        gV2[b,c,i,j] = sum_n w_n h_n + (dx d_x w_n + dy d_y w_n) u_n          the JVP along (hU, hgrid)
        gU2[n]       = sum over points of gV (dx d_x w_n + dy d_y w_n)
        ggrid2_x     = s_x pi_x sum_c gV sum_n d_x w_n h_n + (dx d_xx w_n + dy d_xy w_n) u_n,   ggrid2_y likewise

    A loss on gradients, such as a gradient penalty |ggrid|^2, has the gradient hgrid = 2 ggrid for ggrid; this function
    passes it on. With hU = None and hgrid = v, ggrid2 is the Hessian of <gV, V> for the grid, times v: Newton's method.

    Args:
        U: (N, C, H, W), as for `grid_sample`.
        grid: (N, Ho, Wo, 2), normalised.
        gV: (N, C, Ho, Wo), the cotangent that the backward took. None means zeros.
        hU: (N, C, H, W), the gradient of the loss for gU. None means zeros.
        hgrid: (N, Ho, Wo, 2), the gradient of the loss for ggrid. None means zeros.
        mode: "bilinear", "nearest" or "bicubic". With nearest, only gV2 can differ from 0.
        padding_mode: "zeros", "border" or "reflection".
        align_corners: the convention of the grid.
        backend: "cpu", "vectorised" or "literal".
        kink: the side at an integer x_s, as for `grid_sample_backward`. Bilinear has d_xx = 0 inside a cell; at a kink
            the jump of its slope is left out. Bicubic has no kink, but its d_xx jumps at pixels: kink names the side.
        a: Keys' parameter, used only by bicubic.
        ties: as for `grid_sample`.

    Returns:
        (gV2, gU2, ggrid2), shaped as gV, U and grid. A NaN coordinate gives NaN in gV2 and ggrid2 and adds nothing to
        gU2. Where the padding is flat, or dx = 0, the terms are 0 for any pixels, as for `grid_sample_jvp`.

    Raises:
        TypeError, ShapeError, ValueError: as for `grid_sample_backward`; also for hU and hgrid.
        NotImplementedError: backend is "cuda" or "cuda_atomic".

    Source: Eqs. (6) and (7) of Jaderberg et al. 2015, differentiated again. It equals PyTorch's double backward.
    Deviation: PyTorch gives NaN where an infinite pixel lies under a tap that its padding drops.

    >>> saddle = np.array([[[[0.0, 0.0], [0.0, 1.0]]]])  # V = x_s y_s, a pixel is one unit of the grid: d_xy = 1
    >>> one, right = np.ones((1, 1, 1, 1)), np.array([[[[1.0, 0.0]]]])
    >>> grid_sample_double_backward(saddle, np.zeros((1, 1, 1, 2)), one, None, right)[2].tolist()
    [[[[0.0, 1.0]]]]
    """
    padding = pixel_padding(padding_mode, align_corners)
    check_options(mode, padding, a, backend, kink, ties)
    kernel = kernels.second(backend)
    check_points(U, grid, "grid")
    gV = np.zeros((*U.shape[:2], *grid.shape[1:3]), U.dtype) if gV is None else gV
    check_cotangent(U, grid, gV, "grid")
    hU, hgrid = checks.tangent("hU", hU, "U", U), checks.tangent("hgrid", hgrid, "grid", grid)
    unit = coordinates.unit(U.shape[2:], align_corners, U.dtype)
    return kernel.sample_double_backward(U, grid, gV, hU, hgrid, mode, padding, kink, a, unit, ties)
