"""Figures about Sec. 3.2 and the module: families of maps, grids over an image, the architecture, aliasing."""

import numpy as np
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from stn_ref import coordinates, sampler, transforms
from stn_ref.grid import GridGenerator
from stn_ref.kernel_sampler import AntialiasedSampler
from stn_ref.plotting import explore, style
from stn_ref.plotting.gallery.drawing import CENTRED, Drawing, digit
from stn_ref.plotting.grids import show
from stn_ref.plotting.style import bare

EXAMPLES = {  # a typical map of each family
    "translation": (0.3, -0.2),
    "rigid": (0.5, 0.2, -0.1),
    "attention": (0.6, 0.2, 0.1),
    "similarity": (0.7, 0.5, 0.1, -0.1),
    "affine": (0.8, 0.45, 0.0, -0.1, 0.7, 0.1),
    "projective": (0.8, 0.1, 0.15, -0.05, 0.8, 0.1, 0.32, 0.12),
}


def _example(family: str) -> tuple[transforms.Transform, np.ndarray]:
    """Return a transform and its typical theta (1, K); "identity" is the affine one."""
    transform = transforms.get("affine" if family == "identity" else family)
    theta = np.array(EXAMPLES.get(family, transform.identity))
    if family == "tps":
        theta += np.random.default_rng(4).normal(0, 0.13, transform.K)
    return transform, theta[None]


def transform_hierarchy() -> Drawing:
    """Draw a square net of lines under one map of each family."""
    fig = style.figure(7.4, 4.4)
    axes = fig.subplots(2, 4).ravel()
    t = np.linspace(-1, 1, 41)
    numbers = {}
    rows = [("identity", 0, True, True, True, True), *transforms.hierarchy()]
    for ax, (family, K, *kept) in zip(axes, rows, strict=True):
        transform, theta = _example(family)
        for s in np.linspace(-1, 1, 7):
            for xy in (np.stack([t, np.full_like(t, s)], -1), np.stack([np.full_like(t, s), t], -1)):
                x, y = transform.apply(theta, xy)[0].T
                ax.plot(x, y, color=style.OKABE_ITO["blue"], lw=2 if s == -1 and xy[0, 1] == xy[1, 1] else 0.8)
        corners = np.array([(-1.0, -1), (1, -1), (1, 1), (-1, 1)])
        numbers[family] = transform.apply(theta, corners)[0]
        keeps = next((name for name, yes in zip(transforms.PROPERTIES, kept, strict=True) if yes), "nothing")
        title = "identity" if family == "identity" else f"{family}, {K}\nkeeps {keeps}"
        ax.set(xlim=(-2, 2), ylim=(2, -2), aspect="equal", title=title)
        ax.title.set_size(10)
        bare(ax)
    return Drawing(
        fig,
        "Eight square nets. Translation shifts it, rigid turns it, attention shrinks it, similarity does both, affine "
        "makes it a parallelogram, projective lets its lines converge, and the thin-plate spline bends them.",
        "The families of transforms, with their numbers of parameters and the strongest property that each keeps.",
        numbers,
    )


def grids() -> Drawing:
    """Draw identity, affine and thin-plate-spline grids over a digit, and their samples, as the paper's Fig. 3."""
    fig = style.figure(6.6, 4.4)
    U = digit(3, 40)
    numbers = {}
    titles = {"identity": "identity", "affine": "affine", "tps": "thin-plate spline"}
    for column, (family, title) in zip(fig.subplots(2, 3).T, titles.items(), strict=True):
        transform, theta = _example(family)
        points = GridGenerator(transform, (40, 40)).eval().forward(theta, (40, 40))
        V = sampler.sample(U[None, None], points)
        numbers[family] = points[0, ::13, ::13]
        show(*column, U, points[0], V[0, 0])
        column[0].set_title(title)
    return Drawing(
        fig,
        "A digit three times, with the sampling grid drawn over it: straight and square, turned and sheared, and bent; "
        "below each what is sampled there.",
        "T maps the regular grid of the output to places in the input; what is read there is the output.",
        numbers,
        suffix="png",
    )


