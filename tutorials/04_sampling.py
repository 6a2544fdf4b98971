# %% [markdown]
# # 04 Sampling by hand
#
# **You will** compute one output pixel on paper, then with the sum of Eq. (3), then with three backends, and get the
# same number each time. **You will learn** what a sampling kernel is, why only four pixels matter to the bilinear one,
# and what happens outside the image. **You need** tutorial 03, or: NumPy arrays, and points in pixels. Time: 15 minutes
# to read, some seconds to run.
#
# ## The question
#
# The grid gives each output pixel a point $(x_s, y_s)$ of the input, in pixels. It hardly ever lies on a pixel. What is
# the value of the image there?

# %%
import matplotlib.pyplot as plt
import numpy as np

from stn_ref import sampler
from stn_ref.kernels import literal
from stn_ref.kernels.scalar_math import ZEROS
from stn_ref.plotting import style

plt.rcParams.update(style.RC)
blue, vermillion, green, orange = (style.OKABE_ITO[name] for name in ("blue", "vermillion", "green", "orange"))

U = np.array([[1, 0, 2, 0, 3], [2, 6, 5, 2, 0], [0, 4, 8, 6, 1], [1, 16, 12, 3, 0]], float)
H, W = U.shape
x_s, y_s = 1.75, 2.25
print(U)

# %% [markdown]
# ## Predict
#
# $x$ counts columns $m$ from 0, $y$ counts rows $n$. The point $(1.75, 2.25)$ lies between columns 1 and 2 and between
# rows 2 and 3; the four pixels around it are 4, 8, 16 and 12. Which value would you give it?

# %%
my_value = None  # a number: edit this line, then run on

# %% [markdown]
# ## Run: on paper
#
# Lay a square of one pixel's size around the point. It covers a part of each of the four pixels, and these areas are
# the weights. Along $x$ it reaches 0.25 into column 1 and 0.75 into column 2; along $y$, 0.75 into row 2 and 0.25 into
# row 3:
#
# $$V = 0.25 \cdot 0.75 \cdot 4 + 0.75 \cdot 0.75 \cdot 8 + 0.25 \cdot 0.25 \cdot 16 + 0.75 \cdot 0.25 \cdot 12$$

# %%
on_paper = 0.25 * 0.75 * 4 + 0.75 * 0.75 * 8 + 0.25 * 0.25 * 16 + 0.75 * 0.25 * 12
print("on paper:", on_paper, " you said:", "nothing yet" if my_value is None else my_value)
assert on_paper == 8.5

# %% [markdown]
# The same as the sum of the paper, over *all* pixels, with a kernel $k$ that says how much a pixel at the distance $d$
# counts:
#
# $$V = \sum_n^H \sum_m^W U_{nm} \, k(x_s - m) \, k(y_s - n) \qquad \text{(Eq. 3)}$$
#
# $$k(d) = \max(0, 1 - |d|) \qquad \text{(Eq. 5, the "hat")}$$


# %%
def hat(d):
    return max(0.0, 1 - abs(d))


def sample_one(U, x_s, y_s, k):
    V = 0.0
    for n in range(U.shape[0]):
        for m in range(U.shape[1]):
            V += U[n, m] * k(x_s - m) * k(y_s - n)
    return V


V = sample_one(U, x_s, y_s, hat)
print("Eq. (3):", V)
assert V == on_paper

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
left.imshow(U, cmap="Greys", vmin=0, vmax=60)
for n in (2, 3):
    for m in (1, 2):
        left.text(m - 0.45 if m == 1 else m + 0.2, n - 0.35 if n == 2 else n + 0.4, f"{U[n, m]:g}")
        x0, x1 = max(x_s, m) - 0.5, min(x_s, m) + 0.5  # where the square lies on pixel (n, m)
        y0, y1 = max(y_s, n) - 0.5, min(y_s, n) + 0.5
        area = (x1 - x0) * (y1 - y0)
        assert area == hat(x_s - m) * hat(y_s - n)  # the weight in Eq. (3)
        left.fill([x0, x1, x1, x0], [y0, y0, y1, y1], fc=style.OKABE_ITO["sky"], ec="black")
        left.text((x0 + x1) / 2, (y0 + y1) / 2, f"{16 * area:g}/16", ha="center", va="center", fontsize=10)
