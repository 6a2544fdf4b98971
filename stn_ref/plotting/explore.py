"""An interactive explorer: change theta and see the grid, the output, and the gradients of one output pixel.

Sliders set theta. The mouse drags the control points of a spline. A click on the output selects a pixel. `draw` draws
the same picture without a window.

Reads: grids.py, sampler.py, grid.py.
"""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from stn_ref import coordinates, sampler
from stn_ref.grid import GridGenerator
from stn_ref.plotting import style
from stn_ref.plotting.grids import draw_points
from stn_ref.transforms import ThinPlateSpline, Transform

RANGES = {"alpha": (-np.pi, np.pi), "s": (0.2, 2.0)}  # of sliders; other parameters: 1 to either side of the identity


class State:
    """The state of the explorer: an image U (H, W), a transform and its theta, and one output pixel (i, j).

    Attributes:
        points: (H, W, 2), T_theta(G) in pixels.
        V: (H, W), U sampled at the points.
        gU: (H, W), dV[i,j] / dU, Eq. (6).
        gpoint: (2,), dV[i,j] / d(x_s, y_s), Eq. (7), per pixel.
        gtheta: (K,), dV[i,j] / dtheta.
    """

    def __init__(self, U: np.ndarray, transform: Transform, theta=None, pixel: tuple[int, int] | None = None):
        self.U, self.transform = np.asarray(U, np.float64), transform
        self.theta = np.array(transform.identity if theta is None else theta, np.float64)
        H, W = self.U.shape
        self.pixel = pixel or (H // 2, W // 2)
        self.grid = GridGenerator(transform, (H, W))
        self.layer = sampler.Sampler()
        self.update()

    def update(self) -> None:
        """Compute all attributes for the current theta and pixel, by the forward and backward of the layers."""
        U, (i, j) = self.U[None, None], self.pixel
        points = self.grid.forward(self.theta[None])
        V = self.layer.forward(U, points)
        gV = np.zeros_like(V)
        gV[0, 0, i, j] = 1
        gU, gpoints = self.layer.backward(gV)
        gtheta = self.grid.backward(gpoints)
        self.points, self.V, self.gU = points[0], V[0, 0], gU[0, 0]
        self.gpoint, self.gtheta = gpoints[0, i, j], gtheta[0]


def draw(figure: Figure, state: State, *, below: float = 0.0) -> tuple:
    """Draw a state into a figure and return the three axes; `below` is the share of the height that stays free."""
    place = {"bottom": below + 0.12, "top": 0.84, "left": 0.03, "right": 0.97}
    axes = tuple(figure.subplots(1, 3, gridspec_kw=place))
    redraw(axes, state)
    return axes


def redraw(axes: tuple, state: State) -> None:
    """Clear three axes and draw a state into them."""
    (left, middle, right), (i, j), (H, W) = axes, state.pixel, state.U.shape
    x, y = state.points[i, j]
    for ax in axes:
        ax.clear()
        ax.set(xticks=[], yticks=[])
    left.imshow(state.U, cmap=style.IMAGES)
    draw_points(left, state.points)
    left.set(xlim=(-0.5, W - 0.5), ylim=(H - 0.5, -0.5), title="U and its sampling points")
    if isinstance(state.transform, ThinPlateSpline):
        control = coordinates.to_pixels(state.theta.reshape(-1, 2), (H, W), False)
        left.plot(*control.T, "o", ms=6, color=style.OKABE_ITO["sky"], mec="black")
    middle.imshow(state.V, cmap=style.IMAGES, vmin=0, vmax=max(1e-9, state.U.max()))
    middle.plot(j, i, "s", ms=9, mfc="none", mec=style.OKABE_ITO["vermillion"], mew=2)
    middle.set(title=f"V; pixel ({i}, {j}) is {state.V[i, j]:.2f}")
    right.imshow(state.gU, cmap="RdBu_r", vmin=-1, vmax=1)
    for n, m in np.argwhere(state.gU != 0):
        right.text(m, n, f"{state.gU[n, m]:.2f}", ha="center", va="center", size=8)
    if np.isfinite([x, y]).all():
        right.plot(x, y, "*", ms=12, color=style.OKABE_ITO["green"], mec="black")
        ahead = x + 1.5 * state.gpoint[0], y + 1.5 * state.gpoint[1]
        right.annotate("", ahead, (x, y), arrowprops={"arrowstyle": "-|>", "color": style.OKABE_ITO["green"], "lw": 2})
        right.set(xlim=(x - 2.2, x + 2.2), ylim=(y + 2.2, y - 2.2))
    right.set(title="what it depends on: dV/dU, and\nthe slope of its point (arrow)")
    for ax in axes:
        ax.title.set_size(10)


class Explorer:
    """The window of an image U (H, W): three pictures, and a slider for each parameter, or control points to drag.

    In a notebook the window needs an interactive backend (`%matplotlib widget`), in a terminal a display.
    """

    def __init__(self, U: np.ndarray, transform: Transform):
        import matplotlib.pyplot as plt
        from matplotlib.widgets import Slider

        self.state = State(U, transform)
        self.held = None  # the control point under the mouse
        K = 0 if isinstance(transform, ThinPlateSpline) else transform.K
        with style.styled():
            self.figure = plt.figure(figsize=(10, 4 + 0.3 * K))
            room = 0.3 * K / (4 + 0.3 * K)
            self.axes = draw(self.figure, self.state, below=room)
            self.sliders = []
            for k in range(K):
                identity = transform.identity[k]
                low, high = RANGES.get(transform.symbols[k], (identity - 1, identity + 1))
                place = self.figure.add_axes((0.2, room * (K - 1 - k) / K + 0.02, 0.6, room / K * 0.7))
                slider = Slider(place, transform.symbols[k], low, high, valinit=identity)
                slider.on_changed(self._slid)
                self.sliders.append(slider)
        for event, call in (
            ("button_press_event", self._pressed),
            ("motion_notify_event", self._moved),
            ("button_release_event", self._released),
        ):
            self.figure.canvas.mpl_connect(event, call)

    def show(self, *, theta=None, pixel: tuple[int, int] | None = None) -> None:
        """Set theta or the pixel, and draw the new state."""
        if theta is not None:
            self.state.theta = np.array(theta, np.float64)
        if pixel is not None:
            self.state.pixel = pixel
        self.state.update()
        redraw(self.axes, self.state)
        self.figure.canvas.draw_idle()

    def _slid(self, value: float) -> None:
        self.show(theta=[slider.val for slider in self.sliders])

    def _pressed(self, event) -> None:
        H, W = self.state.U.shape
        if event.inaxes is self.axes[1]:
            i, j = round(event.ydata), round(event.xdata)
            self.show(pixel=(min(max(i, 0), H - 1), min(max(j, 0), W - 1)))
        elif event.inaxes is self.axes[0] and isinstance(self.state.transform, ThinPlateSpline):
            control = coordinates.to_pixels(self.state.theta.reshape(-1, 2), (H, W), False)
            distance = np.hypot(*(control - (event.xdata, event.ydata)).T)
            self.held = int(distance.argmin()) if distance.min() < max(H, W) / 8 else None

    def _moved(self, event) -> None:
        if self.held is None or event.inaxes is not self.axes[0]:
            return
        H, W = self.state.U.shape
        theta = self.state.theta.reshape(-1, 2).copy()
        theta[self.held] = (2 * event.xdata + 1) / W - 1, (2 * event.ydata + 1) / H - 1
        self.show(theta=theta.ravel())

    def _released(self, event) -> None:
        self.held = None


def open_window(U: np.ndarray, transform: Transform, note: Callable[[str], None] = print) -> None:
    """Open the explorer, print how to use it, and wait until its window is closed.

    Raises:
        ImportError: matplotlib has no backend that can open windows.
    """
    import matplotlib.pyplot as plt

    if plt.get_backend().lower() in ("agg", "pdf", "svg", "ps", "cairo", "template"):
        raise ImportError(
            f"explore needs a window, and matplotlib's backend here is {plt.get_backend()!r}: install one "
            "(pip install PyQt6), give it a display, or look at `stn-ref figures explorer`"
        )
    note("drag the sliders or the control points; click on V to choose a pixel; close the window to end")
    Explorer(U, transform)
    plt.show()
