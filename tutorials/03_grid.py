# %% [markdown]
# # 03 The grid
#
# **You will** move, turn, enlarge and crop a digit with six numbers, and build the sampling grid by hand.
# **You will learn** why $T_\theta$ maps the output to the input, why no matrix is ever inverted, and how coordinates
# from $-1$ to 1 become pixels. **You need** NumPy arrays, and how to multiply a matrix by a vector. Time: 20 minutes
# to read, some seconds to run.
#
# ## The question
#
# A spatial transformer turns an input image $U$ into an output image $V$. In between stands a grid: for every pixel of
# $V$ a point $(x_s, y_s)$ of $U$, the *source*, where its value is to be read. Six numbers $\theta$ say where:
#
# $$\begin{pmatrix} x_s \\ y_s \end{pmatrix} = T_\theta(G) = \begin{pmatrix} \theta_{11} & \theta_{12} & \theta_{13} \\
#   \theta_{21} & \theta_{22} & \theta_{23} \end{pmatrix} \begin{pmatrix} x_t \\ y_t \\ 1 \end{pmatrix}
#   \qquad \text{(Eq. 1)}$$
#
# $G$ is the regular grid of the output pixels $(x_t, y_t)$, the *targets*. In both images $x$ runs from $-1$ at the
# left to 1 at the right, $y$ from $-1$ at the top to 1 at the bottom. In a transformer a small net looks at $U$ and
# puts $\theta$ out; here we choose it ourselves. But why from target to source, and not the way the picture moves?

# %%
import matplotlib.pyplot as plt
import numpy as np

from stn_ref import affine_grid, coordinates, data, grid_sample
from stn_ref.plotting import grids, style

plt.rcParams.update(style.RC)
blue, vermillion = style.OKABE_ITO["blue"], style.OKABE_ITO["vermillion"]

digits = data.load(n_train=1, n_val=1, n_test=20, seed=0)
U = data.to_float(digits.test_images[14:15]).astype(np.float64)  # a 4: (N, C, H, W) = (1, 1, 28, 28)


def show(ax, image, title):
    Ho, Wo = image.shape
    ax.imshow(image, cmap=style.IMAGES, vmin=0, vmax=1)
    ax.set(title=title, xlabel="x (pixels)", xticks=[0, Wo - 1], yticks=[0, Ho - 1])


# %% [markdown]
# ## Predict
#
# Let $\theta = \begin{pmatrix} 1 & 0 & 0.5 \\ 0 & 1 & 0 \end{pmatrix}$, so $x_s = x_t + 0.5$. By how many of its 28
# pixels will the digit move, and which way? (To the right counts as positive.)

# %%
my_shift = None  # a number of pixels: edit this line, then run on

# %% [markdown]
# ## Run

# %%
theta = np.array([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]])  # (N, 2, 3)
grid = affine_grid(theta, U.shape)  # (N, Ho, Wo, 2): T_theta(G)
V = grid_sample(U, grid)
points = coordinates.to_pixels(grid, (28, 28), align_corners=False)  # the same points, counted in pixels

fig, axes = plt.subplots(1, 2, figsize=(6.5, 3), layout="constrained", sharey=True, width_ratios=[35, 28])
show(axes[0], U[0, 0], "U, and where it is read")
grids.draw_points(axes[0], points[0])
show(axes[1], V[0, 0], "V, what was read")
axes[0].set(ylabel="y (pixels)")
plt.show()

m = np.arange(28)  # the mean column of the ink, before and after
shift = (V * m).sum() / V.sum() - (U * m).sum() / U.sum()
print(f"the digit moved by {shift:.2f} pixels; you said:", "nothing yet" if my_shift is None else my_shift)
assert np.isclose(shift, -7) and np.allclose(V[..., :21], U[..., 7:])

