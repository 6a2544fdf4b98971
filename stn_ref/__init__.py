"""stn_ref: the executable reference for Spatial Transformer Networks (Jaderberg et al. 2015, arXiv 1506.02025).

Read it in the order of the paper:

    nn/layer.py                   the mini autodiff: forward and backward side by side
    localisation.py    Sec. 3.1   theta = f_loc(U)
    transforms/        Sec. 3.2   T_theta, Eqs. (1) and (2)
    coordinates.py                normalised coordinates and pixels
    grid.py            Sec. 3.2   T_theta(G)
    kernels/           Sec. 3.3   k of Eqs. (4) and (5), scalar_math.py; Eqs. (3)-(7) as sums, literal.py; fast backends
    sampler.py         Sec. 3.3   V and its gradients
    second_order.py               forward mode, and the gradient of the gradients
    kernel_sampler.py  Sec. 3.3   Eq. (3) with kernels whose width is learnt, or follows the map: antialiasing
    transformer.py     Sec. 3.4   the module
    several.py         Sec. 3.4   several transformers in parallel
    data/              Sec. 4     digits and their distortions
    models.py          Sec. 4     the nets of Table 1, and two nets that others published
    training/                     the training loop; consistency.py, a loss that is not in the paper
    gradcheck/                    finite differences that detect kinks
    conformance/                  claims that every sampler must fulfil, and a museum of samplers that do not
    plotting/                     figures
    lab/               Sec. 4     measurements: the published experiments and their results, speed and memory
    cli/                          the command line

Names are imported at their first use: `import stn_ref` compiles nothing and loads neither numba nor matplotlib.
"""

import importlib
import sys

__version__ = "0.1.0"

_HOME = {  # public name -> the module that defines it
    "affine_grid": "grid",
    "affine_grid_backward": "grid",
    "grid_sample": "sampler",
    "grid_sample_backward": "sampler",
    "grid_sample_jvp": "second_order",
    "grid_sample_double_backward": "second_order",
    "set_num_threads": "kernels.cpu.threads",
    "get_num_threads": "kernels.cpu.threads",
    "GridGenerator": "grid",
    "Sampler": "sampler",
    "SpatialTransformer": "transformer",
    "AntialiasedSampler": "kernel_sampler",
    "KernelSampler": "kernel_sampler",
    "kernel_sample": "kernel_sampler",
    "kernel_sample_backward": "kernel_sampler",
}
_MODULES = ("coordinates", "data", "gradcheck", "models", "nn", "plotting", "training", "transforms")

__all__ = [*_HOME, *_MODULES, "__version__"]


def __getattr__(name: str):
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    __import__(f"{__name__}.{_HOME[name]}")  # not import_module: up to Python 3.10 a fork can leave its lock locked
    value = globals()[name] = getattr(sys.modules[f"{__name__}.{_HOME[name]}"], name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
