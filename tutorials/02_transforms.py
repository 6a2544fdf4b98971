# %% [markdown]
# # 02 Transforms: what each family preserves
#
# **You will** draw a square under seven families of maps, from translation to thin-plate spline, and measure what each
# keeps. **You will learn** why a third coordinate helps, how many points pin a family down, and why rotations must know
# the shape of the image. **You need** matrix products in NumPy. Time: 15 minutes to read, some seconds to run.
#
# ## The question
#
# A spatial transformer has a map $T_\theta$ of the plane. It takes each point $(x_t, y_t)$ of the output, the *target*,
# to the point $(x_s, y_s)$ of the input, the *source*, where its value is read. A small net puts out the numbers
# $\theta$: with 2 it can move the window, with 32 it can bend it. What does each family buy, and what does it give up?

# %%
import matplotlib.pyplot as plt
import numpy as np

from stn_ref import coordinates, data, sampler, transforms
from stn_ref.grid import GridGenerator
from stn_ref.plotting import style

plt.rcParams.update(style.RC)
blue, vermillion = style.OKABE_ITO["blue"], style.OKABE_ITO["vermillion"]
rng = np.random.default_rng(0)

THETA = {
    "translation": [0.3, -0.2],  # t_x, t_y
    "rigid": [0.4, 0.2, 0.1],  # alpha, t_x, t_y
    "attention": [0.6, 0.2, -0.2],  # s, t_x, t_y
    "similarity": [0.7, -0.5, 0.1, 0.2],  # s, alpha, t_x, t_y
    "affine": [0.9, 0.4, 0.1, -0.1, 0.6, -0.1],  # two rows of three
    "projective": [0.8, 0.1, 0.1, 0.1, 0.7, 0.1, 0.3, 0.2],  # three rows of three, less the last entry, 1
    "tps": transforms.get("tps").identity + rng.normal(0, 0.12, 32),  # where its 4 x 4 control points go
}
THETA = {name: np.array([theta]) for name, theta in THETA.items()}  # (N, K) with N = 1

# %% [markdown]
# ## Predict
#
# You drag the four corners of a square, each wherever you like. Which is the first family in this list (the one with
# the fewest parameters) that can always follow?

# %%
my_family = None  # one of the names above, as a string: edit this line, then run on

# %% [markdown]
# ## Run
#
# Coordinates are normalised: $-1$ and 1 are the borders of the image, and $y$ points down.

# %%
ticks, fine = np.linspace(-1, 1, 7), np.linspace(-1, 1, 61)
across = np.stack(np.meshgrid(fine, ticks), axis=-1)  # (7, 61, 2): seven horizontal lines
diagonal = np.stack([fine, fine], axis=-1)[None]
LINES = np.concatenate([across, across[..., ::-1], diagonal])[None]  # (1, 15, 61, 2); x and y exchanged: vertical ones


def draw(ax, lines, title):
    """Draw these 15 lines, the upper edge thick, the diagonal dashed."""
    for k, line in enumerate(lines):
        colour, dash, width = {0: (vermillion, "-", 2.5), 14: (blue, "--", 1.5)}.get(k, ("#777777", "-", 0.8))
        ax.plot(line[:, 0], line[:, 1], dash, color=colour, lw=width)
    ax.set(title=title, xlim=(-1.75, 1.75), ylim=(1.75, -1.75), aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    ax.set(xlabel="$x_s$ (normalised)", ylabel="$y_s$ (normalised)")
    ax.label_outer()


fig, axes = plt.subplots(2, 4, figsize=(7, 4.4), layout="constrained", sharex=True, sharey=True)
draw(axes[0, 0], LINES[0], "the square")
for ax, (name, theta) in zip(axes.ravel()[1:], THETA.items(), strict=True):
    family = transforms.get(name)
    draw(ax, family.apply(theta, LINES)[0], f"{name}, {family.K}")
plt.show()

# %% [markdown]
# Each picture is one member of its family, the number is $K$: how many parameters it has.
#
# ## Look into it: measure
#
# Map 200 random parallelograms with corners $a, b, c, d$, and the midpoint $m$ of the side $ab$. How much does a side
# change, or the angle at $a$? How far from parallel are opposite sides? How far is $m$ from the line through $a, b$?

# %%
cross = lambda u, v: u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]  # noqa: E731
angle = lambda u, v: np.degrees(np.arctan2(np.abs(cross(u, v)), (u * v).sum(-1)))  # noqa: E731
length = lambda u: np.sqrt((u**2).sum(-1))  # noqa: E731

