"""The same nets and the same sampler in PyTorch, for `stn-ref bench`, the only code that imports this file."""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from stn_ref import nn
from stn_ref.transformer import SpatialTransformer


class Look(torch.nn.Module):
    """SpatialTransformer with PyTorch's affine_grid and grid_sample."""

    def __init__(self, ours: SpatialTransformer):
        super().__init__()
        self.localisation = twin(ours.localisation)
        self.family, self.out_size = ours.grid.transform.name, ours.grid.out_size

    def forward(self, U):
        """Return V."""
        theta = self.localisation(U)
        if self.family == "attention":
            s, t_x, t_y = theta.unbind(1)
            zero = torch.zeros_like(s)
            theta = torch.stack([s, zero, t_x, zero, s, t_y], dim=1)
        size = (*U.shape[:2], *(self.out_size or U.shape[2:]))
        grid = F.affine_grid(theta.view(-1, 2, 3), size, align_corners=False)
        return F.grid_sample(U, grid, align_corners=False)


def twin(layer: nn.Layer) -> torch.nn.Module:
    """Return the PyTorch module that computes what `layer` does, with a copy of its weights."""
    if isinstance(layer, nn.Sequential):
        return torch.nn.Sequential(*map(twin, layer.layers))
    if isinstance(layer, SpatialTransformer):
        return Look(layer)
    if isinstance(layer, nn.Linear):
        n_out, n_in = layer.W.value.shape
        return _with_weights(torch.nn.Linear(n_in, n_out), layer)
    if isinstance(layer, nn.Conv2d):
        c_out, c_in, *kernel = layer.W.value.shape
        return _with_weights(torch.nn.Conv2d(c_in, c_out, kernel, layer.stride, layer.padding), layer)
    if isinstance(layer, nn.MaxPool2d):
        return torch.nn.MaxPool2d(layer.kernel, layer.stride)
    if isinstance(layer, nn.AvgPool2d):
        return torch.nn.AvgPool2d(layer.kernel, layer.stride)
    if isinstance(layer, nn.Dropout):
        return (torch.nn.Dropout2d if isinstance(layer, nn.Dropout2d) else torch.nn.Dropout)(layer.p)
    plain = {nn.ReLU: torch.nn.ReLU, nn.Flatten: torch.nn.Flatten, nn.Tanh: torch.nn.Tanh}
    return plain[type(layer)]()


def _with_weights(module: torch.nn.Module, layer: nn.Layer) -> torch.nn.Module:
    W, b = (torch.from_numpy(param.value.copy()) for param in (layer.W, layer.b))
    module.weight, module.bias = torch.nn.Parameter(W), torch.nn.Parameter(b)
    return module


def torch_step(net: nn.Layer, U: np.ndarray, y: np.ndarray) -> Callable[[], float]:
    """Return a call that does one training step of the PyTorch copy of `net` and returns the loss."""
    module = twin(net)
    optimizer = torch.optim.SGD(module.parameters(), 1e-3, momentum=0.9, nesterov=True)
    U, y = torch.from_numpy(U), torch.from_numpy(y)

    def step() -> float:
        loss = F.cross_entropy(module(U), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def torch_product(n: int, K: int, dtype: str) -> Callable[[], torch.Tensor]:
    """Return a call that multiplies an (n, K) matrix by a (K, K) one."""
    A = torch.rand(n, K, dtype=getattr(torch, dtype))
    B = A[:K].clone()
    return lambda: torch.mm(A, B)


def torch_grid(theta: np.ndarray, ggrid: np.ndarray, size: tuple) -> dict[str, Callable]:
    """Return calls of PyTorch's affine_grid and of its backward without autograd."""
    theta, ggrid = torch.from_numpy(theta), torch.from_numpy(ggrid)
    return {
        "forward": lambda: F.affine_grid(theta, size, align_corners=False),
        "backward": lambda: torch.ops.aten.affine_grid_generator_backward(ggrid, size, False),
    }


def torch_grid_sampler(theta: np.ndarray, U: np.ndarray, gV: np.ndarray) -> Callable[[], tuple]:
    """Return a call of affine_grid, grid_sample and the backward of both by autograd; it returns V, gU, gtheta."""
    theta, U, gV = torch.from_numpy(theta).requires_grad_(), torch.from_numpy(U).requires_grad_(), torch.from_numpy(gV)

    def both():
        V = F.grid_sample(U, F.affine_grid(theta, gV.shape, align_corners=False), align_corners=False)
        return V.detach(), *torch.autograd.grad(V, (U, theta), gV)

    return both


def torch_sampler(
    U: np.ndarray,
    grid: np.ndarray,
    gV: np.ndarray,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    device: str = "cpu",
) -> dict[str, Callable] | None:
    """Return calls of PyTorch's grid_sample and of its backward without autograd; None if the device is missing."""
    if device == "cuda" and not torch.cuda.is_available():
        return None
    U, grid, gV = (torch.from_numpy(array).to(device) for array in (U, grid, gV))
    options = ("bilinear", "nearest", "bicubic").index(mode), ("zeros", "border", "reflection").index(padding_mode)

    return {
        "forward": lambda: F.grid_sample(U, grid, mode, padding_mode, align_corners=False),
        "backward": lambda: torch.ops.aten.grid_sampler_2d_backward(gV, U, grid, *options, False, [True, True]),
    }


def torch_layer(layer: nn.Layer, x: np.ndarray, gy: np.ndarray, *, needs: bool) -> tuple[Callable, Callable]:
    """Return two calls of the PyTorch copy of a layer: forward in training, and forward with backward.

    `needs`: whether to compute the gradient of the input x as well. gy is dL/dy.
    """
    module, x, gy = twin(layer), torch.from_numpy(x).requires_grad_(needs), torch.from_numpy(gy)

    def training():
        module.zero_grad()
        x.grad = None
        module(x).backward(gy)
        return x.grad

    return lambda: module(x), training
