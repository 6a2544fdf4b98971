"""Figures about invariance and learning: pooling, the loss basin, learned warps and grids over the epochs."""

import functools

import numpy as np

from stn_ref import data, models, sampler, transforms
from stn_ref.grid import GridGenerator
from stn_ref.lab import invariance
from stn_ref.nn import MaxPool2d
from stn_ref.plotting import pooling, style
from stn_ref.plotting.gallery.drawing import Drawing, digit
from stn_ref.plotting.grids import show
from stn_ref.training import Config, Trainer

EPOCHS, SHOWN = 6, (0, 1, 2, 4, 6)  # of the training that two figures show, and the epochs drawn


def pooling_shifts() -> Drawing:
    """Draw one bright pixel in a 4x4 image and its eight shifts, pooled 2x2; frames mark unchanged outputs."""
    fig = style.figure(7.4, 2.5)
    image, pool = np.zeros((4, 4)), MaxPool2d(2).eval()
    image[1, 1] = 1
    before = pool.forward(image[None, None])[0, 0]
    same = []
    columns = fig.subplots(2, 9).T
    for column, (dy, dx) in zip(columns, [(0, 0), *invariance.SHIFTS], strict=True):
        shifted = invariance.shifted(image, dy, dx)
        after = pool.forward(shifted[None, None])[0, 0]
        same.append(bool((after == before).all()))
        for ax, picture in zip(column, (shifted, after), strict=True):
            ax.imshow(picture, cmap=style.IMAGES, vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
        column[0].axhline(1.5, color="white", lw=1)
        column[0].axvline(1.5, color="white", lw=1)
        colour = style.OKABE_ITO["green" if same[-1] else "vermillion"]
        column[1].spines[:].set(visible=True, color=colour, linewidth=3, linestyle="-" if same[-1] else ":")
        column[0].set_title("image" if (dy, dx) == (0, 0) else f"({dx}, {dy})", size=9)
        column[1].set_xlabel("stays" if same[-1] else "changes", size=9)
    columns[0][0].set_ylabel("4 × 4 pixels", size=9)
    columns[0][1].set_ylabel("pooled 2 × 2", size=9)
    return Drawing(
        fig,
        "An image with one bright pixel, at the inner corner of its window, and its eight shifts by one pixel, each "
        "with its 2x2 max-pooled output: three outputs stay, five change.",
        "Of the eight shifts of a single bright pixel, three leave the output of 2x2 max-pooling as it was.",
        {"stays": np.array(same, float)},
    )


def pooling_counts() -> Drawing:
    """Draw the counts of lab/invariance.py."""
    return Drawing(
        pooling.pooling_figure(),
        "For each place of the maximum in a 2x2 and a 3x3 window, how many of 8 shifts leave the output as it was: 3 "
        "everywhere; 3 at the corners, 5 at the edges, 8 in the centre.",
        '"3 of 8" and "5 of 8" hold for one isolated maximum, the second in the middle of an edge only.',
        {str(k): invariance.isolated_counts(k) for k in (2, 3)},
    )


def loss_basin() -> Drawing:
    """Draw the squared difference between a digit and its transformed copy, over angle and shift."""
    fig = style.figure(6.4, 4.4)
    ax = fig.subplots()
    U, family = digit(4), transforms.get("rigid")
    angles, shifts = np.linspace(-180, 180, 73), np.linspace(-1, 1, 41)
    a, t = np.meshgrid(np.radians(angles), shifts, indexing="ij")
    theta = np.stack([a.ravel(), t.ravel(), np.zeros(a.size)], axis=1)
    points = GridGenerator(family, (28, 28)).eval().forward(theta, (28, 28))
    V = sampler.sample(np.broadcast_to(U, (len(theta), 1, 28, 28)).copy(), points)
    loss = ((V - U) ** 2).mean((1, 2, 3)).reshape(a.shape)
    picture = ax.pcolormesh(shifts, angles, loss, cmap=style.IMAGES, shading="nearest", rasterized=True)
    ax.contour(shifts, angles, loss, levels=8, colors="white", linewidths=0.6)
    ax.plot(0, 0, "*", ms=16, color=style.OKABE_ITO["vermillion"], mec="white")
    ax.set(xlabel="shift t_x, normalised", ylabel="angle, degrees", title="Loss of a rotated and shifted 4")
    fig.colorbar(picture, label="mean squared difference")
    return Drawing(
        fig,
        "A map of the loss over shift and angle: one deep basin around no shift and no rotation, some 60 degrees and a "
        "fifth of the image wide, with flat ground and shallow basins elsewhere.",
        "Gradient descent finds the digit from inside the basin only: begin at the identity, and take small steps.",
        {"loss": loss[::6, ::5]},
        suffix="png",
    )


@functools.cache
def _training() -> tuple:
    """Train a small ST-CNN on RTS digits; return five of them, U, and a dict epoch -> (theta, points, V) of U."""
    dataset = data.load(n_train=4000, n_val=200, n_test=200, seed=0)
    first = [int(np.flatnonzero(dataset.test_labels == label)[0]) for label in (2, 3, 4, 5, 7)]
    U = data.fixed_distortion(dataset.test_images[first], "RTS", 0).images
    trainer = Trainer(Config(model="st-cnn-affine", distortion="RTS", epochs=EPOCHS, seed=0), dataset)
    looks = {0: models.transformer_of(trainer.net).look(U)}
    for row in trainer.epochs():
        looks[row.epoch] = models.transformer_of(trainer.net).look(U)
    return U, looks


def learned_warps() -> Drawing:
    """Draw the output of a trained transformer for digits that are turned, scaled and moved on the canvas."""
    U, looks = _training()
    _, points, V = looks[EPOCHS]
    fig = style.figure(7.2, 3.3)
    axes = fig.subplots(2, len(U))
    for b in range(len(U)):
        show(*axes[:, b], U[b, 0], points[b], V[b, 0])
    axes[0, 0].set_ylabel("input U")
    axes[1, 0].set_ylabel("output V")
    return Drawing(
        fig,
        "Five digits, turned and anywhere on the canvas, with the grid that a trained transformer samples them on, and "
        "below them what comes out: the digit in the middle, enlarged.",
        "Before and after: trained on the class labels alone, the transformer has learnt to find the digit.",
        {"theta": looks[EPOCHS][0]},
        suffix="png",
        tolerance=0.5,  # training amplifies the last bits, which differ from machine to machine
    )


def grid_over_training() -> Drawing:
    """Draw the grid over one digit, epoch by epoch."""
    U, looks = _training()
    fig = style.figure(7.2, 3.3)
    axes = fig.subplots(2, len(SHOWN))
    for column, epoch in zip(axes.T, SHOWN, strict=True):
        _, points, V = looks[epoch]
        show(*column, U[3, 0], points[3], V[3, 0])
        column[0].set_title("start" if epoch == 0 else f"epoch {epoch}")
    return Drawing(
        fig,
        "One digit five times, with the sampling grid at the start, square on the image, and after more and more "
        "epochs, drawn together on the digit; below what is sampled.",
        "The grid leaves the identity during training, driven by the loss of the classifier alone.",
        {str(epoch): looks[epoch][0][3] for epoch in SHOWN},
        suffix="png",
        tolerance=0.5,
    )
