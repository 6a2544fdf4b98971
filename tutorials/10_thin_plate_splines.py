# %% [markdown]
# # 10 Thin-plate splines
#
# **You will** build the thin-plate spline from one linear system, bend digits with it, and repeat two famous bugs.
# **You will learn** in what sense it is the smoothest map through its points, why affine maps cost nothing, and why
# its gradient is a transposed matrix. **You need** tutorial 02, or: $T_\theta$ maps target points to source points.
# Time: 20 minutes to read, some seconds to run.
#
# ## The question
#
# A spline transformer says where $P$ control points $c_k$ go, $T(c_k) = \theta_k$; the paper has $P = 16$. What should
# all other points do? Look at $x_s$ alone: it is a height above the plane, prescribed at 16 places. Pin a thin metal
# plate there. It takes the shape that bends least, and that shape has a formula:
#
# $$T(x, y) = A \begin{pmatrix} x \\ y \\ 1 \end{pmatrix} + \sum_k w_k\, \phi(|(x, y) - c_k|), \qquad
#   \phi(r) = r^2 \log r^2$$
#
# with an affine map $A$ ($2 \times 3$) and weights $w_k$, one for each of the two plates, $x_s$ and $y_s$.

# %%
import matplotlib.pyplot as plt
import numpy as np

from stn_ref import data, sampler, transforms
from stn_ref.grid import GridGenerator
from stn_ref.plotting import grids, style

plt.rcParams.update(style.RC)
blue, vermillion = style.OKABE_ITO["blue"], style.OKABE_ITO["vermillion"]
rng = np.random.default_rng(0)

# %% [markdown]
# ## Predict
#
# Of $4 \times 4$ control points, pull an inner one to the right and hold the others. Does any point move *left*?

# %%
moves_left = None  # True or False: edit this line, then run on

# %% [markdown]
# ## Run: the system
#
# $P$ conditions $T(c_j) = \theta_j$, but $P + 3$ unknowns for each plate. The missing three say that the bending part
# must not grow like an affine map, or faster, far away: $\sum_k w_k = 0$ and $\sum_k w_k c_k = 0$. With
# $K_{jk} = \phi(|c_j - c_k|)$ and the rows $(x_k, y_k, 1)$ in $P_1$:
#
# $$\begin{pmatrix} K & P_1 \\ P_1^T & 0 \end{pmatrix} \begin{pmatrix} w \\ A^T \end{pmatrix} =
#   \begin{pmatrix} \theta \\ 0 \end{pmatrix}$$


# %%
def phi(a, b):
    """Return r^2 log r^2 for the distance r of each point of a (Q, 2) from each of b (P, 2); at r = 0 it is 0."""
    r2 = ((a[:, None] - b) ** 2).sum(-1)
    return r2 * np.log(np.maximum(r2, 1e-300))


def rows(xy):
    """Return (x, y, 1) for points (Q, 2)."""
    return np.hstack([xy, np.ones((len(xy), 1))])


def solve(c, values, lam=0.0):
    """Return w (P, D) and A^T (3, D) of the splines through values (P, D) at c (P, 2); lambda comes later."""
    system = np.block([[phi(c, c) + lam * np.eye(len(c)), rows(c)], [rows(c).T, np.zeros((3, 3))]])
    solution = np.linalg.solve(system, np.vstack([values, np.zeros((3, values.shape[1]))]))
    return solution[:-3], solution[-3:]


def evaluate(c, w, AT, xy):
    """Return T (Q, D): the first equation."""
    return rows(xy) @ AT + phi(xy, c) @ w


spline = transforms.ThinPlateSpline()  # the paper's 4 x 4 points
c = spline.control_points
theta = c + rng.normal(0, 0.15, c.shape)  # 16 random moves
w, AT = solve(c, theta)
axis = np.linspace(-1.5, 1.5, 121)
plane = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)  # (121 * 121, 2)
theirs = spline.apply(theta.reshape(1, 32), plane)[0]
assert np.allclose(evaluate(c, w, AT, plane), theirs, rtol=0, atol=1e-12)

# %% [markdown]
# That is the whole method. The system is linear, so $T$ is linear in $\theta$. Put 1 at one control point and 0 at the
# others, and you get the *cardinal functions* $B_k$. They know nothing of $\theta$, and
#
# $$T(x, y) = \sum_k B_k(x, y)\, \theta_k, \qquad \frac{\partial L}{\partial \theta_k} = \sum_{x, y} B_k(x, y)\,
#   \frac{\partial L}{\partial T(x, y)}$$
#
# Forward a product with the matrix $B$, backward one with $B^T$: nothing is differentiated through the solver.

