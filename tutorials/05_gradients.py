# %% [markdown]
# # 05 Gradients: Eqs. (6) and (7)
#
# **You will** follow a gradient by hand from one output pixel to the six numbers of $\theta$, and then let it turn and
# move a digit into place. **You will learn** the backward pass of a transformer: two slopes, one change of unit, one
# transposed matrix. **You need** tutorials 03 and 04, or: Eqs. (1), (3), (5), and the chain rule. Time: 20 minutes to
# read, some seconds to run.
#
# ## The question
#
# Forward, $\theta$ gives points, and the points give $V$. Backward, some loss $L$ tells each output pixel how it should
# change, $\partial L / \partial V$, written `gV` here. What does that say to the pixels of $U$, and to $\theta$?

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter

from stn_ref import affine_grid_backward, coordinates, data, sampler, transforms
from stn_ref.grid import GridGenerator
from stn_ref.kernels.scalar_math import hat, hat_slope
from stn_ref.plotting import style

plt.rcParams.update(style.RC)
blue, vermillion, green = (style.OKABE_ITO[name] for name in ("blue", "vermillion", "green"))

U = np.array([[1, 0, 2, 0, 3], [2, 6, 5, 2, 0], [0, 4, 8, 6, 1], [1, 16, 12, 3, 0]], float)
H, W = U.shape
x_s, y_s = 1.75, 2.25  # between the pixels 4, 8 (row 2) and 16, 12 (row 3): V = 8.5
print(U)

# %% [markdown]
# ## Predict
#
# The point moves a little to the right. By how much does $V$ change, for each pixel of the move? (Along row 2 the
# pixels rise from 4 to 8, with the weight 0.75; along row 3 they fall from 16 to 12, with the weight 0.25.)

# %%
my_slope = None  # a number: edit this line, then run on

# %% [markdown]
# ## Run: the two slopes
#
# Start from Eqs. (3) and (5), $V = \sum_{n, m} U_{nm} \, k(x_s - m) \, k(y_s - n)$ with $k(d) = \max(0, 1 - |d|)$.
#
# **In the pixels.** $V$ is linear in $U$, and $U_{nm}$ stands in one term. Its factor is the slope. (The paper prints
# the two sums here, too. They do not belong: item 1 of `errata.md`.)
#
# $$\frac{\partial V}{\partial U_{nm}} = k(x_s - m) \, k(y_s - n) \qquad \text{(Eq. 6)}$$
#
# **In the point.** Only $k(x_s - m)$ depends on $x_s$, so put its derivative in its place:
#
# $$\frac{\partial V}{\partial x_s} = \sum_n \sum_m U_{nm} \, k'(x_s - m) \, k(y_s - n), \qquad
#   k'(d) = \begin{cases} 0 & |d| \ge 1 \\ 1 & d < 0 \\ -1 & d > 0 \end{cases} \qquad \text{(Eq. 7)}$$
#
# and for $y_s$ the same with $x$ and $y$ exchanged. At $d = 0$ the hat has a corner, at $d = \pm 1$, too. There we take
# the slope to the right; tutorial 06 is about that choice. `hat(x, m)` is $k(x - m)$, `hat_slope(x, m)` is $k'(x - m)$.


# %%
def slopes(U, x_s, y_s):
    """Return dV/dU (H, W), dV/dx_s and dV/dy_s of one output pixel."""
    dV_dU, dV_dx, dV_dy = np.zeros(U.shape), 0.0, 0.0
    for n in range(U.shape[0]):
        for m in range(U.shape[1]):
            dV_dU[n, m] = hat(x_s, m) * hat(y_s, n)  # Eq. (6)
            dV_dx += U[n, m] * hat_slope(x_s, m) * hat(y_s, n)  # Eq. (7)
            dV_dy += U[n, m] * hat(x_s, m) * hat_slope(y_s, n)
    return dV_dU, dV_dx, dV_dy


