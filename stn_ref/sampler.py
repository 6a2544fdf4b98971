"""Sec. 3.3: differentiable image sampling (Eqs. 3-7).

Reads: kernels/, coordinates.py. Read next: transformer.py.
"""

import numpy as np

from stn_ref import checks, coordinates, kernels
from stn_ref.nn.layer import Layer

MODES = ("bilinear", "nearest", "bicubic")
PADDING_MODES = ("zeros", "border", "reflection")  # of grid_sample, with PyTorch's names
PIXEL_PADDINGS = kernels.PADDINGS  # of sample
KINKS = kernels.KINKS
TIES = kernels.TIES


def pixel_padding(padding_mode: str, align_corners: bool) -> str:
    """Return the padding in pixels: "reflection" reflects at -1 and 1, the edges or centres of the outer pixels.

    >>> pixel_padding("reflection", align_corners=False), pixel_padding("reflection", align_corners=True)
    ('reflect', 'mirror')
    """
    checks.one_of("padding_mode", padding_mode, PADDING_MODES)
    checks.flag("align_corners", align_corners)
    if padding_mode == "reflection":
        return "mirror" if align_corners else "reflect"
    return padding_mode


def check_points(U: np.ndarray, points: np.ndarray, name: str = "points", backend: str = "cpu") -> None:
    """Raise unless U is (N, C, H, W), H and W > 0, and points are (N, Ho, Wo, 2) of its dtype; `name` names points."""
    gpu = backend in kernels.CUDA_BACKENDS
    checks.floating("U", U, gpu=gpu)
    checks.floating(name, points, like=("U", U), gpu=gpu)
    checks.shape("U", U, ("N", "C", "H", "W"))
    checks.not_empty("U", U, ("N", "C", "H", "W"), "H", "W")
    checks.shape(name, points, ("N", "Ho", "Wo", 2), N=(U.shape[0], "U"))


def check_cotangent(
    U: np.ndarray, points: np.ndarray, gV: np.ndarray, name: str = "points", backend: str = "cpu"
) -> None:
    """Raise unless gV is (N, C, Ho, Wo), of the dtype of U."""
    checks.floating("gV", gV, like=("U", U), gpu=backend in kernels.CUDA_BACKENDS)
    known = {"N": (U.shape[0], "U"), "C": (U.shape[1], "U")}
    known |= {"Ho": (points.shape[1], name), "Wo": (points.shape[2], name)}
    checks.shape("gV", gV, ("N", "C", "Ho", "Wo"), **known)


def check_options(mode: str, padding: str, a: float, backend: str, kink: str = "right", ties: str = "even") -> None:
    """Raise ValueError unless every option of the samplers is supported."""
    checks.one_of("mode", mode, MODES)
    checks.one_of("padding", padding, PIXEL_PADDINGS)
    checks.one_of("kink", kink, KINKS)
    checks.one_of("ties", ties, TIES)
    checks.between("a", a, -100, 100)
    checks.one_of("backend", backend, kernels.ALL_BACKENDS)
    if kink == "as_printed" and (mode, padding) != ("bilinear", "zeros"):
        raise ValueError(f"kink 'as_printed' is Eq. (7), bilinear with zeros outside; got {mode!r} with {padding!r}")