# %%
B = evaluate(c, *solve(c, np.eye(16)), plane)  # (121 * 121, 16)
upstream = rng.normal(size=plane.shape)  # dL/dT, whatever the loss
gtheta, _ = spline.apply_backward(theta.reshape(1, 32), plane, upstream[None])
assert np.allclose(B @ theta, theirs, rtol=0, atol=1e-12) and np.allclose(B.T @ upstream, gtheta.reshape(16, 2))

fig, (left, right) = plt.subplots(1, 2, figsize=(7, 3.4), layout="constrained", width_ratios=(1, 1.25))
r = np.linspace(0.001, 1.5, 151)
left.plot(r, r**2 * np.log(r**2), color=blue)
left.set(title="the kernel", xlabel="r (normalised)", ylabel="$\\phi(r)$")
B_6 = B[:, 5].reshape(121, 121)
shown = right.contourf(axis, axis, B_6, levels=np.linspace(-0.35, 0.35, 8), cmap="RdBu_r", extend="both")
right.contour(axis, axis, B_6, levels=shown.levels, colors="black", linewidths=0.6)  # below 0 they are dashed
right.plot(*c.T, "o", color="black", ms=3)
right.set(title="$B_6$: 1 at one point, 0 at 15", xlabel="x (normalised)", ylabel="y (normalised)", ylim=(1.5, -1.5))
fig.colorbar(shown, ax=right)
plt.show()

lowest = B_6[np.ix_(np.abs(axis) <= 1, np.abs(axis) <= 1)].min()
said = "nothing yet" if moves_left is None else moves_left
print(f"pulled by 1, some points of the square move by {lowest:.2f}: yes, to the left; you said:", said)
assert lowest < -0.05

# %% [markdown]
# Red: what follows the pulled point. Blue, dashed: what moves the *other way*. The plate is held at 0 at the
# neighbours, gets there with a slope, and swings through. Moving one point moves nearly all of the plane a little.
#
# ## Look into it: the least bending
#
# How much a plate bends is measured by second derivatives, over the whole plane. For one plate of the spline:
#
# $$E(f) = \int f_{xx}^2 + 2 f_{xy}^2 + f_{yy}^2 \; dx\, dy \;=\; 16 \pi\, w^T K w$$
#
# Of all functions with these values at the control points, the spline has the least $E$. Why? Any other is $T + g$ with
# $g(c_k) = 0$, and $E(T + g) = E(T) + 2 \langle T, g \rangle + E(g)$. In the middle term each square has become a
# product of a derivative of $T$ and one of $g$. Integrated by parts, twice, it is $\int g\, \Delta^2 T$, and as
# $\Delta^2 \phi = 16 \pi\, \delta$, that is $16 \pi \sum_k w_k\, g(c_k) = 0$. What is left can only add. Let us see,
# with second differences, and with a $g$ that vanishes at all 16 points.
#
# And affine maps cost nothing: their second derivatives are 0. If the $\theta_k$ are an affine map of the $c_k$, then
# $A$ does all the work, $w = 0$, and the spline is that map, everywhere.


# %%
def bending(f, R, steps=240):
    """Return E of f, points (Q, 2) -> values (Q,), over the square of half width R."""
    x = np.linspace(-R, R, steps)
    h = x[1] - x[0]
    F = f(np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2)).reshape(steps, steps)
    f_xx = (F[1:-1, 2:] - 2 * F[1:-1, 1:-1] + F[1:-1, :-2]) / h**2
    f_yy = (F[2:, 1:-1] - 2 * F[1:-1, 1:-1] + F[:-2, 1:-1]) / h**2
    f_xy = (F[2:, 2:] - F[2:, :-2] - F[:-2, 2:] + F[:-2, :-2]) / (4 * h**2)
    return (f_xx**2 + 2 * f_xy**2 + f_yy**2).sum() * h**2


energy = 16 * np.pi * w[:, 0] @ phi(c, c) @ w[:, 0]  # of x_s
x_s = lambda xy: evaluate(c, w, AT, xy)[:, 0]  # noqa: E731
g = lambda xy: np.prod(np.sin(1.5 * np.pi * (xy + 1)), axis=1) * np.exp(-(xy**2).sum(-1))  # noqa: E731
print(f"E of x_s: {bending(x_s, 4):.2f} on the square of half width 4, {energy:.2f} by the formula")
assert abs(bending(x_s, 4) / energy - 1) < 0.05 and np.allclose(g(c), 0)
assert np.abs(solve(c, rows(c) @ rng.normal(size=(3, 2)))[0]).max() < 1e-12  # any affine map: no weights

