"""Several transformers in parallel: all read the same input, and each samples it with its own theta.

Reads: transformer.py, localisation.py. Read next: lab/experiments/addition.py, lab/experiments/parts.py.

The paper has two designs. For the addition of two digits each transformer has its own localisation net (`Parallel`).
For birds one localisation net computes the theta of all transformers, and this theta is split
(`ParallelTransformers`). In both designs the outputs are stacked along the channels.

Transformers that start with the same theta, followed by a net that treats them alike, get the same gradient and stay
identical. Separate localisation nets avoid this: their random weights differ, and although the last layer starts at
zero, its gradient depends on the random features before it. If one net computes all thetas, the features are shared, so
the biases should differ, see `starting_at`.
"""

from collections.abc import Sequence

import numpy as np

from stn_ref import checks
from stn_ref.grid import GridGenerator, grid_backend
from stn_ref.nn import Layer, Linear, Sequential
from stn_ref.nn.errors import inside
from stn_ref.nn.layer import Layers
from stn_ref.nn.param import added
from stn_ref.sampler import Sampler
from stn_ref.transforms import Transform


class Parallel(Layers):
    """Layers in parallel: each receives the whole input, and their outputs are stacked along the channels.

        V = (f_1(U), f_2(U), ...),   gU = sum_k gU_k

    Args:
        layers: at least one Layer, (N, C, H, W) -> (N, C_k, Ho, Wo) or (N, C_k). The outputs may differ only in C_k.
            To use the same parameters in two layers, give a layer and its `share()`.

    Raises:
        TypeError: an argument is not a Layer.
        ValueError: there is no layer.
        ShapeError: in forward, two outputs disagree in an axis other than 1.

    Source: Jaderberg et al. 2015, Sec. 3.4 and appendix A.1 (MNIST addition).
    """

    def __init__(self, *layers: Layer):
        for layer in layers:
            if not isinstance(layer, Layer):
                raise TypeError(f"layers must be Layers; got {type(layer).__name__}")
        if not layers:
            raise ValueError("layers must be at least one; got none")
        self.layers = list(layers)

    def forward(self, U: np.ndarray) -> np.ndarray:
        """Return V (N, C_1 + C_2 + ..., Ho, Wo)."""
        Vs = []
        with self.undivided():
            for k, layer in enumerate(self.layers):
                with inside(f"layers.{k}", layer, U):
                    Vs.append(layer.forward(U))
            return self.keep(*stacked(Vs))

    def backward(self, gV: np.ndarray, needs: bool = True) -> np.ndarray | None:
        """Return gU, the sum over the layers."""
        gV, (stops,) = self.take(gV)
        pieces = np.split(gV, stops, axis=1)
        gUs = []
        for k, (layer, piece) in enumerate(zip(self.layers, pieces, strict=True)):
            with inside(f"layers.{k}", layer, piece):
                gUs.append(layer.backward(piece, needs=needs))
        return added(*gUs) if needs else None


