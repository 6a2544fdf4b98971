"""Well-known samplers behind one interface, so that the suite can be run against them: PEERS, and OURS for comparison.

    f(U, grid, *, mode, padding_mode, align_corners) -> V         and, where the library has gradients,
    g(U, grid, gV, *, mode, padding_mode, align_corners) -> (gU, ggrid)
    h(control_points, destinations, xy) -> where xy is mapped     a thin-plate spline

Each raises NotImplementedError for what its library does not offer. A name for the command line is, for example,
stn_ref.conformance.peers:pytorch. Reading order: libraries.py, registry.py. Read next: table.py.
"""

# ruff: noqa: F401 -- functions that are found here by name

from stn_ref.conformance.peers.libraries import (
    jax,
    jax_backward,
    kornia,
    kornia_backward,
    kornia_tps,
    opencv,
    pytorch,
    pytorch_backward,
    scipy,
    scipy_tps,
    skimage,
    skimage_tps,
)
from stn_ref.conformance.peers.registry import OURS, PEERS, Peer
