# %% [markdown]
# # 15 The gradient of the gradient
#
# **You will** turn a digit onto another one, first in more than 300 steps, then in a dozen. **You will learn** what
# forward mode and the double backward compute, how they give Gauss-Newton and Newton's method for $\theta$, and where
# each of the two fails. **You need** tutorials 05 and 06, or: Eqs. (1) and (7), the chain rule, and what a kink is.
# Time: 20 minutes to read, some seconds to run.
#
# ## The question
#
# A picture $U$ and a goal: find the $\theta$ for which $U$, sampled at $T_\theta(G)$, looks like the goal.
#
# $$L(\theta) = \tfrac12 \sum_{ij} r_{ij}^2, \qquad r = V(\theta) - \text{goal}$$
#
# The gradient says in which direction $L$ falls. It does not say how far to go.

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter

from stn_ref import (
    affine_grid,
    affine_grid_backward,
    data,
    grid_sample,
    grid_sample_backward,
    grid_sample_double_backward,
    grid_sample_jvp,
)
from stn_ref.plotting import style

plt.rcParams.update(style.RC)
blue, vermillion, green = (style.OKABE_ITO[name] for name in ("blue", "vermillion", "green"))

digit = data.load(n_train=1, n_val=1, n_test=12, seed=0).test_images[3, 0] / 255.0
U = gaussian_filter(np.pad(digit, 4), 1.5)[None, None]
U /= U.max()
START = np.array([[[1.0141, 0.0223, 0.0107], [-0.0317, 0.9886, 0.0193]]])  # near the identity, but on no pixel
theta_true = np.array([[[0.9, 0.25, 0.1], [-0.25, 0.9, -0.08]]])

# The goal: the picture, turned and shifted, under clouds. No theta reaches it exactly, as in practice.
clouds = 0.3 * gaussian_filter(np.random.default_rng(0).standard_normal(U.shape), (0, 0, 1, 1))
goal = grid_sample(U, affine_grid(theta_true, U.shape), mode="bicubic") + clouds