dV_dU, dV_dx, dV_dy = slopes(U, x_s, y_s)
print("dV/dx_s", dV_dx, " dV/dy_s", dV_dy, " you said:", "nothing yet" if my_slope is None else my_slope)
assert dV_dx == 0.75 * (8 - 4) + 0.25 * (12 - 16) == 2 and dV_dy == 0.25 * (16 - 4) + 0.75 * (12 - 8) == 6

x = np.linspace(-1.5, W + 0.5, 701)
line = np.stack([x, np.full_like(x, y_s)], axis=-1)[None, None]
fig, (above, below) = plt.subplots(2, 1, figsize=(6.5, 3.8), layout="constrained", sharex=True)
above.plot(x, sampler.sample(U[None, None], line).ravel(), color=blue)
below.plot(x, [slopes(U, at, y_s)[1] for at in x], color=green)
for ax, value in ((above, 8.5), (below, dV_dx)):
    ax.plot(x_s, value, "x", color=vermillion, ms=8, mew=2.5)  # our point
    ax.axhline(0, color="black", lw=0.6)
above.set(ylabel="V", title="Along y = 2.25: V in straight pieces, its slope in steps (×: our point)")
below.set(xlabel="$x_s$ (pixels)", ylabel="$\\partial V / \\partial x_s$", xticks=range(-1, W + 1))
plt.show()

# %% [markdown]
# ## Look into it: from the point to $\theta$, by hand
#
# Let our point be the second of two output pixels ($H_o = 1$, $W_o = 2$), whose target is $(x_t, y_t) = (0.5, 0)$, and
# let $L$ be its value, so `gV` is 1 for it and 0 for the other. Three steps back:
#
# 1. **The point, in pixels.** `gpoints` is `gV` times the slopes: $(2, 6)$.
# 2. **The unit.** Sec. 3.2 measures $x$ from $-1$ to 1, Eq. (3) in pixels: $x_s = ((x + 1) W - 1) / 2$. One unit of $x$
#    is $W / 2$ pixels, one of $y$ is $H / 2$ (with `align_corners=True`, $(W - 1) / 2$ and $(H - 1) / 2$). So `ggrid`
#    is $(2 \cdot 5/2, \; 6 \cdot 4/2) = (5, 12)$.
# 3. **Eq. (1) transposed.** In $x = \theta_{11} x_t + \theta_{12} y_t + \theta_{13}$ each parameter has a factor,
#    $x_t$, $y_t$ or 1, and that is its slope:
#
# $$\frac{\partial L}{\partial \theta} = \sum_{i, j} \begin{pmatrix} g_x \\ g_y \end{pmatrix}
#   \begin{pmatrix} x_t & y_t & 1 \end{pmatrix} = \begin{pmatrix} 5 \\ 12 \end{pmatrix}
#   \begin{pmatrix} 0.5 & 0 & 1 \end{pmatrix} = \begin{pmatrix} 2.5 & 0 & 5 \\ 6 & 0 & 12 \end{pmatrix}$$
#
# The whole backward pass, for any output size, is these steps in a loop over output pixels. Beside it, with random
# numbers and 3 × 4 output pixels, the library. It has a function for each step; `GridGenerator`, the layer that every
# transformer here uses, does the last two at once.


# %%
def backward_by_hand(U, theta, gV):
    """Return gU and gtheta, for one image U (H, W), theta (2, 3) and gV (Ho, Wo)."""
    (H, W), (Ho, Wo) = U.shape, gV.shape
    gU, gtheta = np.zeros(U.shape), np.zeros((2, 3))
    for i in range(Ho):
        for j in range(Wo):
            target1 = np.array([(2 * j + 1 - Wo) / Wo, (2 * i + 1 - Ho) / Ho, 1])  # (x_t, y_t, 1)
            x, y = theta @ target1  # Eq. (1)
            dV_dU, dV_dx, dV_dy = slopes(U, ((x + 1) * W - 1) / 2, ((y + 1) * H - 1) / 2)
            gU += gV[i, j] * dV_dU  # Eq. (6): the pixels that were read, with the same weights
            gx_s, gy_s = gV[i, j] * dV_dx, gV[i, j] * dV_dy  # Eq. (7), per pixel
            gx, gy = gx_s * W / 2, gy_s * H / 2  # per unit of x and y
            gtheta += np.outer([gx, gy], target1)  # Eq. (1) transposed
    return gU, gtheta