left.axvline(1.5, color="black", lw=0.8)
left.axhline(2.5, color="black", lw=0.8)
left.plot(x_s, y_s, "x", color=vermillion, ms=8, mew=2.5)
left.set(xlabel="x, m (pixels)", ylabel="y, n (pixels)", title="Weights are areas")
left.set(xlim=(0.5, 2.5), ylim=(3.5, 1.5), xticks=(1, 2), yticks=(2, 3))

x = np.linspace(-0.5, W - 0.5, 501)
right.plot(x, [hat(x_s - at) for at in x], "--", color=blue, label="hat around $x_s$")
right.plot(range(W), [hat(x_s - m) for m in range(W)], "o", color="black", label="$k(x_s - m)$, columns m")
right.plot(x_s, 0, "x", color=vermillion, ms=8, mew=2.5, clip_on=False, label="$x_s = 1.75$")
right.set(xlabel="x, m (pixels)", ylabel="weight along x", ylim=(0, 1.6), title="Two columns count")
right.legend(fontsize=9, loc="upper right")
plt.show()

# %% [markdown]
# On the left are the four pixels, their values in the corners, and on the square the areas. On the right you see why
# only four of the 20 terms of the sum survive. The hat is 0 at a distance of one pixel and beyond. Between $x_s - 1$
# and $x_s + 1$ there are two whole numbers (if $x_s$ is itself one, only that). Two columns times two rows are four
# pixels. A fast program looks at these alone, and the sum is the same.
#
# With $t = x_s - \lfloor x_s \rfloor$ the two weights are $1 - t$ and $t$. Their sum is 1, so a constant image stays
# constant.
#
# ## Look into it: three backends, one number
#
# `sampler.sample(U, points)` is Eq. (3) for a batch: $U$ is (N, C, H, W), the points are (N, Ho, Wo, 2), $x$ first, in
# pixels. (`grid_sample` of tutorial 03 is the same for normalised points.) It comes in several *backends*: `literal`,
# the sum of the paper in slow loops; `vectorised`, NumPy; and `cpu`, compiled by Numba. They must agree.

# %%
image, point = U[None, None], np.array([[[[x_s, y_s]]]])  # N = C = Ho = Wo = 1
for backend in ("literal", "vectorised", "cpu"):
    V = sampler.sample(image, point, backend=backend)
    print(f"{backend:>10}: {V[0, 0, 0, 0]}")
    assert V[0, 0, 0, 0] == on_paper

# %% [markdown]
# `literal` is there to be stepped into. For each axis it lists the pixels that count, with their weights, and then it
# sums over both lists. Here they are for our point, as pairs $(m, k(x_s - m))$ and $(n, k(y_s - n))$:

# %%
for name, coordinate, size in (("x", x_s, W), ("y", y_s, H)):
    print(name, literal.bilinear_axis(coordinate, size, ZEROS, "right").k)  # zeros outside; "right": see tutorial 06

# %% [markdown]
# To watch it at work, put the line `breakpoint()` above the loop over backends, run that cell, and type at the prompt:
#
#     b literal.bilinear_axis        stop whenever this function is called
#     c                              go on until there; a = its arguments, n = next line, s = step into a call
#     r                              run to its end
#     u                              go up to the caller, the loop over output pixels that has Eq. (3) in it
#
# With `NUMBA_DISABLE_JIT=1` in the environment, `cpu` can be stepped into, too.
#
# ## Change it: another kernel
#
# The kernel is a choice. On one line of pixels, $V(x) = \sum_m U_m k(x - m)$:
#
# | `mode` | $k$ | pixels that count |
# |---|---|---|
# | `"nearest"` | 1 for the pixel $m = \lfloor x + 1/2 \rfloor$, else 0 (Eq. 4) | 1 |
# | `"bilinear"` | the hat (Eq. 5) | 2 |
# | `"bicubic"` | Keys' cubic pieces, with a parameter $a$ (not in the paper) | 4 |

# %%
ROW = np.array([1.0, 1.0, 6.0, 2.0, 3.0])  # U[n, m] = ROW[m]


def on_row(row, x, **options):
    """The values at these x of an image that has a single line of pixels."""
    points = np.stack([x, np.zeros_like(x)], axis=-1)[None, None]
    return sampler.sample(row[None, None, None], points, **options).ravel()