p, u, v = rng.uniform(-0.4, 0.4, (3, 200, 2))
five = np.stack([p, p + u, p + v, p + u + v, p + u / 2])  # (5, 200, 2): a, b, c, d, m

print(f"{'':12}   K   length (%)   angle (°)   parallel (°)   straight (units)")
for name, K, *kept in transforms.hierarchy():
    a, b, c, d, m = transforms.get(name).apply(THETA[name], five.reshape(-1, 2)).reshape(five.shape)
    changes = [
        100 * np.abs(length(b - a) / length(u) - 1).max(),
        np.abs(angle(b - a, c - a) - angle(u, v)).max(),
        angle(b - a, d - c).max(),
        np.abs(cross(b - a, m - a) / length(b - a)).max(),
    ]
    shown = ["kept" if change < 1e-9 else f"{change:.2g}" for change in changes]
    print(f"{name:12}  {K:2}   {shown[0]:>10}   {shown[1]:>9}   {shown[2]:>12}   {shown[3]:>16}")
    assert [change < 1e-9 for change in changes] == kept  # what `hierarchy` says of the family

# %% [markdown]
# The more a family can do, the less it keeps. But it is not quite a ladder: `rigid` turns and cannot zoom, `attention`
# zooms and cannot turn; `similarity` contains both. And the spline, with the most parameters, contains the affine maps
# but not the projective ones, as we shall see.
#
# ## Look into it: a third coordinate
#
# A matrix product takes 0 to 0, so no $2 \times 2$ matrix can translate. Write a 1 below the point, and a third column
# can: so an affine map is a $2 \times 3$ matrix, Eq. (1) of the paper (tutorial 03). A third row makes it projective:
#
# $$\begin{pmatrix} X \\ Y \\ w \end{pmatrix} = \begin{pmatrix} h_{11} & h_{12} & h_{13} \\ h_{21} & h_{22} & h_{23} \\
#   h_{31} & h_{32} & 1 \end{pmatrix} \begin{pmatrix} x_t \\ y_t \\ 1 \end{pmatrix}, \qquad
#   x_s = X / w, \quad y_s = Y / w$$
#
# These are *homogeneous coordinates*: $(X, Y, w)$ and $(2X, 2Y, 2w)$ are one point. So twice the matrix is the same
# map, one of the nine entries can be fixed (the last, at 1), and eight are left. In an affine map the third row is
# $(0, 0, 1)$, and $w = 1$ everywhere. If not, $w$ changes from place to place, and where $w = 0$ there is nothing to
# divide by: this line is the *horizon*, and beyond it lies what is behind the camera.

# %%
theta = np.array([[0.5, 0.0, -0.1, 0.1, 0.8, 0.1, 0.5, 0.0]])  # h31 = 0.5, h32 = 0: w = 0.5 x + 1
projective = transforms.get("projective")
M = projective.matrix(theta)[0]  # (3, 3)
gone = M @ [1, 0, 0]  # the direction of the lines: infinitely far to the right
corners = np.array([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])

fig, (left, right) = plt.subplots(1, 2, figsize=(7, 3.4), layout="constrained")
for y in ticks:
    line = np.stack([np.linspace(-1.9, 99, 4000), np.full(4000, y)], axis=-1)
    X, Y, w = M @ [line[:, 0], line[:, 1], np.ones(4000)]  # the equation above
    assert np.allclose(projective.apply(theta, line)[0], np.stack([X / w, Y / w], axis=-1))
    left.plot(*line.T, color=blue, lw=1)
    right.plot(X / w, Y / w, color=blue, lw=1)
frame = corners[[0, 1, 3, 2, 0]]
left.plot(*frame.T, color="black", lw=2.5)
right.plot(*projective.apply(theta, frame)[0].T, color="black", lw=2.5)
left.axvline(-2, ls="--", color=vermillion, lw=2, label="horizon, w = 0")
right.plot(gone[0] / gone[2], gone[1] / gone[2], "o", color=vermillion, label="vanishing point")
left.set(title="targets", xlabel="$x_t$ (normalised)", ylabel="$y_t$ (normalised)", xlim=(-2.5, 3), ylim=(1.75, -1.75))
right.set(title="sources", xlabel="$x_s$ (normalised)", ylabel="$y_s$ (normalised)", xlim=(-2.5, 1.6), ylim=(2.6, -2.6))
fig.legend(loc="outside lower center", ncols=2, frameon=False)
plt.show()

far, beyond = projective.apply(theta, np.array([[1e6, 0.5], [-2.1, 0.5]]))[0]
assert np.allclose(far, gone[:2] / gone[2], atol=1e-5) and np.isinf(beyond).all()