amounts = np.linspace(-0.05, 0.05, 7)
energies = [bending(lambda xy, a=a: x_s(xy) + a * g(xy), 4) for a in amounts]
fig, ax = plt.subplots(figsize=(5, 2.7), layout="constrained")
ax.plot(amounts, energies, "o--", color=blue)
ax.plot(0, energies[3], "s", color=vermillion, ms=9)
ax.set(xlabel="a (at 0: the spline)", ylabel="E(T + a g)", title="Another way through the same points bends more")
plt.show()
assert np.argmin(energies) == 3 and abs(energies[0] / energies[-1] - 1) < 1e-3  # no linear term in a

# %% [markdown]
# ## Change it: let it miss
#
# If the $\theta_k$ are noisy, do not go through them. Minimise instead
# $\sum_k |T(c_k) - \theta_k|^2 + \frac{\lambda}{16 \pi} E(T)$; all that changes is $K + \lambda I$ in place of $K$. As
# $\lambda \to \infty$ bending is forbidden, and the affine map of least squares is left. $\lambda$ also lowers the
# *condition number*, which bounds how much the system enlarges errors, and grows if two control points are close.

# %%
MESH = np.stack(np.meshgrid(np.linspace(-1, 1, 61), np.linspace(-1, 1, 7)), axis=-1)  # (7, 61, 2): horizontal lines


