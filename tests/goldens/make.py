"""Writes sampling.npz and affine_grid.npz: what PyTorch answers, kept so that tests need no torch.

    python tests/goldens/make.py

needs torch and is deterministic. sampling.npz holds, for either convention c ("extent" is align_corners=False,
"corners" is True), the inputs c/U, c/grid and c/gV, and PyTorch's answers c/V, c/gU and c/ggrid, whose first two axes
are the mode and the padding. affine_grid.npz holds theta, ggrid and, for either convention, c/grid and c/gtheta. All
are float64.

Among the points are pixel centres, corners and points half a pixel outside, where slopes jump and rounding would decide
what comes out. These are fractions of small powers of two, and sizes are chosen to keep them so: in "extent" W = 8 and
H = 4, in "corners" W - 1 = 8 and H - 1 = 4. Then (x + 1) W / 2 - 1 / 2 is exact, in one fused operation or in two. All
other points keep a distance from the kinks.
"""

import itertools
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
MODES = ("bilinear", "nearest", "bicubic")
PADDINGS = ("zeros", "border", "reflection")
CONVENTIONS = {"extent": False, "corners": True}
SIZES = {"extent": (4, 8, 5, 6), "corners": (5, 9, 4, 7)}  # H, W, Ho, Wo
N, C = 2, 2
AFFINE_SIZE = (2, 3, 4, 7)


def kink_distance(points: np.ndarray) -> np.ndarray:
    """Return how far coordinates in pixels are from a multiple of 1/2.

    All kinks and ties lie there: pixel centres, the points halfway between them and the edges of the image.
    """
    return np.abs(2 * points - np.round(2 * points)) / 2


def exact_pixels(size: int) -> list[float]:
    """Return coordinates on kinks, in pixels: pixels, borders, half a pixel outside, several widths outside."""
    last = size - 1
    near = [0, last, 1, last - 1, last / 2, -0.5, last + 0.5, -1, size, 1.5, 0.5]
    return near + [-size, 2 * size - 0.5, -3 * size + 0.5, 5 * size, 4 * last, -2.5 * last - 0.5]


def sampling_grid(convention: str, rng: np.random.Generator) -> np.ndarray:
    """Return grid (N, Ho, Wo, 2), normalised: exact kinks in x, in y and in both, and points anywhere."""
    H, W, Ho, Wo = SIZES[convention]
    x, y = exact_pixels(W), exact_pixels(H)
    both = [(x[k], y[3 * k % len(y)]) for k in range(len(x))]
    only_x = [(x[k], rng.uniform(-1, H)) for k in range(0, len(x), 2)]
    only_y = [(rng.uniform(-1, W), y[k]) for k in range(1, len(y), 2)]
    n_far = (N * Ho * Wo - len(both) - len(only_x) - len(only_y)) // 3
    n_near = N * Ho * Wo - len(both) - len(only_x) - len(only_y) - n_far
    near = rng.uniform((-1.5, -1.5), (W + 0.5, H + 0.5), (n_near, 2))
    far = rng.uniform((-6 * W, -6 * H), (6 * W, 6 * H), (n_far, 2))
    pixels = np.concatenate([both, only_x, only_y, near, far])
    if CONVENTIONS[convention]:
        grid = 2 * pixels / (W - 1, H - 1) - 1
    else:
        grid = (2 * pixels + 1) / (W, H) - 1
    return rng.permutation(grid).reshape(N, Ho, Wo, 2)


def compute_sampling() -> dict[str, np.ndarray]:
    """Return the content of sampling.npz."""
    import torch

    rng = np.random.default_rng(2015)
    content = {"torch": np.array(torch.__version__)}
    for convention, align_corners in CONVENTIONS.items():
        H, W, Ho, Wo = SIZES[convention]
        U = rng.standard_normal((N, C, H, W))
        grid = sampling_grid(convention, rng)
        gV = rng.standard_normal((N, C, Ho, Wo))
        answers = {name: np.empty((3, 3, *like.shape)) for name, like in (("V", gV), ("gU", U), ("ggrid", grid))}
        for (m, mode), (p, padding) in itertools.product(enumerate(MODES), enumerate(PADDINGS)):
            tU, tgrid = torch.tensor(U, requires_grad=True), torch.tensor(grid, requires_grad=True)
            V = torch.nn.functional.grid_sample(tU, tgrid, mode, padding, align_corners)
            V.backward(torch.tensor(gV))
            for name, array in (("V", V.detach()), ("gU", tU.grad), ("ggrid", tgrid.grad)):
                answers[name][m, p] = array.numpy()
        arrays = {"U": U, "grid": grid, "gV": gV} | answers
        content |= {f"{convention}/{name}": array for name, array in arrays.items()}
    return content


def compute_affine_grid() -> dict[str, np.ndarray]:
    """Return the content of affine_grid.npz."""
    import torch

    rng = np.random.default_rng(1506)
    theta = rng.standard_normal((AFFINE_SIZE[0], 2, 3))
    ggrid = rng.standard_normal((AFFINE_SIZE[0], *AFFINE_SIZE[2:], 2))
    content = {"torch": np.array(torch.__version__), "theta": theta, "ggrid": ggrid}
    for convention, align_corners in CONVENTIONS.items():
        ttheta = torch.tensor(theta, requires_grad=True)
        grid = torch.nn.functional.affine_grid(ttheta, AFFINE_SIZE, align_corners=align_corners)
        grid.backward(torch.tensor(ggrid))
        content |= {f"{convention}/grid": grid.detach().numpy(), f"{convention}/gtheta": ttheta.grad.numpy()}
    return content


FILES = {"sampling.npz": compute_sampling, "affine_grid.npz": compute_affine_grid}

if __name__ == "__main__":
    for name, compute in FILES.items():
        np.savez(FOLDER / name, **compute())
        print(f"{name}: {(FOLDER / name).stat().st_size} bytes")
