"""Errors and accuracies that others published, for comparison with ours."""

TABLE_1 = {  # net -> distortion -> test error in %, from at least two sources; TC is from the paper's text
    "fcn": {"R": 2.1, "RTS": 5.2, "P": 3.1, "E": 3.2, "TC": 13.2},
    "cnn": {"R": 1.2, "RTS": 0.8, "P": 1.5, "E": 1.4, "TC": 3.5},
    "st-fcn-affine": {"R": 1.2, "RTS": 0.8, "P": 1.5, "E": 2.7, "TC": 2.0},
    "st-fcn-projective": {"R": 1.3, "RTS": 0.9, "P": 1.4, "E": 2.6},
    "st-fcn-tps": {"R": 1.1, "RTS": 0.8, "P": 1.4, "E": 2.4},
    "st-cnn-affine": {"R": 0.7, "RTS": 0.5, "P": 0.8, "E": 1.2, "TC": 1.7},
    "st-cnn-projective": {"R": 0.8, "RTS": 0.6, "P": 0.8, "E": 1.3},
    "st-cnn-tps": {"R": 0.7, "RTS": 0.5, "P": 0.8, "E": 1.1},
}
ADDITION = {  # MNIST addition: net -> test error in %
    "fcn": 47.7,
    "cnn": 14.7,
    "st-fcn-affine": 22.6,  # this and the next two are from one source only
    "2xst-fcn-affine": 9.0,
    "2xst-fcn-projective": 5.9,
    "2xst-fcn-tps": 5.8,
}
CIFAR10_CORRECT = (  # of 10,000 test images after each of 50 epochs, as the README of `cifar10` logged them
    *(3439, 4266, 4567, 4790, 5053, 5157, 5332, 5392, 5550, 5854, 5591, 5873, 5690, 5980, 6220, 6205, 6148),
    *(6283, 6403, 6198, 6358, 6261, 6279, 6380, 6385, 6394, 6589, 6490, 6216, 6535, 6298, 6127, 6566, 6522),
    *(6130, 6141, 6424, 6624, 6507, 6579, 6246, 6487, 6565, 6616, 6532, 6424, 6403, 6565, 6668, 6568),
)