theta = np.array([[0.8, 0.0, -0.5], [0.25, 0.0, 0.25]])  # takes (0.5, 0) to our point
gU, gtheta = backward_by_hand(U, theta, np.array([[0.0, 1.0]]))
print(gtheta)
assert np.allclose(gtheta, [[2.5, 0, 5], [6, 0, 12]]) and np.allclose(gU, dV_dU)

rng = np.random.default_rng(0)
theta, gV = rng.normal(size=(2, 3)) / 2, rng.normal(size=(3, 4))
gU, gtheta = backward_by_hand(U, theta, gV)
generator = GridGenerator(transforms.get("affine"), (3, 4))
points = generator.forward(theta.reshape(1, 6), (H, W))
gU_ours, gpoints = sampler.sample_backward(U[None, None], points, gV[None, None])  # Eqs. (6) and (7)
ggrid = coordinates.to_pixels_backward(gpoints, (H, W), align_corners=False)  # W/2 and H/2
assert np.allclose(gU_ours[0, 0], gU) and np.allclose(affine_grid_backward(ggrid, (1, 1, 3, 4))[0], gtheta)
assert np.allclose(generator.backward(gpoints), gtheta.reshape(1, 6))
print("the same three times:", gtheta.round(3).tolist())

# %% [markdown]
# ## Look into it: backward is the transpose
#
# For fixed points $V = S U$ with a matrix $S$ of weights: each row gathers from the pixels of $U$. Backward, $S^\top$
# *scatters*: each `gV` goes to the pixels that were read, with the same weights, and what meets in a pixel adds up. A
# transpose is known by one identity, for any two arrays ($\langle a, b \rangle$ is the sum of all products $a_k b_k$):
#
# $$\langle \text{gV}, \, S \, \text{dU} \rangle = \langle S^\top \text{gV}, \, \text{dU} \rangle$$

# %%
dU = rng.normal(size=(1, 1, H, W))
left, right = (gV * sampler.sample(dU, points)).sum(), (gU * dU[0, 0]).sum()
print(f"{left:.12f} and {right:.12f}")
assert np.isclose(left, right, rtol=1e-13)

# %% [markdown]
# ## Change it: learn $\theta$
#
# `transforms.get("rigid")` has $\theta = (\alpha, t_x, t_y)$, an angle and a shift in normalised units. We resample a
# digit with 25°, 3 and −2 pixels, and find these again from the two images. (It is blurred; you will soon see why.)
#
# $$L(\theta) = \tfrac12 \sum_{i, j} \big( V_{ij} - \text{target}_{ij} \big)^2, \qquad
#   \text{gV} = \frac{\partial L}{\partial V} = V - \text{target}$$

# %%
images = data.load(n_train=1, n_val=1, n_test=20, seed=0).test_images
sharp = data.to_float(images[14:15]).astype(float)  # a 4: (N, C, H, W) = (1, 1, 28, 28)


def forward(transform, theta, U):
    return sampler.sample(U, GridGenerator(transform).forward(theta, U.shape[2:]))


def learn(transform, theta, U, target, rate, steps):
    generator, losses = GridGenerator(transform), []
    for _ in range(steps):
        points = generator.forward(theta, U.shape[2:])
        gV = sampler.sample(U, points) - target
        losses.append((gV**2).sum() / 2)
        _, gpoints = sampler.sample_backward(U, points, gV)
        theta = theta - rate * generator.backward(gpoints)
    return theta, losses