def architecture() -> Drawing:
    """Draw the parts of the module: localisation net, grid generator, sampler."""
    fig = style.figure(7.2, 2.9)
    ax = fig.subplots()
    boxes = {  # centre -> text
        (0.6, 1.0): "U\n(N, C, H, W)",
        (3.0, 2.2): "localisation net\nSec. 3.1",
        (5.6, 2.2): "grid generator\n$T_\\theta(G)$, Sec. 3.2",
        (5.6, 1.0): "sampler\nEq. (5), Sec. 3.3",
        (8.4, 1.0): "V\n(N, C, Ho, Wo)",
    }
    for (x, y), text in boxes.items():
        box = FancyBboxPatch((x - 0.95, y - 0.36), 1.9, 0.72, boxstyle="round,pad=0.06", fc="none", ec=style.ink())
        ax.add_patch(box)
        ax.text(x, y, text, **CENTRED, size=10)
    arrows = [  # start, end
        ((0.6, 1.45), (2.0, 2.2)),
        ((4.0, 2.2), (4.6, 2.2)),
        ((5.6, 1.8), (5.6, 1.42)),
        ((1.6, 1.0), (4.6, 1.0)),
        ((6.6, 1.0), (7.4, 1.0)),
    ]
    for start, end in arrows:
        ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=14, color=style.OKABE_ITO["blue"]))
    ax.text(4.3, 2.32, "θ", ha="center", size=11)
    ax.text(5.7, 1.61, "points", size=10, va="center")
    red = style.OKABE_ITO["vermillion"]
    curve = {"connectionstyle": "arc3,rad=-0.18", "linestyle": "--", "mutation_scale": 14}
    ax.add_patch(FancyArrowPatch((8.4, 0.55), (5.6, 0.55), arrowstyle="-|>", color=red, **curve))
    backward = "the gradient of the loss comes back: Eq. (6) to U, Eq. (7) to the points, and so to θ"
    ax.text(4.5, -0.12, backward, **CENTRED, size=10, color=red)
    ax.set(xlim=(-0.6, 9.6), ylim=(-0.4, 2.7), aspect="equal")
    bare(ax)
    return Drawing(
        fig,
        "Boxes and arrows: the input U goes to the localisation net, which gives theta, from which the grid generator "
        "makes sampling points; the sampler reads U at these points and gives V. A dashed arrow leads the gradient "
        "back.",
        "A spatial transformer: theta is computed from the image itself, and learnt from the loss alone.",
    )


def aliasing() -> Drawing:
    """Draw stripes shrunk four times: bilinear at two positions, and with a kernel that follows the map."""
    fig = style.figure(7.2, 2.4)
    m = np.arange(64.0)
    U = np.broadcast_to(((m % 4 == 1) | (m % 4 == 2)) * 1.0, (1, 1, 64, 64)).copy()
    numbers, axes = {}, fig.subplots(1, 4)
    axes[0].imshow(U[0, 0], cmap=style.IMAGES, vmin=0, vmax=1)
    axes[0].set_title("U: stripes of two\npixels, 64 × 64")
    affine, theta = _example("identity")
    points = GridGenerator(affine, (16, 16)).eval().forward(theta, (64, 64))
    antialiased = AntialiasedSampler(padding="border").eval()
    cases = {
        "bilinear": sampler.sample(U, points, padding="border"),
        "bilinear,\nmoved 2 pixels": sampler.sample(U, points + 2, padding="border"),
        "antialiased, moved\n2 pixels or not": antialiased.forward(U, points),
    }
    for ax, (title, V) in zip(axes[1:], cases.items(), strict=True):
        ax.imshow(V[0, 0], cmap=style.IMAGES, vmin=0, vmax=1)
        ax.set_title(title)
        numbers[title.replace("\n", " ")] = V[0, 0, 8]
    for ax in axes:
        ax.title.set_size(10)
        bare(ax)
    numbers["antialiased moved"] = antialiased.forward(U, points + 2)[0, 0, 8]
    return Drawing(
        fig,
        "Stripes, and three pictures of them at a quarter of the size: bilinear sampling gives one flat shade, another "
        "flat shade after a shift by two pixels, and the antialiased sampler the mean grey in both cases.",
        "A fixed kernel aliases where the map shrinks: it sees one pixel in four; a kernel as wide as the map is steep "
        "sees them all.",
        numbers,
        suffix="png",
    )


def explorer() -> Drawing:
    """Draw the picture that `stn-ref explore` shows for one theta and one output pixel."""
    affine, theta = _example("affine")
    state = explore.State(digit(3, 40), affine, theta[0], (17, 22))
    fig = style.figure(7.4, 2.9)
    fig.set_layout_engine("none")
    explore.draw(fig, state)
    i, j = state.pixel
    return Drawing(
        fig,
        "Three pictures: a digit with a sheared sampling grid; the output, with one pixel marked; and, enlarged, four "
        "input pixels with their weights around a star, its sampling point, and an arrow uphill from it.",
        "The explorer: move theta, choose an output pixel, and see which input pixels it depends on and where its "
        "sampling point is pulled.",
        {"gU": state.gU[state.gU != 0], "gpoint": state.gpoint, "gtheta": state.gtheta, "V": state.V[i : i + 1, j]},
        suffix="png",
    )


def own_picture(image: np.ndarray, transform: transforms.Transform, theta: np.ndarray) -> Drawing:
    """Draw a user's image, (H, W) or (H, W, 3) float64 from 0 to 1, with the grid of T_theta over it, and the output.

    theta is (K,). The output has the size of the image.
    """
    channels = image[None, None] if image.ndim == 2 else image.transpose(2, 0, 1)[None]
    points = GridGenerator(transform, image.shape[:2]).eval().forward(theta[None], image.shape[:2])
    V = sampler.sample(np.ascontiguousarray(channels), points)[0]
    fig = style.figure(7.2, 3.9)
    above, below = fig.subplots(1, 2)
    show(above, below, image, points[0], V[0] if image.ndim == 2 else V.transpose(1, 2, 0))
    above.set_title(f"U and {transform.name} grid")
    below.set_title("V")
    G = coordinates.target_grid((2, 2), True, np.float64)
    words = f"A picture with the sampling grid of the {transform.name} transform over it, and what is sampled there."
    return Drawing(fig, words, words, {"corners": transform.apply(theta[None], G.reshape(4, 2))[0]}, suffix="png")
