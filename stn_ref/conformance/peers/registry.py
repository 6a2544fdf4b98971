"""The samplers to compare, ours first: what each of them needs, and which functions of this package call it."""

import contextlib
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Peer:
    """A sampler to compare with.

    Args:
        title: the usual name of the library.
        library: the module to import.
        distributions: names under which it can be installed; its version is read from them.
        sampler, backward, tps: the names of its f, g and h, or None.
        calls: role -> the function of the library.
        remark: what a reader of its verdicts should know.
        module: the module that defines f, g and h.
    """

    title: str
    library: str
    distributions: tuple[str, ...]
    sampler: str | None = None
    backward: str | None = None
    tps: str | None = None
    calls: Mapping[str, str] = field(default_factory=dict)
    remark: str = ""
    module: str = __package__

    def spec(self, role: str) -> str | None:
        """Return "module:function" of its sampler, backward or tps, None if it has none."""
        function = getattr(self, role)
        return function and f"{self.module}:{function}"

    def installed(self) -> bool:
        """Whether the library can be imported."""
        return importlib.util.find_spec(self.library) is not None

    def version(self) -> str:
        """Return the version of the library without its build label, "" if it is unknown."""
        for distribution in self.distributions:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                return importlib.metadata.version(distribution).split("+")[0]
        return ""


def _ours(title: str, **more) -> Peer:
    return Peer(title, "stn_ref", ("stn_ref",), **more, module="stn_ref.conformance.ours")


CALLS = {"sampler": "grid_sample", "backward": "grid_sample_backward"}
OURS = {
    backend: _ours(f"stn_ref {backend}", sampler=backend, backward=f"{backend}_backward", calls=CALLS)
    for backend in ("cpu", "vectorised", "literal")
}
OURS["tps"] = _ours("stn_ref", tps="tps", calls={"tps": "ThinPlateSpline"})

PEERS = {
    "pytorch": Peer(
        "PyTorch",
        "torch",
        ("torch",),
        "pytorch",
        "pytorch_backward",
        calls={"sampler": "grid_sample", "backward": "autograd"},
    ),
    "kornia": Peer(
        "Kornia",
        "kornia",
        ("kornia",),
        "kornia",
        "kornia_backward",
        "kornia_tps",
        {"sampler": "remap", "backward": "autograd", "tps": "get_tps_transform"},
        "`remap` takes pixels and always normalises them as for `align_corners=True`; it ignores the flag "
        "(kornia#4504). With `align_corners=False`, its default, most claims fail for this one reason. With True, "
        "only those claims fail that PyTorch's grid_sample, which it calls, violates, too.",
    ),
    "jax": Peer(
        "JAX",
        "jax",
        ("jax",),
        "jax",
        "jax_backward",
        calls={"sampler": "map_coordinates", "backward": "vjp"},
        remark="With `border` and `reflection` it takes the slope to the right on the outer pixel centres as well. "
        "This is one of the two one-sided slopes; PyTorch takes 0 there.",
    ),
    "scipy": Peer(
        "SciPy",
        "scipy",
        ("scipy",),
        "scipy",
        tps="scipy_tps",
        calls={"sampler": "map_coordinates", "tps": "RBFInterpolator"},
        remark="Its order 3 is a spline through the pixels, not Keys' cubic convolution, so it is no `bicubic`.",
    ),
    "skimage": Peer(
        "scikit-image",
        "skimage",
        ("scikit-image",),
        "skimage",
        tps="skimage_tps",
        calls={"sampler": "warp", "tps": "ThinPlateSplineTransform"},
        remark="Given an array of coordinates, `warp` calls SciPy's `map_coordinates`.",
    ),
    "opencv": Peer(
        "OpenCV",
        "cv2",
        ("opencv-python-headless", "opencv-python"),
        "opencv",
        calls={"sampler": "remap"},
        remark="Points are float32 for images of every dtype. Images of float64, which the claims use, are read in "
        "steps of 1/32 pixel; images of float32 are not (measured in 5.0).",
    ),
}