rigid, soft = transforms.get("rigid"), gaussian_filter(sharp, (0, 0, 1.5, 1.5))
start, true_theta = np.zeros((1, 3)), np.array([[np.deg2rad(25), 3 / 14, -2 / 14]])  # 14 pixels to a unit
target = forward(rigid, true_theta, soft)
theta, losses = learn(rigid, start, soft, target, rate=0.002, steps=60)
print(f"learnt: {np.rad2deg(theta[0, 0]):.2f} degrees, {14 * theta[0, 1]:.2f} and {14 * theta[0, 2]:.2f} pixels")
assert np.allclose(theta, true_theta, atol=1e-3)
points = GridGenerator(rigid).forward(start, (28, 28))
_, gpoints = sampler.sample_backward(soft, points, soft - target)  # at the start V = U
seen = np.abs(gpoints).max(axis=-1) > 0.01
fig, (before, after, curve) = plt.subplots(1, 3, figsize=(7, 3.1), layout="constrained")
for ax, V, title in ((before, soft, "V at the start"), (after, forward(rigid, theta, soft), "V after 60 steps")):
    ax.imshow(V[0, 0], cmap="Greys", vmax=1.5)
    ax.contour(target[0, 0], levels=[0.25], colors=blue, linestyles="--")
    ax.set(title=title, xlabel="x (pixels)", ylabel="y (pixels)", xlim=(3.5, 23.5), ylim=(27.5, 1.5))
(x, y), (gx, gy) = points[seen].T, gpoints[seen].T
before.quiver(x, y, -gx, -gy, color=vermillion, angles="xy", scale=1.2, width=0.01)
curve.semilogy(losses, color=blue)
curve.set(xlabel="step", title="loss L")
plt.show()

# %% [markdown]
# Dashed is an outline of the target. The arrows are −`gpoints`: where each sampling point would like to go, away from
# the target, since a point that goes right brings in what lies to its right. None of them knows of an angle. Eq. (1)
# transposed, here its counterpart for $\alpha$, $t_x$, $t_y$, sums them up: to a pull on the grid, and a torque.
#
# ## Change it: where it fails
#
# The same digit on a canvas of 60 × 60, to be found by a shift along $x$ alone; the right shift is 0. So we can look at
# $L$ for every shift. Divided by $\sum \text{target}^2$ it is 0 for a match and 1/2 where $V$ is blank.

# %%
translation = transforms.get("translation")
canvas = np.pad(sharp, ((0, 0), (0, 0), (16, 16), (16, 16)))  # 60 x 60: 30 pixels to a unit
shifts = np.arange(-56, 56.5, 0.5)
fig, ax = plt.subplots(figsize=(6.5, 3), layout="constrained")
for sigma, colour, dash in ((0, blue, "-"), (1.5, vermillion, "--"), (6, green, ":")):
    image = gaussian_filter(canvas, (0, 0, sigma, sigma))
    L = [((forward(translation, np.array([[t / 30, 0]]), image) - image) ** 2).sum() / 2 for t in shifts]
    ax.plot(shifts, L / (image**2).sum(), dash, color=colour, label=f"blurred by {sigma} pixels" if sigma else "sharp")
ax.set(xlabel="shift (pixels)", ylabel="L, relative", title="A valley, a plateau, and a way out", ylim=(0, 1.35))
ax.legend(fontsize=9, ncols=3)
plt.show()
for sigma, t, end in ((1.5, 8, 0), (1.5, 16, 16.5), (1.5, 28, 36), (1.5, 60, 60), (6, 16, 0)):
    image = gaussian_filter(canvas, (0, 0, sigma, sigma))
    theta, _ = learn(translation, np.array([[t / 30, 0]]), image, image, rate=1.5e-4 if sigma < 6 else 4e-3, steps=100)
    print(f"blurred by {sigma}: from {t} pixels to {30 * theta[0, 0]:.1f}")
    assert abs(30 * theta[0, 0] - end) < 0.5 and (t != 60 or theta[0, 0] == 2)  # from 60 exactly: the gradient is 0