# %% [markdown]
# Seven pixels to the **left** (0.5 of half the width, which is 14). The window through which we look moved to the
# right, from $[-1, 1]$ to $[-0.5, 1.5]$, so the digit stands farther left in it, as a face does when you turn your
# camera to the right. In the same way a factor of 0.5 looks at half of the image and so *enlarges* the digit. $\theta$
# describes the window, not the digit. Where the window hangs over the edge of $U$, zeros are read.
#
# ## Look into it: push or pull?
#
# Suppose you thought of the digit instead: "enlarge it 1.2 times and turn it clockwise by 45°", a matrix $A$ from input
# to output. *Push* every pixel of $U$ to where $A$ takes it, and round to the nearest pixel of $V$:

# %%
angle, factor = np.deg2rad(45), 1.2
c, s = np.cos(angle), np.sin(angle)
A = factor * np.array([[c, -s], [s, c]])  # the way of the content: source to target
middle = np.array([13.5, 13.5])  # pixels (x, y)

pushed, hits = np.zeros((28, 28)), np.zeros((28, 28), int)  # hits: how many values arrive
for n in range(28):
    for m in range(28):
        j, i = np.rint(A @ ((m, n) - middle) + middle).astype(int)
        if 0 <= i < 28 and 0 <= j < 28:
            pushed[i, j] = U[0, 0, n, m]
            hits[i, j] += 1

# %% [markdown]
# Or *pull*: for every pixel of $V$ ask where it comes from. The same picture is seen by a window that is turned *back*
# and 1.2 times *smaller*, and that matrix we can write down just as easily as the first:
#
# $$\theta = \frac{1}{1.2} \begin{pmatrix} \cos 45° & \sin 45° & 0 \\ -\sin 45° & \cos 45° & 0 \end{pmatrix}$$

# %%
theta = np.array([[[c, s, 0], [-s, c, 0]]]) / factor
pulled = grid_sample(U, affine_grid(theta, U.shape))[0, 0]

fig, axes = plt.subplots(1, 3, figsize=(7, 3), layout="constrained", sharey=True)
show(axes[0], pushed, "pushed")
axes[1].imshow(hits > 0, cmap="Greys", vmin=0, vmax=6)
for count, colour, marker, label in ((0, vermillion, "x", "no value"), (2, blue, "o", "two values")):
    i, j = np.nonzero(hits == count)
    axes[1].plot(j, i, marker, color=colour, ms=3, label=label)
axes[1].set(title="pushed: values per pixel", xlabel="x (pixels)")
axes[1].legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2, fontsize=9, frameon=False, handletextpad=0)
show(axes[2], pulled, "pulled")
axes[0].set(ylabel="y (pixels)")
plt.show()

inner = hits[7:21, 7:21]  # here all of V comes from inside U
print(f"of {inner.size} pixels in the middle, {(inner == 0).sum()} get nothing and {(inner > 1).sum()} get two values")
assert (inner == 0).any() and (inner > 1).any()

# %% [markdown]
# Pushing leaves **holes**, since fewer pixels arrive than there are places. And though the map enlarges, there are
# **collisions**: in those pixels the last one to arrive won. And a rounded place has the derivative 0, so nothing could
# be learnt. (You can push softly and share every pixel out among its neighbours. Then you must divide by what arrived,
# and in a hole that is 0.) Pulling gives every pixel of $V$ exactly one value, by construction.
#
# ## Why nobody inverts a matrix
#
# You may read that the transformation "must be inverted" before it is sampled. Here is what is meant. *If* somebody
# hands you $A$, the way the content moves, you need $A^{-1}$ to pull. But nobody hands a spatial transformer an $A$.
# The net puts out numbers, and by Eq. (1) these numbers *are* target to source. The loss is computed with that reading,
# and so is its gradient: in that sense they are learnt, from the first step on. So the matrix must *not* be inverted:
# that would sample somewhere else. An inverse need not even exist:

# %%
singular = np.array([[[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])  # determinant 0; y_s = 0 for every pixel
V = grid_sample(U, affine_grid(singular, U.shape))  # every row is the middle of U, between rows 13 and 14
assert np.allclose(V, (U[:, :, 13:14] + U[:, :, 14:15]) / 2)

# %% [markdown]
# ## Look into it: $T_\theta(G)$, step by step
#
# An output of $H_o \times W_o = 2 \times 4$ pixels. First $G$. Pixel $j$ of $W_o$ has its centre at
# $x_t = (2j + 1 - W_o) / W_o$; then Eq. (1), once for each pixel:

# %%
Ho, Wo = 2, 4
theta = np.array([[[0.5, -0.2, 0.1], [0.3, 0.8, -0.4]]])
x_t = (2 * np.arange(Wo) + 1 - Wo) / Wo
y_t = (2 * np.arange(Ho) + 1 - Ho) / Ho
by_hand = np.empty((1, Ho, Wo, 2))
for i in range(Ho):
    for j in range(Wo):
        by_hand[0, i, j] = theta[0] @ [x_t[j], y_t[i], 1]  # (x_s, y_s)
grid = affine_grid(theta, (1, 1, Ho, Wo))
print("x_t", x_t, " y_t", y_t, " grid[0, 0, 0]", grid[0, 0, 0])
assert np.allclose(grid, by_hand, rtol=1e-15)

# %% [markdown]
# Three traps. Arrays are indexed $[i, j]$, row first, but a point is $(x, y)$, column first. The grid has the size of
# $V$; $U$ has not been mentioned. And 1 means half a width along $x$, half a height along $y$: on an image that is not
# square, a rotation matrix shears (tutorial 02 has the remedy).
#
# ## Look into it: from $-1 \ldots 1$ to pixels
#
# The sampler counts pixels, with 0 at the centre of the first one. The paper does not say how to get there. Two
# conventions are in use, under the name `align_corners`: 1 is the right *edge* of the last pixel, or its *centre*.

# %%
fig, axes = plt.subplots(2, 1, figsize=(6.5, 3.4), layout="constrained", sharex=True)
for ax, align_corners in zip(axes, (False, True), strict=True):
    ax.bar(range(4), 1, width=1, color="#eeeeee", edgecolor="black", zorder=0)
    normalised = coordinates.target_axis(4, align_corners, np.float64)
    ax.plot(range(4), [0.5] * 4, "o", color="black")
    for m in range(4):
        ax.text(m, 0.66, f"{normalised[m]:.3g}", ha="center", bbox={"fc": "#eeeeee", "ec": "none", "pad": 1})
    ends = coordinates.to_pixels(np.array([[-1.0, -1.0], [1.0, 1.0]]), (1, 4), align_corners)[:, 0]
    for end, label in zip(ends, ("−1", "1"), strict=True):
        ax.plot([end, end], [0, 1.25], "--", color=vermillion, lw=2, zorder=1)
        ax.text(end, 1.28, label, color=vermillion, ha="center", weight="bold")
    ax.spines["left"].set_visible(False)
    ax.set(title=f"align_corners={align_corners}", yticks=[], xticks=range(4), ylim=(0, 1.6))
axes[1].set_xlabel("x (pixels)")
plt.show()

# %% [markdown]
# | `align_corners` | $-1$ and 1 are | $x$ in pixels | pixels for each unit of $x$ |
# |---|---|---|---|
# | `False` (default here, and in PyTorch) | the outer edges | $((x + 1) W - 1) / 2$ | $W / 2$ |
# | `True` | the centres of the corner pixels | $(x + 1) (W - 1) / 2$ | $(W - 1) / 2$ |
#
# The last column is a derivative. The chain rule multiplies every slope with respect to $x_s$ by it, $W$ for $x$ and
# $H$ for $y$ (tutorial 05); forget it, and every gradient is off by that factor.
#
# ## Change it: the output has its own size
#
# $\theta$ says *what* is looked at, the size of the grid how *finely*. Here is the same window at two sizes:

# %%
theta = np.array([[[0.75, 0.0, -0.05], [0.0, 0.75, 0.1]]])
fig, axes = plt.subplots(1, 3, figsize=(7, 2.8), layout="constrained")
show(axes[0], U[0, 0], "U, 28 × 28")
grids.draw_points(axes[0], coordinates.to_pixels(affine_grid(theta, (1, 1, 28, 28)), (28, 28), False)[0])
for ax, size in zip(axes[1:], (10, 56), strict=True):
    V = grid_sample(U, affine_grid(theta, (1, 1, size, size)))
    show(ax, V[0, 0], f"V, {size} × {size}")
plt.show()

# %% [markdown]
# ## The identity is exact
#
# $\theta = (1, 0, 0, 0, 1, 0)$ must return the image. By way of normalised points it does so up to rounding. That is
# why `GridGenerator`, which every transformer here uses, computes the distance $T_\theta(G) - G$ instead, straight in
# pixels: 0 has no rounding error. Tutorial 06 puts it to the test, and shows why the last bit matters.
#
# ## Exercises
#
# **1.** Somebody describes the content: "output $= 1.25 \cdot$ input $+\, (0.5, -0.25)$", in normalised coordinates.
# Write the $\theta$ that shows this picture. (The one situation in which you do have to think backwards.)

# %% tags=["exercise"]
my_theta = [[1.25, 0.0, 0.5], [0.0, 1.25, -0.25]]


# %%
def check_theta(theta):
    """Content at source point p must appear at 1.25 p + (0.5, -0.25)."""
    theta = np.array(theta, float)
    for p in ([0.0, 0.0], [0.4, 0.0], [0.0, -0.4]):
        target = 1.25 * np.array(p) + [0.5, -0.25]
        read = theta @ [*target, 1]
        if not np.allclose(read, p):
            print(f"not yet: the content at {p} belongs to {target}; there your theta reads {np.round(read, 3)}.")
            print("Solve target = 1.25 source + shift for the source: theta takes a target and gives its source.")
            return False
    _, ax = plt.subplots(figsize=(2.5, 2.7), layout="constrained")
    show(ax, grid_sample(U, affine_grid(theta[None], U.shape))[0, 0], "V")
    plt.show()
    print("check_theta: right")
    return True


# %% tags=["exercise"]
check_theta(my_theta)

# %% [markdown]
# **2.** A crop. Write the $\theta$ with which an output of $h \times w$ pixels is exactly
# `U[..., y0 : y0 + h, x0 : x0 + w]`, for $U$ of $H \times W$ pixels and `align_corners=False`.


# %% tags=["exercise"]
def my_crop(y0, x0, h, w, H, W):
    return [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]  # your code


# %%
def check_crop(f):
    """Compare the sampling points with the pixels of the crop, on images that are not square."""
    for y0, x0, h, w, H, W in ((0, 0, 5, 7, 5, 7), (0, 0, 5, 3, 5, 7), (2, 3, 2, 3, 5, 7), (5, 6, 21, 15, 28, 28)):
        theta = np.array(f(y0, x0, h, w, H, W), float)[None]
        points = coordinates.to_pixels(affine_grid(theta, (1, 1, h, w)), (H, W), False)[0]
        n, m = np.mgrid[y0 : y0 + h, x0 : x0 + w]
        wanted = np.stack([m, n], axis=-1)
        if not np.allclose(points, wanted):
            print(f"not yet: for {y0=}, {x0=}, {h=}, {w=}, {H=}, {W=} the window runs, in pixels (x, y),")
            print(f"from {points[0, 0].round(2)} to {points[-1, -1].round(2)}, not {wanted[0, 0]} to {wanted[-1, -1]}.")
            print("How wide is the window, as a part of the image? Where is its middle, from -1 to 1?")
            return False
    _, ax = plt.subplots(figsize=(2.5, 2.7), layout="constrained")
    show(ax, grid_sample(U, affine_grid(theta, (1, 1, h, w)))[0, 0], f"{h} × {w} of {H} × {W}")
    plt.show()
    print("check_crop: right")
    return True


# %% tags=["exercise"]
check_crop(my_crop)

# %% [markdown]
# ## Solutions

# %% tags=["solution"]
check_theta([[0.8, 0.0, -0.4], [0.0, 0.8, 0.2]])  # source = (target - shift) / 1.25


# %% tags=["solution"]
def crop(y0, x0, h, w, H, W):
    """The window is w / W of the image; its middle, x0 + w / 2 pixels from the left edge, is at theta13."""
    return [[w / W, 0.0, (2 * x0 + w) / W - 1], [0.0, h / H, (2 * y0 + h) / H - 1]]


check_crop(crop)

# %% [markdown]
# **Read next:** 04, sampling by hand: the value of an image between its pixels.