# %% [markdown]
# Parallel lines, blue, run to one point: the image of the direction $(1, 0, 0)$, a "point" with third coordinate 0 that
# no pair of coordinates could name. (Black: the output, and what it reads.) Points on the horizon and beyond are sent
# to infinity here, outside every image.
#
# ## Look into it: count the points
#
# Each point that you pin down, "this target to that source", is two equations. So $K$ parameters can follow $K / 2$
# points: 1 for a translation, 2 for a similarity, 3 for an affine map, 4 for a projective map, 16 for the spline. (For
# the 3 of a rigid map: one point, and the direction of a second, whose distance is not free.) To drag four corners we
# need $K \ge 8$. With $x_s = X / w$ multiplied by $w$, the equations are linear in $h$:
#
# $$h_{11} x + h_{12} y + h_{13} - x_s (h_{31} x + h_{32} y) = x_s, \qquad
#   h_{21} x + h_{22} y + h_{23} - y_s (h_{31} x + h_{32} y) = y_s$$


# %%
def homography(target, source):
    """Return theta (8,) of the projective map that takes four points to four points."""
    rows, right = [], []
    for (x, y), (x_s, y_s) in zip(target, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -x_s * x, -x_s * y], [0, 0, 0, x, y, 1, -y_s * x, -y_s * y]]
        right += [x_s, y_s]
    return np.linalg.solve(rows, right)


dragged = np.array([[-0.6, -1.4], [1.5, -0.5], [-1.4, 1.3], [0.7, 0.6]])
corners1 = np.hstack([corners, np.ones((4, 1))])  # (x, y, 1)
closest = np.linalg.lstsq(corners1, dragged, rcond=None)[0]  # least squares: the best that an affine map can do
solved = {
    "affine": (transforms.get("affine"), closest.T.reshape(1, 6)),
    "projective": (projective, homography(corners, dragged)[None]),
    "tps, 4 points": (transforms.get("tps", control_points=2), dragged.reshape(1, 8)),
}
fig, axes = plt.subplots(1, 3, figsize=(7, 2.9), layout="constrained", sharey=True)
for ax, (name, (family, theta)) in zip(axes, solved.items(), strict=True):
    draw(ax, family.apply(theta, LINES)[0], f"{name}, {family.K}")
    ax.plot(*dragged.T, "o", color="black", ms=7)
    miss = length(family.apply(theta, corners)[0] - dragged).max()
    print(f"{name:13}  misses its corner by up to {miss:.2g}")
    assert miss > 0.1 if name == "affine" else miss < 1e-12
plt.show()
print("you said:", "nothing yet" if my_family is None else my_family, "- the first family with K >= 8 is projective")

# %% [markdown]
# Black dots: where the corners should go. The affine map has two parameters too few. Two families with eight follow,
# and differ in between: the projective map keeps lines straight and gives up equal steps, the spline bends the lines.
# ("Always" has a limit: the four points must form a convex quadrilateral, or the horizon cuts through it.)
#
# ## Change it: two maps, one matrix
#
# Two maps in a row are the *product* of their matrices, the first map on the right. The order matters, for the origin:

# %%
shift, turn = transforms.get("translation"), transforms.get("rigid")
t, alpha = np.array([[0.5, 0.0]]), np.array([[np.pi / 2, 0.0, 0.0]])
S, R = shift.matrix(t)[0], turn.matrix(alpha)[0]
both = transforms.Composition(turn, shift)  # outer, inner: first shift, then turn
assert np.allclose(both.matrix(np.hstack([alpha, t]))[0], R @ S)
origin = np.array([0, 0, 1])
print("shifted, then turned:", (R @ S @ origin)[:2].round(3), "  turned, then shifted:", (S @ R @ origin)[:2].round(3))

# %% [markdown]
# Two similarities make a similarity, two projective maps a projective map; two splines, in general, no spline.
#
# ## Change it: an image that is not square
#
# "`rigid` keeps angles", says the table. But a normalised unit is half the width along $x$, half the height along $y$:
# 54 and 18 pixels for an image of $H \times W = 36 \times 108$. With $r = W / H$, a rotation of *pixels* is
#
# $$\begin{pmatrix} x_s \\ y_s \end{pmatrix} = \begin{pmatrix} \cos\alpha & -\sin\alpha \,/\, r \\ r \sin\alpha &
#   \cos\alpha \end{pmatrix} \begin{pmatrix} x_t \\ y_t \end{pmatrix}$$

# %%
digits = data.load(n_train=1, n_val=1, n_test=20, seed=0)
wide = np.zeros((1, 1, 36, 108))  # (N, C, H, W)
wide[..., 4:32, 40:68] = data.to_float(digits.test_images[14:15])
wide[..., [7, 28], 43:65] = wide[..., 7:29, [43, 64]] = 1.0  # a square frame around the digit