x = np.linspace(0, 4, 801)
fig, ax = plt.subplots(figsize=(6.5, 3), layout="constrained")
ax.plot(range(5), ROW, "o", color="black", label="pixels")
ax.plot(x, on_row(ROW, x, mode="nearest"), ":", color=green, lw=2, label="nearest")
ax.plot(x, on_row(ROW, x), color=blue, lw=2, label="bilinear")
for a, dash, colour in ((-0.75, "--", vermillion), (-0.5, "-.", orange)):
    V = on_row(ROW, x, mode="bicubic", a=a, padding="border")  # near the ends it needs pixels outside
    ax.plot(x, V, dash, color=colour, lw=2, label=f"bicubic, a = {a}")
    assert V.min() < ROW.min()  # an undershoot
ax.set(xlabel="x (pixels)", ylabel="V", title="All go through the pixels")
ax.legend(fontsize=9, loc="upper right")
plt.show()

# %% [markdown]
# - **Nearest** is a staircase. Its slope is 0 wherever it has one: no gradient ever reaches the point.
# - **Bilinear** stays between its pixels. It has corners at the pixels: tutorial 06 is about them.
# - **Bicubic** has no corners, and pays for it: next to a step it overshoots, here to below the lowest pixel.
#   $a = -0.5$ reproduces straight lines and parabolas. $a = -0.75$, which PyTorch and OpenCV use and which is the
#   default here, does neither:

# %%
x = np.linspace(2, 5, 31)
squares = np.arange(8.0) ** 2
for a in (-0.75, -0.5):
    off_line = np.abs(on_row(np.arange(8.0), x, mode="bicubic", a=a) - x).max()
    off_parabola = np.abs(on_row(squares, x, mode="bicubic", a=a) - x**2).max()
    print(f"a = {a:5}: off the line x by up to {off_line:.3f}, off the parabola x² by up to {off_parabola:.3f}")
assert off_line < 1e-12 and off_parabola < 1e-12  # a = -0.5

halves = np.array([0.5, 1.5, 2.5, 3.5])
ours, eq_4 = (on_row(np.arange(5.0), halves, mode="nearest", ties=ties) for ties in ("even", "up"))
print("half-way, at", halves, "we take the pixels", ours, "and Eq. (4)", eq_4)
assert (ours == [0, 2, 2, 4]).all() and (eq_4 == np.floor(halves + 0.5)).all()

# %% [markdown]
# Half-way between two pixels somebody must decide. Eq. (4) always goes up: `ties="up"`. We go to the even pixel, as
# PyTorch does and as `np.rint` does: `ties="even"`, the default. Both are half a pixel away.
#
# ## Change it: outside the image
#
# The sum in Eq. (3) has no terms there: outside is 0, and on the way out $V$ fades over one pixel. That is `"zeros"`.
# There are two alternatives. `"border"`: the outermost pixels go on. `"reflection"`: the image is mirrored where its
# normalised coordinates are $-1$ and 1. In pixels, that depends on `align_corners`: at the outer *edges* of the outer
# pixels (`False`), or at their *centres* (`True`). `sample`, in pixels, calls the two `"reflect"` and `"mirror"`.

# %%
x = np.linspace(-5, 9, 1401)
titles = ("zeros", "border", "reflection, align_corners=False", "reflection, align_corners=True")
paddings = zip(titles, ("zeros", "border", "reflect", "mirror"), (vermillion, green, blue, orange), strict=True)
fig, axes = plt.subplots(4, 1, figsize=(6.5, 5), layout="constrained", sharex=True, sharey=True)
for ax, (title, padding, colour) in zip(axes, paddings, strict=True):
    ax.axvspan(-0.5, 4.5, color="#eeeeee")
    ax.plot(x, on_row(ROW, x, padding=padding), color=colour)
    ax.plot(range(5), ROW, "o", color="black", ms=5)
    ax.set(ylabel="V", xticks=range(-4, 9, 2))
    ax.set_title(title, fontsize=11)
for ax, mirrors in ((axes[2], (-0.5, 4.5)), (axes[3], (0, 4))):
    ax.vlines(mirrors, 0, 7, color="black", ls="--", lw=1)
axes[-1].set_xlabel("x (pixels)")
plt.show()