fig, axes = plt.subplots(1, 2, figsize=(5, 2.6), layout="constrained")
for ax, picture, name in zip(axes, (U, goal), ("U", "goal"), strict=True):
    ax.imshow(picture[0, 0], cmap=style.IMAGES, vmin=0, vmax=1)
    ax.set(title=name, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## Predict
#
# Gradient descent still moves after 300 steps. A method that also knows the second derivatives: how many steps until
# the gradient is 0 to 11 digits?

# %%
my_steps = None  # a number: edit this line, then run on


# %% [markdown]
# ## Run: the first derivatives
#
# Backward, from a loss to $\theta$, is tutorial 05. **Forward mode** goes the other way: $\theta$ changes by $v$; how
# does each pixel of $V$ change? $T_\theta(G)$ is linear in $\theta$, so the grid changes by $T_v(G)$, and
#
# $$dV = \frac{\partial V}{\partial x_s} dx_s + \frac{\partial V}{\partial y_s} dy_s$$
#
# No loss occurs in it. The two directions are transposes of each other: $\langle g, J v \rangle = \langle J^T g, v
# \rangle$ for any $v$ and any $g$.


# %%
def residual(theta, mode="bicubic"):
    return grid_sample(U, affine_grid(theta, U.shape), mode=mode) - goal


def transposed(theta, gV, mode="bicubic"):
    """Return J^T gV: the gradient of <gV, V> for theta, (1, 2, 3)."""
    _, ggrid = grid_sample_backward(U, affine_grid(theta, U.shape), gV, mode=mode)
    return affine_grid_backward(ggrid, U.shape)


def forward_mode(theta, v, mode="bicubic"):
    """Return J v: the change of V as theta changes by v."""
    return grid_sample_jvp(U, affine_grid(theta, U.shape), None, affine_grid(v, U.shape), mode=mode)


rng = np.random.default_rng(1)
v, g = rng.standard_normal((1, 2, 3)), rng.standard_normal(U.shape)
there, back = (g * forward_mode(START, v)).sum(), (transposed(START, g) * v).sum()
print(f"<g, J v> = {there:.12f}, <J^T g, v> = {back:.12f}")
assert np.isclose(there, back, rtol=1e-12)

# %% [markdown]
# ## Look into it: the second derivatives
#
# The gradient is $J^T r$. As $\theta$ changes by $v$, it changes in two ways:
#
# $$H v = \underbrace{J^T (J v)}_{\text{r changes}} + \underbrace{(dJ)^T r}_{\text{the slopes change}}$$
#
# The first term needs nothing new: forward, then backward. The second is the **double backward**: the gradient of
# $\langle \text{ggrid}, h \rangle$ for the grid, with `gV` $= r$ held fixed and $h = T_v(G)$. PyTorch users know it as
# `create_graph=True`. Six directions $v$ give the six columns of the Hessian $H$.


# %%
def columns(theta, mode="bicubic"):
    """Return (J^T J, H), both 6 x 6."""
    grid, r = affine_grid(theta, U.shape), residual(theta, mode)
    JJ, H = np.empty((6, 6)), np.empty((6, 6))
    for k, e in enumerate(np.eye(6)):
        v = e.reshape(1, 2, 3)
        JJ[:, k] = transposed(theta, forward_mode(theta, v, mode), mode).ravel()
        _, _, ggrid2 = grid_sample_double_backward(U, grid, r, None, affine_grid(v, U.shape), mode=mode)
        H[:, k] = JJ[:, k] + affine_grid_backward(ggrid2, U.shape).ravel()
    return JJ, H


JJ, H = columns(START)
h = 1e-7
ends = (transposed(START + s * h * v, residual(START + s * h * v)) for s in (1, -1))
by_differences = np.subtract(*ends).ravel() / (2 * h)
print("H v by differences of the gradient:", by_differences.round(3))
print("H v by the double backward:        ", (H @ v.ravel()).round(3))
assert np.allclose(H @ v.ravel(), by_differences, rtol=1e-5, atol=1e-4) and np.allclose(H, H.T)

# %% [markdown]
# **Newton's method** takes the step to the point where the gradient would be 0 if $L$ were a parabola: $\theta
# \leftarrow \theta - H^{-1} J^T r$. **Gauss-Newton** leaves the second term of $H$ out. Look at the eigenvalues, the
# curvatures of $L$ along six directions, before you choose:

# %%
for name, matrix in (("J^T J", JJ), ("H", H)):
    print(f"{name:6}", np.linalg.eigvalsh(matrix).round(0))
assert np.linalg.eigvalsh(JJ).min() > 0 > np.linalg.eigvalsh(H).min()

# %% [markdown]
# $J^T J$ has no negative eigenvalue, whatever the picture. $H$ has two here: far from the goal $L$ is no bowl, and
# Newton's step would climb along these directions. So we begin with six steps of Gauss-Newton.


# %%
def descend(step, count, mode="bicubic"):
    """Return theta after `count` steps, and the largest number of the gradient before each; step: (k, theta, g)."""
    theta, sizes = START, []
    for k in range(count):
        g = transposed(theta, residual(theta, mode), mode)
        sizes.append(np.abs(g).max())
        theta = theta - step(k, theta, g)
    return theta, sizes


def second_order(newton_from, mode="bicubic"):
    """Return a step: Gauss-Newton, and Newton from step `newton_from` on."""
    return lambda k, theta, g: np.linalg.solve(columns(theta, mode)[k >= newton_from], g.ravel()).reshape(1, 2, 3)


runs = {  # with a rate of 1.5e-3 gradient descent no longer settles
    "gradient descent": descend(lambda k, theta, g: 1e-3 * g, 300),
    "Gauss-Newton": descend(second_order(99), 14),
    "Newton from step 6": descend(second_order(6), 14),
}
fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for (name, (_, sizes)), colour, dash in zip(runs.items(), (blue, vermillion, green), ("-", "--", "o-"), strict=True):
    ax.semilogy(sizes[:40], dash, color=colour, ms=4, label=name)
ax.set(xlabel="step", ylabel="largest |gtheta|", title="Linear, faster, quadratic")
ax.legend(fontsize=9)
plt.show()
for name, (_, sizes) in runs.items():
    print(f"{name:19}", *(f"{size:.0e}" for size in sizes[-5:]))
print("you said:", "nothing yet" if my_steps is None else my_steps)
assert runs["Newton from step 6"][1][-1] < 1e-11 < runs["Gauss-Newton"][1][-1] < runs["gradient descent"][1][-1]

# %% [markdown]
# Read the exponents of the last line. Close to the solution each step of Newton's method *squares* the error: the
# number of right digits doubles. Gauss-Newton gains a fixed factor for each step, because of the term that it leaves
# out. Without clouds $r$ is 0 at the solution, that term vanishes, and Gauss-Newton is as fast.
#
# ## Change it: bilinear
#
# Inside a cell bilinear $V$ has no $d_{xx}$, only $d_{xy}$; its slope changes at the kinks instead, in jumps, and no
# second derivative knows of a jump. How far does the same method come?

# %%
_, sizes = descend(second_order(6, "bilinear"), 14, "bilinear")
print("bilinear           ", *(f"{size:.0e}" for size in sizes[-5:]))
assert min(sizes[-5:]) > 1e-3

# %% [markdown]
# Not to 0: whenever the grid moves, some of its 1,296 points cross a kink, and the gradient jumps. First-order methods
# do not mind. For second-order methods, sample with `mode="bicubic"`, whose slope is continuous.
#
# ## Exercises
#
# **1.** A 2 x 2 image has one cell. Write the four second derivatives of $V$ for the point, in pixels, anywhere inside.


# %% tags=["exercise"]
def my_hessian(u):
    return np.zeros((2, 2))  # your code: [[d_xx, d_xy], [d_xy, d_yy]], u is (2, 2)


# %%
def check_hessian(f):
    """Compare with the double backward: in an image of 2 x 2 pixels, a pixel is one unit of the grid."""
    for u in (np.array([[1.0, 2.0], [4.0, 8.0]]), np.array([[0.0, 3.0], [-5.0, 7.0]])):
        centre, one = np.zeros((1, 1, 1, 2)), np.ones((1, 1, 1, 1))
        moves = (np.array([[[[1.0, 0.0]]]]), np.array([[[[0.0, 1.0]]]]))
        wanted = [grid_sample_double_backward(u[None, None], centre, one, None, move)[2].ravel() for move in moves]
        if not np.allclose(f(u), wanted):
            print(f"not yet: for u = {u.tolist()} it is {np.array(wanted).tolist()}, yours {np.array(f(u)).tolist()}.")
            print("V = u00 (1-x)(1-y) + u01 x (1-y) + u10 (1-x) y + u11 x y. Differentiate it twice.")
            return False
    print("check_hessian: right")
    return True


# %% tags=["exercise"]
check_hessian(my_hessian)

# %% [markdown]
# **2.** A **gradient penalty** is a loss on a gradient: $P(U) = \tfrac12 \sum |\text{ggrid}|^2$ is small if the picture
# reacts little when the points move. Return its gradient for $U$. (Which `hgrid` is $\partial P / \partial
# \text{ggrid}$?)


# %% tags=["exercise"]
def my_penalty_gradient(U, grid, gV):
    return np.zeros_like(U)  # your code: one call of grid_sample_backward, one of grid_sample_double_backward


# %%
def check_penalty_gradient(f):
    """Compare with differences of the penalty, along a random direction."""
    rng = np.random.default_rng(2)
    u, v = rng.standard_normal((2, 1, 2, 5, 7))
    grid, gV = rng.uniform(-1, 1, (1, 4, 6, 2)), rng.standard_normal((1, 2, 4, 6))
    penalty = lambda u: (grid_sample_backward(u, grid, gV)[1] ** 2).sum() / 2  # noqa: E731
    expected = (penalty(u + v) - penalty(u - v)) / 2  # exact: P is a parabola in U
    got = (f(u, grid, gV) * v).sum()
    if not np.isclose(got, expected):
        print(f"not yet: along a random direction the penalty grows by {expected:.4f}, yours by {got:.4f}.")
        print("dP/dggrid is ggrid itself. The double backward takes it as hgrid, and gU2 is its second result.")
        return False
    print("check_penalty_gradient: right")
    return True


# %% tags=["exercise"]
check_penalty_gradient(my_penalty_gradient)

# %% [markdown]
# ## Solutions


# %% tags=["solution"]
def hessian(u):
    """The mixed derivative is the same everywhere in the cell, and the others are 0."""
    d_xy = u[0, 0] - u[0, 1] - u[1, 0] + u[1, 1]
    return np.array([[0, d_xy], [d_xy, 0]])


check_hessian(hessian)


# %% tags=["solution"]
def penalty_gradient(U, grid, gV):
    _, ggrid = grid_sample_backward(U, grid, gV)
    return grid_sample_double_backward(U, grid, gV, None, ggrid)[1]


check_penalty_gradient(penalty_gradient)

# %% [markdown]
# **Read next:** `stn_ref/second_order.py`, the formulas, and `stn_ref/kernels/literal_second.py`, the same as sums.