def sample(
    U: np.ndarray,
    points: np.ndarray,
    *,
    mode: str = "bilinear",
    padding: str = "zeros",
    a: float = -0.75,
    backend: str = "cpu",
    ties: str = "even",
) -> np.ndarray:
    """Return the image sampled at points in pixels, Eq. (3).

        V[b,c,i,j] = sum_{n,m} U[b,c,n,m] k(x_s - m) k(y_s - n)

        bilinear, Eq. (5): k(d) = max(0, 1 - |d|)
        nearest,  Eq. (4): k(d) = 1 at the nearest pixel; of two at equal distance, the one that `ties` chooses
        bicubic:           Keys' kernel, see scalar_math.cubic

    Args:
        U: (N, C, H, W) input feature map, float32 or float64.
        points: (N, Ho, Wo, 2) source points (x_s, y_s), pixels; (0, 0) is the centre of U[..., 0, 0].
        mode: "bilinear", "nearest" or "bicubic".
        padding: the values outside the image. "zeros": 0. "border": the outermost pixels are repeated. "reflect": the
            image is reflected at the outer edges of the outer pixels, -1/2 and W - 1/2. "mirror": it is reflected at
            their centres, 0 and W - 1.
        a: Keys' parameter, used only by bicubic, between -100 and 100. PyTorch uses -0.75; -0.5 (Catmull-Rom)
            reproduces parabolas.
        backend: "cpu" (Numba), "vectorised" (NumPy) or "literal" (the sum above, in slow loops). On an NVIDIA GPU, for
            bilinear and nearest: "cuda" or "cuda_atomic", which differ only in the gradient of U, see
            `sample_backward`. These two take NumPy arrays, or GPU arrays (any object with `__cuda_array_interface__`)
            and then return GPU arrays, see kernels/cuda/arrays.py.
        ties: the pixel half-way between two, used only by nearest. "even": the even one. "up": the one to the right or
            below, Eq. (4) as printed, floor(x_s + 1/2). With reflection, this refers to the reflected coordinate.

    Returns:
        V: (N, C, Ho, Wo), dtype of U. With zeros the sum is empty far outside the image, and V fades to 0 over one
        pixel (bilinear). A NaN coordinate gives NaN in all channels. An infinite coordinate is outside the image: V is
        0 or, with the other paddings, the sample at the edge on that side.

    Raises:
        TypeError: U is not float32 or float64, or points have another dtype.
        ShapeError: axes disagree, or H or W is 0.
        ValueError: an option is not supported; the message lists the supported ones.
        ImportError, DeviceError, MemoryError: on a GPU; the message says what to install or change.

    Source: Jaderberg et al. 2015, Sec. 3.3; Keys 1981. Deviation: Eq. (4) rounds halves up; by default,
    `sample` rounds them to even, as PyTorch does.
    """
    check_options(mode, padding, a, backend, ties=ties)
    if backend in kernels.CUDA_BACKENDS:
        U, points = kernels.get(backend).take(U=U, points=points)
    check_points(U, points, "points", backend)
    return kernels.get(backend).sample_forward(U, points, mode, padding, a, ties=ties)