assert on_row(ROW, np.array([-0.5]))[0] == ROW[0] / 2  # zeros, on the left edge: half of the square is outside

# %% [markdown]
# Grey is the image, dashed are the mirrors. Mirrored at the edges, the outer pixel comes twice; at their centres, once.
#
# ## Exercises
#
# **1.** Write the bilinear value with four terms: no loop over all pixels. Outside the image pixels are 0. Hint: the
# first of the two columns is $\lfloor x_s \rfloor$.


# %% tags=["exercise"]
def my_four_terms(U, x_s, y_s):
    return 0.0  # your code


# %%
def check_four_terms(f):
    """Compare with Eq. (3) inside, on pixels, half outside and far away."""
    points = ((1.75, 2.25), (0.5, 2.25), (2.0, 1.0), (3.25, 1.0), (4.0, 3.0), (4.5, 1.5), (1.5, -0.75), (9.0, -7.0))
    for x_s, y_s in points:
        wanted, got = sample_one(U, x_s, y_s, hat), f(U, x_s, y_s)
        if not np.isclose(got, wanted):
            print(f"not yet: at x_s = {x_s}, y_s = {y_s} the value is {wanted:.4g}, yours {got:.4g}.")
            print("U[n, m] has the row first, the point (x_s, y_s) the column. A pixel outside counts as 0, and a")
            print("negative index in NumPy does not: it counts from the end.")
            return False
    x, y = np.meshgrid(np.linspace(-1, W, 61), np.linspace(-1, H, 51))
    _, ax = plt.subplots(figsize=(3.5, 2.8), layout="constrained")
    ax.imshow(np.vectorize(lambda x, y: f(U, x, y))(x, y), cmap=style.IMAGES, extent=(-1, W, H, -1))
    ax.set(xlabel="x (pixels)", ylabel="y (pixels)", title="U, read everywhere")
    plt.show()
    print("check_four_terms: right")
    return True


# %% tags=["exercise"]
check_four_terms(my_four_terms)

# %% [markdown]
# **2.** Backwards: at which point $(x_s, y_s)$ does $U_{11}$ get the weight 1/8, $U_{12}$ 3/8, $U_{21}$ 1/8 and
# $U_{22}$ 3/8? No need to search: add up the weights by columns, and by rows.

# %% tags=["exercise"]
my_point = (1.0, 1.0)  # (x_s, y_s)


# %%
def check_point(point):
    """The weights are read off with images that have a single pixel of 1."""
    for (n, m), wanted in {(1, 1): 1 / 8, (1, 2): 3 / 8, (2, 1): 1 / 8, (2, 2): 3 / 8}.items():
        single = np.zeros((H, W))
        single[n, m] = 1
        weight = sample_one(single, *point, hat)
        if not np.isclose(weight, wanted):
            print(f"not yet: at {point} U[{n}, {m}] gets the weight {weight:.4g}, wanted {wanted}.")
            print("What do columns 1 and 2 get in all? It depends on x_s alone.")
            return False
    _, ax = plt.subplots(figsize=(3, 2.4), layout="constrained")
    ax.imshow(U, cmap=style.IMAGES)
    ax.plot(*point, "x", color=vermillion, ms=8, mew=2.5)
    ax.set(xlabel="x, m (pixels)", ylabel="y, n (pixels)", yticks=range(H))
    plt.show()
    print("check_point: right")
    return True


# %% tags=["exercise"]
check_point(my_point)

# %% [markdown]
# ## Solutions


# %% tags=["solution"]
def four_terms(U, x_s, y_s):
    """The pixels of the cell, with the weights 1 - t and t along each axis."""
    m, n = int(np.floor(x_s)), int(np.floor(y_s))
    t_x, t_y = x_s - m, y_s - n
    V = 0.0
    for row, k_y in ((n, 1 - t_y), (n + 1, t_y)):
        for column, k_x in ((m, 1 - t_x), (m + 1, t_x)):
            if 0 <= row < U.shape[0] and 0 <= column < U.shape[1]:
                V += U[row, column] * k_x * k_y
    return V


check_four_terms(four_terms)

# %% tags=["solution"]
check_point((1.75, 1.5))  # columns: 2/8 and 6/8; rows: 4/8 and 4/8

# %% [markdown]
# **Read next:** 05, gradients: the slope of this sum, in the pixels and in the point.
