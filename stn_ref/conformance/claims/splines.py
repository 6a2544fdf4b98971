"""The thin-plate spline of Sec. 3.2: the smoothest map that takes the control points to their destinations."""

import numpy as np

from stn_ref.conformance.claim import Violated, claim, expect


def _example(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return 12 control points, their bent destinations, and 30 other points."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(-1, 1, 4), np.linspace(-1, 1, 3))
    control = np.stack([x.ravel(), y.ravel()], axis=-1) + 0.05 * rng.standard_normal((12, 2))
    return control, control + 0.2 * rng.standard_normal((12, 2)), rng.uniform(-1.2, 1.2, (30, 2))


def _minimum_bending(control, destinations, xy) -> np.ndarray:
    """Return the spline at xy, from the (P + 3) equations of Bookstein 1989 with the kernel r^2 log r^2."""

    def kernel(a, b):
        r2 = ((a[:, None] - b) ** 2).sum(-1)
        return r2 * np.log(np.where(r2 > 0, r2, 1))

    def affine(a):
        return np.column_stack([np.ones(len(a)), a])

    P = affine(control)
    system = np.block([[kernel(control, control), P], [P.T, np.zeros((3, 3))]])
    weights = np.linalg.solve(system, np.vstack([destinations, np.zeros((3, 2))]))
    return np.hstack([kernel(xy, control), affine(xy)]) @ weights


@claim("The control points do not go to their destinations.", known="kornia#2934", subject="tps")
def tps_goes_through_its_destinations(subject):
    """At each control point the spline equals the destination of that point."""
    control, destinations, _ = _example()
    expect("the spline at its control points", subject.tps(control, destinations, control), destinations)


@claim("A pure rotation or zoom becomes bent.", subject="tps")
def tps_of_an_affine_map_is_affine(subject):
    """If the destinations are an affine map of the control points, the spline is that map everywhere."""
    control, _, xy = _example()
    A, b = np.array([[0.7, -0.4], [0.3, 1.1]]), np.array([0.2, -0.5])
    expect("the spline", subject.tps(control, control @ A.T + b, xy), xy @ A.T + b)


@claim(
    "The warp cannot bend: an elastic transformer learns no more than an affine one.",
    known="Lasagne, input of variable size: `isnan(log 0)` is never true",
    subject="tps",
)
def tps_bends(subject):
    """If the destinations are not an affine map of the control points, the spline is not affine either."""
    control, destinations, xy = _example()
    answer = subject.tps(control, destinations, xy)
    affine = np.column_stack([np.ones(len(xy)), xy])
    fit = affine @ np.linalg.lstsq(affine, answer, rcond=None)[0]
    bend = np.abs(answer - fit).max()
    if not bend > 0.05:
        raise Violated(f"expected the spline to leave its best affine map by more than 0.05, got {bend:.3g}")


@claim(
    "Between the control points the warp bends more than necessary; published results for TPS cannot be compared.",
    known="kornia uses distances from source to destination: its spline meets the destinations but does not bend least",
    subject="tps",
)
def tps_has_minimum_bending(subject):
    """Among all maps through the destinations the spline bends least: it is the solution of Bookstein's system."""
    control, destinations, xy = _example()
    answer = subject.tps(control, destinations, xy)
    expect("the spline", answer, _minimum_bending(control, destinations, xy), tolerance=1e-4)


@claim("The same warp has another shape when it is drawn elsewhere on the page.", subject="tps")
def tps_moves_and_turns_with_its_points(subject):
    """If the control points and xy are moved and turned together, the values of the spline do not change."""
    control, destinations, xy = _example()
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    moved = subject.tps(control @ turn.T + 0.3, destinations, xy @ turn.T + 0.3)
    expect("the spline", moved, subject.tps(control, destinations, xy), tolerance=1e-4)