def sample_backward(
    U: np.ndarray,
    points: np.ndarray,
    gV: np.ndarray,
    *,
    mode: str = "bilinear",
    padding: str = "zeros",
    kink: str = "right",
    a: float = -0.75,
    backend: str = "cpu",
    needs: bool | tuple[bool, bool] = True,
    ties: str = "even",
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the gradients of `sample`, Eqs. (6) and (7), times gV and summed.

        gU[b,c,n,m] = sum_{i,j} gV[b,c,i,j] k(x_s - m) k(y_s - n)
        gx_s[b,i,j] = sum_c gV[b,c,i,j] sum_{n,m} U[b,c,n,m] k'(x' - m) k(y' - n) dx'/dx_s,   gy_s likewise

    (x', y') is the point after the padding has moved it into the image; with zeros it is (x_s, y_s) itself.

    Args:
        U: (N, C, H, W), as for `sample`.
        points: (N, Ho, Wo, 2), pixels.
        gV: (N, C, Ho, Wo), dL/dV.
        mode: as for `sample`. Only bilinear has kinks; the slope of nearest is 0.
        padding: as for `sample`. Its slope dx'/dx_s is 0 where x_s was clamped or x' lies on the border itself (0 or
            W - 1), and -1 where the image is reversed.
        kink: the slope at an integer x_s. "right": that of the cell [x_s, x_s + 1); "left": that of the cell before;
            "central": their mean; "as_printed": Eq. (7) taken literally, U[n, x_s], which is wrong, for teaching.
            With reflection, right and left refer to the reflected coordinate x'.
        a: Keys' parameter, as for `sample`.
        backend: as for `sample`. "cuda" sums gU in a fixed order and gives the same bits in every run. "cuda_atomic"
            sums in any order, without the cost in memory and sorting, see kernels/cuda/lists.py.
        needs: which of (gU, gpoints) to compute, one flag for each or one for both. The others are None and, except
            with "literal", cost no time.
        ties: as for `sample`.

    Returns:
        (gU, gpoints), shaped as U and points. A NaN coordinate gives gpoints = NaN and adds nothing to gU. Where the
        slope of the padding is 0, gpoints is 0 for any pixels.

    Raises:
        TypeError, ShapeError, ValueError: as for `sample`; also for gV, and for "as_printed" with any mode but
            bilinear or any padding but zeros.

    Source: Jaderberg et al. 2015, Sec. 3.3. Deviation: Eq. (7) as printed gives U[n, m] at an integer x_s = m. This is
    neither one-sided derivative: on a constant image of 5 it gives the slope 5, on a ramp U[n, m] = m the slope x_s
    instead of 1 (scalar_math.py has the proof).
    """
    check_options(mode, padding, a, backend, kink, ties)
    if backend in kernels.CUDA_BACKENDS:
        U, points, gV = kernels.get(backend).take(U=U, points=points, gV=gV)
    check_points(U, points, "points", backend)
    check_cotangent(U, points, gV, "points", backend)
    needs = checks.flags("needs", needs, ("U", "points"))
    return kernels.get(backend).sample_backward(U, points, gV, mode, padding, kink, a, needs, ties=ties)


class Sampler(Layer):
    """Eq. (3) as a layer with two inputs: forward(U, points) -> V, backward(gV) -> (gU, gpoints).

    Args:
        mode: "bilinear", "nearest" or "bicubic".
        padding: "zeros", "border", "reflect" or "mirror", see `sample`.
        kink: "right", "left", "central" or "as_printed", see `sample_backward`.
        a: Keys' parameter, used only by bicubic.
        backend: "cpu", "vectorised", "literal", "cuda" or "cuda_atomic", see `sample`. A layer takes only NumPy arrays.
        ties: "even" or "up", used only by nearest, see `sample`.
    """

    def __init__(
        self,
        *,
        mode: str = "bilinear",
        padding: str = "zeros",
        kink: str = "right",
        a: float = -0.75,
        backend: str = "cpu",
        ties: str = "even",
    ):
        check_options(mode, padding, a, backend, kink, ties)
        self.mode, self.padding, self.kink, self.a, self.backend, self.ties = mode, padding, kink, a, backend, ties

    def forward(self, U: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return V (N, C, Ho, Wo)."""
        check_points(U, points, "points")
        V = kernels.get(self.backend).sample_forward(U, points, self.mode, self.padding, self.a, ties=self.ties)
        return self.keep(V, U, points)

    def backward(
        self, gV: np.ndarray, needs: bool | tuple[bool, bool] = True
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return (gU, gpoints)."""
        needs = checks.flags("needs", needs, ("U", "points"))
        gV, (U, points) = self.take(gV)
        kernel = kernels.get(self.backend)
        return kernel.sample_backward(U, points, gV, self.mode, self.padding, self.kink, self.a, needs, ties=self.ties)

    def jvp(self, U: np.ndarray, points: np.ndarray, dU: np.ndarray | None, dpoints: np.ndarray | None) -> np.ndarray:
        """Return dV, the change of V as U changes by dU and points by dpoints (None: by 0). It keeps nothing.

        second_order.py has the formula, and the contract for NaN and infinities.
        """
        check_points(U, points, "points")
        dU, dpoints = checks.tangent("dU", dU, "U", U), checks.tangent("dpoints", dpoints, "points", points)
        kernel = kernels.second(self.backend)
        return kernel.sample_jvp(U, points, dU, dpoints, self.mode, self.padding, self.kink, self.a, ties=self.ties)


def grid_sample(
    U: np.ndarray,
    grid: np.ndarray,
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool = False,
    backend: str = "cpu",
    a: float = -0.75,
    ties: str = "even",
) -> np.ndarray:
    """Return U sampled at normalised points, as torch.nn.functional.grid_sample does.

    This is Eq. (3) after the conversion of the points to pixels, see `sample` and coordinates.py.

    Args:
        U: (N, C, H, W) input feature map, float32 or float64.
        grid: (N, Ho, Wo, 2) source points (x, y), normalised, dtype of U.
        mode: "bilinear", "nearest" or "bicubic".
        padding_mode: "zeros", "border" or "reflection" (reflected at -1 and 1), see `sample`.
        align_corners: False: -1 and 1 are the outer edges of the image; True: the centres of its corner pixels.
        backend: "cpu", "vectorised", "literal", "cuda" or "cuda_atomic", see `sample`.
        a: Keys' parameter, used only by bicubic.
        ties: "even", as PyTorch does, or "up", Eq. (4) as printed; used only by nearest, see `sample`.

    Returns:
        V: (N, C, Ho, Wo), dtype of U.

    Raises:
        TypeError: U is not float32 or float64, or grid has another dtype.
        ShapeError: axes disagree, or H or W is 0.
        ValueError: an option is not supported; the message lists the supported ones.

    Source: Jaderberg et al. 2015, Sec. 3.3.

    >>> grid_sample(np.array([[[[1.0, 3.0]]]]), np.zeros((1, 1, 1, 2))).tolist()
    [[[[2.0]]]]
    """
    padding = pixel_padding(padding_mode, align_corners)
    check_options(mode, padding, a, backend, ties=ties)
    if backend in kernels.CUDA_BACKENDS:
        U, grid = kernels.get(backend).take(U=U, grid=grid)
    check_points(U, grid, "grid", backend)
    unit = coordinates.unit(U.shape[2:], align_corners, U.dtype)
    return kernels.get(backend).sample_forward(U, grid, mode, padding, a, unit, ties)


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
    a: float = -0.75,
    ties: str = "even",
) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradients of `grid_sample`: Eqs. (6) and (7) with the chain factor of normalised coordinates.

    Args:
        U: (N, C, H, W), as for `grid_sample`.
        grid: (N, Ho, Wo, 2), normalised.
        gV: (N, C, Ho, Wo), dL/dV.
        mode: "bilinear", "nearest" or "bicubic".
        padding_mode: "zeros", "border" or "reflection".
        align_corners: the convention of the grid, as for `grid_sample`. The chain factor in x is W/2 (False) or
            (W-1)/2 (True) pixels.
        backend: as for `sample_backward`.
        kink: the slope at an integer x_s: "right", "left", "central" or "as_printed", see `sample_backward`.
        a: Keys' parameter.
        ties: as for `grid_sample`.

    Returns:
        (gU, ggrid), shaped as U and grid.

    Raises:
        TypeError, ShapeError, ValueError: as for `grid_sample`; also for gV and kink.

    Source: Jaderberg et al. 2015, Sec. 3.3. Deviation at kinks: see `sample_backward`.
    """
    padding = pixel_padding(padding_mode, align_corners)
    check_options(mode, padding, a, backend, kink, ties)
    if backend in kernels.CUDA_BACKENDS:
        U, grid, gV = kernels.get(backend).take(U=U, grid=grid, gV=gV)
    check_points(U, grid, "grid", backend)
    check_cotangent(U, grid, gV, "grid", backend)
    unit = coordinates.unit(U.shape[2:], align_corners, U.dtype)
    return kernels.get(backend).sample_backward(U, grid, gV, mode, padding, kink, a, (True, True), unit, ties)