fig, axes = plt.subplots(3, 1, figsize=(5, 5.6), layout="constrained", sharex=True)
for ax, degrees, aspect in zip(axes, (0, 30, 30), (3, 1, coordinates.aspect((36, 108))), strict=True):
    alpha = np.array([[np.deg2rad(degrees), 0.0, 0.0]])
    points = GridGenerator(transforms.get("rigid", aspect=aspect), (36, 108)).forward(alpha)  # in pixels
    ax.imshow(sampler.sample(wide, points)[0, 0], cmap=style.IMAGES)
    right, down = points[:, 18, 55] - points[:, 18, 54], points[:, 19, 54] - points[:, 18, 54]  # steps of one pixel
    corner = angle(right, down)[0]
    ax.set(title=f"by {degrees}°, aspect={aspect:g}: a right angle becomes {corner:.0f}°", ylabel="y (pixels)")
    assert np.isclose(corner, 90) == (aspect == 3)
axes[2].set_xlabel("x (pixels)")
plt.show()

# %% [markdown]
# Without its aspect, a "rotation" shears and stretches: an old bug, met again and again. (Affine and projective maps
# need no aspect: they contain the shear, and so the right rotation, anyway.)
#
# ## Exercises
#
# **1.** Write the $3 \times 3$ matrix that turns a square image by $\alpha$ about $(c_x, c_y)$: this point stays put.


# %% tags=["exercise"]
def my_turn_about(alpha, cx, cy):
    return turn.matrix(np.array([[alpha, 0.0, 0.0]]))[0]  # your code


# %%
def check_turn_about(f):
    """The centre must stay, and a step to the right of it must become a step in the direction alpha."""
    for alpha, cx, cy in ((0.5, 0.0, 0.0), (0.5, 0.6, -0.3), (-1.2, 0.2, 0.4)):
        M = np.array(f(alpha, cx, cy), float)
        for x, y, wanted in ((cx, cy, [cx, cy]), (cx + 1, cy, [cx + np.cos(alpha), cy + np.sin(alpha)])):
            got = (M @ [x, y, 1])[:2]
            if not np.allclose(got, wanted):
                print(f"not yet: turned by {alpha} about {cx, cy}, {x, y} goes to {np.round(wanted, 3)}.")
                print(f"Yours: {got.round(3)}. Centre to the origin, turn, and back: the first step stands right.")
                return False
    _, ax = plt.subplots(figsize=(3, 3), layout="constrained")
    draw(ax, (LINES @ M[:2, :2].T + M[:2, 2])[0], "turned about the dot")
    ax.plot(cx, cy, "o", color="black")
    plt.show()
    print("check_turn_about: right")
    return True


# %% tags=["exercise"]
check_turn_about(my_turn_about)

# %% [markdown]
# **2.** Choose $h_{31}$ and $h_{32}$ such that the horizon goes through the targets $(-2.5, 0)$ and $(0, 5)$.

# %% tags=["exercise"]
my_h31, my_h32 = 0.0, 0.0


# %%
def check_horizon(h31, h32):
    """On the horizon w is 0."""
    for x, y in ((-2.5, 0.0), (0.0, 5.0)):
        w = h31 * x + h32 * y + 1
        if not np.isclose(w, 0):
            print(f"not yet: at ({x}, {y}) w is {w:.3g}, and not 0. Write w out at this point: one unknown is left.")
            return False
    _, ax = plt.subplots(figsize=(3.2, 3), layout="constrained")
    draw(ax, projective.apply(np.array([[1.0, 0, 0, 0, 1, 0, h31, h32]]), LINES)[0], "towards your horizon")
    ax.set(xlim=(-2.7, 1.3), ylim=(2.7, -1.3))
    plt.show()
    print("check_horizon: right")
    return True


# %% tags=["exercise"]
check_horizon(my_h31, my_h32)

# %% [markdown]
# ## Solutions


# %% tags=["solution"]
def turn_about(alpha, cx, cy):
    """To the origin, turn, and back: read the product from right to left."""
    back, there = shift.matrix(np.array([[cx, cy], [-cx, -cy]]))
    return back @ turn.matrix(np.array([[alpha, 0.0, 0.0]]))[0] @ there


check_turn_about(turn_about)

# %% tags=["solution"]
check_horizon(1 / 2.5, -1 / 5)  # w = 0.4 x - 0.2 y + 1

# %% [markdown]
# **Read next:** 03, the grid: why the map goes from the output to the input, and how its points become pixels.