# %% [markdown]
# - **The valley.** From 8 pixels the digit is found. While the two overlap well, the slope points home.
# - **The plateau.** From 16 they do not overlap, and nothing says which way to go. The ripples are bilinear sampling's
#   own: between pixels it blurs, a blurred $V$ is a smaller error, and the shift rests half-way between two pixels.
# - **The way out.** A blank $V$ costs less than a digit in the wrong place, so from 28 descent pushes it out of the
#   picture. From 60, $V = 0$: the gradient is exactly 0, and nothing comes back. A transformer whose output goes blank
#   in training may have gone this way. Start at the identity, with a small rate for $\theta$.
# - **Blur** makes the valley wider and smooth. Blurred by 6 pixels, the digit is found from 16.
#
# ## Exercises
#
# **1.** Scatter: Eq. (6) on one line of `W` pixels. `x` are sampling points, from 0 to below `W - 1`, and `gV` has a
# number for each. Return `gU`, of the shape (W,).


# %% tags=["exercise"]
def my_scatter(x, gV, W):
    return np.zeros(W)  # your code


# %%
def check_scatter(f):
    x, gV = np.array([0.25, 2.0, 2.5, 2.75, 3.5]), np.array([4.0, 1.0, 2.0, -4.0, 8.0])
    points = np.stack([x, 0 * x], axis=-1)[None, None]
    wanted = sampler.sample_backward(np.zeros((1, 1, 1, 6)), points, gV[None, None, None])[0].ravel()
    got = f(x, gV, 6)
    if not np.allclose(got, wanted):
        print(f"not yet: gU is {wanted}, yours {got}.")
        print("Point x gives (1 - t) gV to pixel m = floor(x) and t gV to m + 1, t = x - m. Points can share a pixel:")
        print("gU[m] += ... with an array m keeps only one of them. Use a loop, or np.add.at.")
        return False
    _, ax = plt.subplots(figsize=(4, 2.2), layout="constrained")
    ax.plot(got, "o", color=green)
    ax.plot(x, gV, "x", color=vermillion)
    ax.set(xlabel="x, m (pixels)", ylabel="gradient", title="× gV at the points, ● gU")
    plt.show()
    print("check_scatter: right")
    return True


# %% tags=["exercise"]
check_scatter(my_scatter)

# %% [markdown]
# **2.** An output of 3 × 4 pixels, an input of 5 × 9, `align_corners=False`. All of `gpoints` is $(1, 0)$: each point
# would rather be farther left. Which `gtheta` follows?

# %% tags=["exercise"]
my_gtheta = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]


# %%
def check_gtheta(gtheta):
    ggrid = coordinates.to_pixels_backward(np.full((1, 3, 4, 2), [1.0, 0.0]), (5, 9), align_corners=False)
    wanted = affine_grid_backward(ggrid, (1, 1, 3, 4))[0]
    if not np.allclose(gtheta, wanted):
        print("not yet. Row 1 holds the sums of g_x times x_t, y_t and 1 over 12 output pixels, row 2 those of g_y.")
        print("What do all x_t add up to? And how many pixels of the input are one unit of x?")
        return False
    _, ax = plt.subplots(figsize=(4, 1.8), layout="constrained", subplot_kw={"ylabel": "gtheta"})
    ax.bar(("θ11", "θ12", "θ13", "θ21", "θ22", "θ23"), np.ravel(gtheta), color=green)
    plt.show()
    print("check_gtheta: right")
    return True


# %% tags=["exercise"]
check_gtheta(my_gtheta)

# %% [markdown]
# ## Solutions


# %% tags=["solution"]
def scatter(x, gV, W):
    gU, m = np.zeros(W), np.floor(x).astype(int)
    np.add.at(gU, m, (1 - (x - m)) * gV)
    np.add.at(gU, m + 1, (x - m) * gV)
    return gU


check_scatter(scatter)
check_gtheta([[0, 0, 12 * 9 / 2], [0, 0, 0]])  # a pure shift: all x_t add up to 0, and so do all y_t

# %% [markdown]
# **Read next:** 06, kinks: what the slope is where the hat has its corners.
