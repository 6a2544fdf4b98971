"""A correct thin-plate spline, and wrong ones."""

import numpy as np

from stn_ref.conformance.museum.exhibit import exhibit


def _distances(a, b):
    return np.sqrt(((a[:, None] - b) ** 2).sum(-1))


def _kernel(r):
    return r**2 * np.log(np.where(r > 0, r, 1))


def _affine(points):
    return np.column_stack([np.ones(len(points)), points])


def _solve(K, P, destinations):
    """Return the weights of the kernel and of the affine part: K w + P a = destinations, P^T w = 0."""
    system = np.block([[K, P], [P.T, np.zeros((3, 3))]])
    both = np.linalg.solve(system, np.vstack([destinations, np.zeros((3, 2))]))
    return both[:-3], both[-3:]


def spline(control_points, destinations, xy):
    """Return the spline through destinations at control_points that bends least, evaluated at xy."""
    K, P = _kernel(_distances(control_points, control_points)), _affine(control_points)
    w, a = _solve(K, P, destinations)
    return _kernel(_distances(xy, control_points)) @ w + _affine(xy) @ a


@exhibit("tps-bends", seen="Lasagne's TPSTransformerLayer with an input of variable size: `isnan(log 0)` is never true")
def silently_affine(control_points, destinations, xy):
    """The bending terms are lost: only the affine part is left."""
    K, P = _kernel(_distances(control_points, control_points)), _affine(control_points)
    _, a = _solve(K, P, destinations)
    return _affine(xy) @ a


@exhibit("tps-has-minimum-bending", seen="kornia's get_tps_transform")
def distances_to_the_destinations(control_points, destinations, xy):
    """The system uses distances from sources to destinations, the evaluation uses distances to the destinations."""
    K, P = _kernel(_distances(control_points, destinations)), _affine(control_points)
    w, a = _solve(K, P, destinations)
    return _kernel(_distances(xy, destinations)) @ w + _affine(xy) @ a


@exhibit("tps-goes-through-its-destinations", seen="code that confuses the destinations with the sources")
def backwards(control_points, destinations, xy):
    """The spline maps the destinations back to the control points."""
    return spline(destinations, control_points, xy)


@exhibit("tps-has-minimum-bending", seen="interpolation with r instead of r^2 log r, the kernel of three dimensions")
def other_dimension(control_points, destinations, xy):
    """The kernel is that of three dimensions: through the destinations, but not of minimum bending in the plane."""
    w, a = _solve(_distances(control_points, control_points), _affine(control_points), destinations)
    return _distances(xy, control_points) @ w + _affine(xy) @ a


@exhibit("tps-of-an-affine-map-is-affine", seen="splines without their affine part")
def no_affine_part(control_points, destinations, xy):
    """Only the kernel is fitted: a pure rotation becomes bent."""
    w = np.linalg.solve(_kernel(_distances(control_points, control_points)), destinations)
    return _kernel(_distances(xy, control_points)) @ w