class ParallelTransformers(Layer):
    """Several transformers with one localisation net: theta is split, one part for each transformer.

        U --> localisation --> theta = (theta_1 | theta_2 | ...)
        V = (V_1, V_2, ...),   V_k = U sampled at T_k(G; theta_k)
        gtheta = (gtheta_1 | gtheta_2 | ...),   gU = sum_k gU_k + gU through the localisation net

    Args:
        localisation: a Layer, U (N, C, H, W) -> theta (N, K_1 + K_2 + ...); see `starting_at`.
        transforms: the family T_k of each, from stn_ref.transforms, for example get("attention", scale=0.5).
        out_size: (Ho, Wo) of every V_k; default: the size of U.
        align_corners: the convention of normalised coordinates.
        sampler: a layer (U, points) -> V_k; each transformer uses its own `share()` of it. Default: bilinear, zeros.

    Raises:
        TypeError: localisation or sampler is not a Layer, or one of transforms is not a Transform.
        ValueError: there is no transform.
        ShapeError: in forward, the length of theta is not K_1 + K_2 + ...

    Source: Jaderberg et al. 2015, Sec. 4.3 (CUB-200-2011: two or four attention transformers of scale 0.5).
    """

    def __init__(
        self,
        localisation: Layer,
        transforms: Sequence[Transform],
        out_size: tuple[int, int] | None = None,
        *,
        align_corners: bool = False,
        sampler: Layer | None = None,
    ):
        sampler = Sampler() if sampler is None else sampler
        for name, layer in (("localisation", localisation), ("sampler", sampler)):
            if not isinstance(layer, Layer):
                raise TypeError(f"{name} must be a Layer; got {layer!r}")
        self.localisation = localisation
        options = {"align_corners": align_corners, "backend": grid_backend(sampler)}
        self.grids = [GridGenerator(transform, out_size, **options) for transform in transforms]
        if not self.grids:
            raise ValueError("transforms must be at least one; got none")
        self.samplers = [sampler.share() for _ in self.grids]
        self.stops = np.cumsum([grid.transform.K for grid in self.grids])

    def forward(self, U: np.ndarray) -> np.ndarray:
        """Return V (N, M C, Ho, Wo) for U (N, C, H, W) and M transformers: C channels of the first, and so on."""
        checks.floating("U", U)
        checks.shape("U", U, ("N", "C", "H", "W"))
        Vs = []
        with self.undivided():
            with inside("localisation", self.localisation, U):
                theta = self.localisation.forward(U)
            for k, (theta_k, grid, sampler) in enumerate(zip(self._cut(theta), self.grids, self.samplers, strict=True)):
                points = grid.forward(theta_k, U.shape[2:])
                with inside(f"samplers.{k}", sampler, U, points):
                    Vs.append(sampler.forward(U, points))
            return self.keep(*stacked(Vs))

    def backward(self, gV: np.ndarray, needs: bool = True) -> np.ndarray | None:
        """Return gU: the gradient through the sampled pixels plus that through theta."""
        gV, (stops,) = self.take(gV)
        gU, gthetas = 0, []
        for piece, grid, sampler in zip(np.split(gV, stops, axis=1), self.grids, self.samplers, strict=True):
            gU_k, gpoints = sampler.backward(piece, needs=(needs, True))
            gthetas.append(grid.backward(gpoints))
            gU = added(gU, gU_k) if needs else None
        gtheta = np.concatenate(gthetas, axis=1)
        with inside("localisation", self.localisation, gtheta):
            gU_localisation = self.localisation.backward(gtheta, needs=needs)
        return added(gU, gU_localisation) if needs else None

    def look(self, U: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Return (theta_k (N, K_k), points_k (N, Ho, Wo, 2) in pixels of U, V_k) of each; keep nothing for backward."""
        found = []
        with inside("localisation", self.localisation, U):
            thetas = self._cut(self.localisation.share().eval().forward(U))
        for theta, grid, sampler in zip(thetas, self.grids, self.samplers, strict=True):
            points = grid.share().eval().forward(theta, U.shape[2:])
            found.append((theta, points, sampler.share().eval().forward(U, points)))
        return found

    def _cut(self, theta: np.ndarray) -> list[np.ndarray]:
        """Return theta_1, theta_2, ...: (N, K_k) each."""
        checks.shape("theta", theta, ("N", "K"), K=(int(self.stops[-1]), "the transforms together"))
        return np.split(theta, self.stops[:-1], axis=1)


class PerView(Layer):
    """The same net f applied to each of several views; the features are concatenated.

        V = (V_1, V_2, ...) -> (f(V_1), f(V_2), ...)

    The views become the examples of one larger batch, so the net runs once for all of them.

    Args:
        net: a Layer, (N, C, H, W) -> (N, D).
        views: M, the number of views.

    Raises:
        TypeError: net is not a Layer.
        ValueError: views is not an integer of at least 1.
        ShapeError: in forward, the number of channels is not a multiple of M.
    """

    def __init__(self, net: Layer, views: int):
        if not isinstance(net, Layer):
            raise TypeError(f"net must be a Layer; got {net!r}")
        self.net = net
        self.views = checks.integer("views", views, 1)

    def forward(self, V: np.ndarray) -> np.ndarray:
        """Return the features (N, M D) for V (N, M C, H, W), in the order of Parallel and ParallelTransformers."""
        checks.floating("V", V)
        N, channels, H, W = checks.shape("V", V, ("N", "M C", "H", "W"))
        if channels % self.views:
            raise checks.ShapeError(
                f"V must be (N, M C, H, W) with M={self.views}: axis 1 is {channels}, no multiple; got shape {V.shape}"
            )
        examples = V.reshape(N * self.views, channels // self.views, H, W)
        with self.undivided():
            with inside("net", self.net, examples):
                features = self.net.forward(examples)
            return self.keep(features.reshape(N, self.views * features.shape[1]), V.shape, features.shape)

    def backward(self, gy: np.ndarray, needs: bool = True) -> np.ndarray | None:
        """Return gV."""
        gy, (shape, features) = self.take(gy)
        gy = gy.reshape(features)
        with inside("net", self.net, gy):
            gV = self.net.backward(gy, needs=needs)
        return gV.reshape(shape) if needs else None


def stacked(Vs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the arrays (N, C_k, ...) stacked along axis 1, and the index where each but the first begins.

    Raises:
        ShapeError: two arrays disagree in an axis other than 1.
    """
    for k, V in enumerate(Vs):
        if V.ndim < 2 or V.shape[:1] + V.shape[2:] != Vs[0].shape[:1] + Vs[0].shape[2:]:
            raise checks.ShapeError(
                f"outputs must be (N, C_k, ...), equal but for C_k; got {Vs[0].shape} of layer 0 and {V.shape} of "
                f"layer {k}"
            )
    return np.concatenate(Vs, axis=1), np.cumsum([V.shape[1] for V in Vs])[:-1]


def starting_at(localisation: Sequential, thetas: np.ndarray) -> Sequential:
    """Return the localisation net with a new last layer that returns (theta_1 | theta_2 | ...) until it is trained.

    Args:
        localisation: a net that ends in a Linear, as `conv_localisation` returns it; its other layers are reused.
        thetas: (M, K), the initial theta of each of M transformers. Transformers with equal rows stay identical if the
            net behind them treats them alike.

    Raises:
        TypeError: thetas is not float32 or float64, or the last layer is not a Linear.
        ShapeError: thetas is not (M, K).
    """
    checks.floating("thetas", thetas)
    checks.shape("thetas", thetas, ("M", "K"))
    last = localisation.layers[-1] if isinstance(localisation, Sequential) and len(localisation) else None
    if not isinstance(last, Linear):
        raise TypeError(f"localisation must be a Sequential that ends in a Linear; got {localisation!r}")
    layer = Linear.constant(last.W.value.shape[1], thetas.astype(last.W.value.dtype).ravel())
    for param in layer.params():
        param.lr_scale = last.W.lr_scale
    return Sequential(*localisation.layers[:-1], layer)
