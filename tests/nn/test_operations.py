"""The operations of a training step, counted by hand."""

import numpy as np

from stn_ref import SpatialTransformer, models, nn, transforms
from stn_ref.nn.operations import step_operations

ONE = np.float32([1, 0, 0, 0, 1, 0])  # the identity


def test_operations_of_a_step_are_three_products_a_layer_but_two_for_the_first(rng):
    net = nn.Sequential(nn.Conv2d(2, 3, (3, 5), rng), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 4 * 2, 7, rng))
    U = rng.random((5, 2, 6, 6), dtype=np.float32)
    conv, linear = 2 * (5 * 3 * 4 * 2) * (2 * 3 * 5), 2 * (5 * 7) * 24  # by hand: outputs times terms
    assert step_operations(net, U) == (conv + linear, conv + 2 * linear)
    net.forward(U)  # nothing waits for a backward, nothing is left on the layers
    assert not any("forward" in vars(layer) for layer in net.layers)


def test_the_first_layer_after_a_flatten_needs_no_gradient_of_its_input(rng):
    net = models.build("fcn", 28, rng)
    U = rng.random((4, 1, 28, 28), dtype=np.float32)
    assert step_operations(net, U) == (
        2 * 4 * (784 * 256 + 256 * 200 + 200 * 10),
        2 * 4 * (784 * 256 + 2 * 256 * 200 + 2 * 200 * 10),
    )


def test_the_first_layer_after_a_pooling_needs_no_gradient_of_its_input_but_one_after_a_transformer_does(rng):
    f_loc = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(1, 2, 3, rng), nn.Flatten(), nn.Linear.constant(2 * 2 * 2, ONE))
    net = nn.Sequential(SpatialTransformer(f_loc, transforms.get("affine")), nn.Flatten(), nn.Linear(64, 3, rng))
    U = rng.random((5, 1, 8, 8), dtype=np.float32)
    conv, regression, classifier = (2 * 5 * n for n in (8 * 9, 6 * 8, 3 * 64))
    assert step_operations(net, U) == (conv + regression + classifier, conv + 2 * (regression + classifier))
    assert not any(param.grad.any() for param in net.params())
