"""The mini autodiff: layers with explicit forward and backward.

Reading order: param.py, memory.py, errors.py, layer.py, activation.py, linear.py, conv.py, pooling.py, dropout.py,
loss.py, schedule.py, optim.py.
"""

from stn_ref.nn.activation import Flatten, ReLU, Sigmoid, Tanh
from stn_ref.nn.conv import Conv2d
from stn_ref.nn.dropout import Dropout, Dropout2d
from stn_ref.nn.layer import Layer, Param, Sequential
from stn_ref.nn.linear import Linear
from stn_ref.nn.loss import MeanSquaredError, SoftmaxCrossEntropy
from stn_ref.nn.optim import SGD, Adam, clip_grad_norm
from stn_ref.nn.pooling import AvgPool2d, MaxPool2d
from stn_ref.nn.schedule import CosineRate, StepRate, WarmUp

__all__ = [
    "SGD",
    "Adam",
    "AvgPool2d",
    "Conv2d",
    "CosineRate",
    "Dropout",
    "Dropout2d",
    "Flatten",
    "Layer",
    "Linear",
    "MaxPool2d",
    "MeanSquaredError",
    "Param",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "SoftmaxCrossEntropy",
    "StepRate",
    "Tanh",
    "WarmUp",
    "clip_grad_norm",
]