def draw(ax, w, AT, theta, title):
    """Draw where the spline takes a square grid, and the theta_k."""
    for lines in (MESH, MESH[..., ::-1]):  # x and y exchanged: vertical lines
        x_s, y_s = evaluate(c, w, AT, lines.reshape(-1, 2)).T
        ax.plot(x_s.reshape(7, 61).T, y_s.reshape(7, 61).T, color="#777777", lw=0.8)
    ax.plot(*theta.T, "o", color=vermillion, ms=4)
    ax.set(title=title, aspect="equal", xlabel="$x_s$ (normalised)", ylabel="$y_s$ (normalised)")
    ax.set(xlim=(-1.6, 1.6), ylim=(1.6, -1.6), xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    ax.label_outer()


fig, axes = plt.subplots(1, 3, figsize=(7, 2.9), layout="constrained", sharey=True)
for ax, lam in zip(axes, (0.0, 1.0, 1e6), strict=True):
    w_lam, AT_lam = solve(c, theta, lam)
    draw(ax, w_lam, AT_lam, theta, f"$\\lambda$ = {lam:g}")
    smooth = transforms.ThinPlateSpline(regularisation=lam)
    missed = np.abs(evaluate(c, w_lam, AT_lam, c) - theta).max()
    print(f"lambda {lam:5g}: misses its points by up to {missed:.3f}, condition number {smooth.condition:.3g}")
    assert np.allclose(smooth.weights(theta.reshape(1, 32))[1][0], w_lam)
plt.show()
assert np.allclose(AT_lam, np.linalg.lstsq(rows(c), theta, rcond=None)[0], atol=1e-5)

close = np.vstack([c, c[5] + [0.01, 0.0]])  # one more point, 0.01 from another
conditions = [transforms.ThinPlateSpline(close, regularisation=lam).condition for lam in (0.0, 0.1)]
print(f"two close points: condition number {conditions[0]:.0f}; with lambda = 0.1, {conditions[1]:.0f}")

# %% [markdown]
# ## Change it: elastic digits
#
# Move the 16 points at random, here with a standard deviation of 1.5 of the 28 pixels, and resample. The elastic
# distortions of the paper are made so (and scaled). A spline transformer is the natural candidate to undo them.

# %%
U = data.to_float(data.load(n_train=1, n_val=1, n_test=20, seed=0).test_images[[14, 6, 7, 9]])
moved = (spline.identity + rng.normal(0, 1.5 / 14, (4, 32))).astype(U.dtype)
points = GridGenerator(spline, (28, 28)).forward(moved)  # (4, 28, 28, 2), pixels
V = sampler.sample(U, points)
fig, axes = plt.subplots(2, 4, figsize=(6, 3.3), layout="constrained", sharex=True, sharey=True)
for b, (above, below) in enumerate(axes.T):
    above.imshow(U[b, 0], cmap=style.IMAGES)
    grids.draw_points(above, points[b])
    below.imshow(V[b, 0], cmap=style.IMAGES)
    below.set(xlabel="x (pixels)", xlim=(-0.5, 27.5), ylim=(27.5, -0.5))
axes[0, 0].set_ylabel("U, y (pixels)")
axes[1, 0].set_ylabel("V, y (pixels)")
plt.show()

# %% [markdown]
# ## Change it: two famous bugs
#
# **A spline that is affine.** At a control point $0 \cdot \log 0$ is NaN, and must be 0. Lasagne (for inputs of
# variable size) keeps $\phi$ only where `isnan(log(r**2))`. But $\log 0 = -\infty$ is not NaN: that is true nowhere,
# $\phi$ is 0 everywhere, and only $A$ is left (which by itself is not even a good fit).
#
# **A spline that bends without bound.** kornia (0.9.0) measures $K$ from the points $c_j$ to where they *go*:
# $K_{jk} = \phi(|c_j - \theta_k|)$, with centres $\theta_k$ and $\sum_k w_k c_k = 0$. The result goes through all its
# points. But $p = \sum_k w_k \theta_k \ne 0$, and far out doubling the square adds $64 \pi \log 2 \, |p|^2$ to $E$.

# %%
assert not np.isnan(-np.inf)  # -inf is what log 0 is
system = np.block([[phi(c, theta), rows(c)], [rows(c).T, np.zeros((3, 3))]])
bad = np.linalg.solve(system, np.vstack([theta, np.zeros((3, 2))]))
assert np.allclose(evaluate(theta, bad[:16], bad[16:], c), theta)  # at the control points nothing is wrong
E = [bending(lambda xy: evaluate(theta, bad[:16], bad[16:], xy)[:, 0], R, 480) for R in (2, 4, 8)]
p = theta.T @ bad[:16, 0]
print(f"the last doubling added {E[2] - E[1]:.1f}; 64 pi log 2 |p|^2 = {64 * np.pi * np.log(2) * p @ p:.1f}")
assert E[2] - E[1] > 0.9 * 64 * np.pi * np.log(2) * p @ p

fig, (left, right) = plt.subplots(1, 2, figsize=(7, 3), layout="constrained", width_ratios=(1, 1.3))
draw(left, 0 * w, AT, theta, "isnan: only A is left")
right.semilogx((2, 4, 8), E, "s--", base=2, color=vermillion, label="K from $c$ to $\\theta$")
right.axhline(energy, color=blue, label="the spline, on the whole plane")
right.set(xlabel="half width R of the square (normalised)", ylabel="E of $x_s$", title="bends without bound")
right.legend(loc="lower right", bbox_to_anchor=(1, 0.1))
plt.show()

# %% [markdown]
# ## Exercises
#
# **1.** Write the $\theta$ (16, 2) of a rotation about 0 that takes $(1, 0)$ to $(\cos\alpha, \sin\alpha)$.


# %% tags=["exercise"]
def my_turn(c, alpha):
    return 0.1 * c**3  # your code


# %%
def check_turn(f):
    """There must be no weights, and A must be the rotation."""
    w, AT = solve(c, f(c, 0.5))
    wanted = np.array([[np.cos(0.5), -np.sin(0.5), 0], [np.sin(0.5), np.cos(0.5), 0]])
    if np.abs(w).max() > 1e-9 or not np.allclose(AT.T, wanted):
        print(f"not yet: for alpha = 0.5 the weights are up to {np.abs(w).max():.2g}, should be 0; what costs nothing?")
        print(f"A is {AT.T.round(2).tolist()}: wanted {wanted.round(2).tolist()}. theta_k is where c_k goes.")
        return False
    _, ax = plt.subplots(figsize=(3, 3), layout="constrained")
    draw(ax, w, AT, f(c, 0.5), "no bending")
    plt.show()
    print("check_turn: right")
    return True


# %% tags=["exercise"]
check_turn(my_turn)

# %% [markdown]
# **2.** One control point is pulled by 0.1, and the bending energy is $E$. How many times $E$ is it at 0.3?

# %% tags=["exercise"]
my_factor = 3.0


# %%
def check_factor(factor):
    """Pull point 6 by d, and measure."""
    d, pulled = np.linspace(0, 0.3, 7), np.array([spline.identity] * 7)
    pulled[:, 10] += d  # x of point 6
    E = spline.bending_energy(pulled)
    if not np.isclose(factor, E[-1] / E[2]):
        print("not yet. Pulled 3 times as far, all second derivatives are 3 times as large. What does E do with them?")
        return False
    _, ax = plt.subplots(figsize=(4, 2.5), layout="constrained")
    ax.plot(d, E, "o-", color=blue)
    ax.set(xlabel="pulled by (normalised)", ylabel="E", title="Bending grows with the square")
    plt.show()
    print("check_factor: right")
    return True


# %% tags=["exercise"]
check_factor(my_factor)

# %% [markdown]
# ## Solutions

# %% tags=["solution"]
# an affine map of the control points: the spline is that map everywhere
check_turn(lambda c, alpha: c @ np.array([[np.cos(alpha), np.sin(alpha)], [-np.sin(alpha), np.cos(alpha)]]))

# %% tags=["solution"]
check_factor(9)  # T is linear in theta, and E is quadratic in T

# %% [markdown]
# **Read next:** 11, several transformers: two windows. (The two bugs, and thirteen other slips: `errata.md`.)
