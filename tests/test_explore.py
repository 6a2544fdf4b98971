"""The explorer shows what the sampler computes, and follows sliders and mouse. No window is needed to test it."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import coordinates, transforms
from stn_ref.cli import main
from stn_ref.plotting.explore import Explorer, State


@pytest.fixture
def explorer(rng):
    made = []

    def make(family):
        made.append(Explorer(rng.random((9, 13)), transforms.get(family)))
        return made[-1]

    yield make
    for one in made:
        plt.close(one.figure)


def test_the_gradient_shown_is_that_of_the_chosen_pixel(rng):
    U, h = rng.random((9, 13)), 1e-6
    theta = np.array([0.8, 0.2, 0.05, -0.1, 0.9, 0.02])
    state = State(U, transforms.get("affine"), theta, (4, 5))
    assert_allclose(state.gU.sum(), 1, rtol=1e-12)  # four weights
    for k in range(6):
        up, down = (State(U, state.transform, theta + s * h * np.eye(6)[k], (4, 5)).V[4, 5] for s in (1, -1))
        assert_allclose(state.gtheta[k], (up - down) / (2 * h), atol=1e-8)


def test_at_the_identity_the_output_is_the_input(rng):
    U = rng.random((9, 13))
    assert_array_equal(State(U, transforms.get("tps")).V, U)


def test_a_slider_moves_theta(explorer):
    window = explorer("similarity")
    assert [slider.label.get_text() for slider in window.sliders] == ["s", "alpha", "t_x", "t_y"]
    window.sliders[1].set_val(0.5)
    assert window.state.theta.tolist() == [1, 0.5, 0, 0]
    assert not np.array_equal(window.state.V, window.state.U)


def event(ax, x, y):
    return SimpleNamespace(inaxes=ax, xdata=x, ydata=y)


def test_a_click_on_the_output_chooses_a_pixel(explorer):
    window = explorer("affine")
    window._pressed(event(window.axes[1], 7.2, 2.9))
    assert window.state.pixel == (3, 7)
    window._pressed(event(window.axes[1], -0.5, 8.5))
    assert window.state.pixel == (8, 0)


def test_a_control_point_is_dragged(explorer):
    window = explorer("tps")
    assert window.sliders == []
    x, y = coordinates.to_pixels(window.state.theta.reshape(-1, 2)[5], (9, 13), False)
    window._pressed(event(window.axes[0], x + 0.3, y))
    window._moved(event(window.axes[0], x + 2, y - 1))
    window._released(event(window.axes[0], x + 2, y - 1))
    moved = coordinates.to_pixels(window.state.theta.reshape(-1, 2), (9, 13), False)
    assert_allclose(moved[5], [x + 2, y - 1])
    window._moved(event(window.axes[0], 0, 0))  # let go: nothing follows the mouse any more
    assert_allclose(coordinates.to_pixels(window.state.theta.reshape(-1, 2), (9, 13), False), moved)


def test_without_a_display_the_command_says_what_to_do(capsys):
    assert main(["explore"]) == 2
    assert "explore needs a window, and matplotlib's backend here is 'agg'" in capsys.readouterr().err.lower()
