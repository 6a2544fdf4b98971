# %% [markdown]
# # 07 Checking gradients
#
# **You will** check a backward against differences of its forward, choose the step, and fool the check on purpose.
# **You will learn** why bilinear sampling wants a large step, what an upstream gradient of ones hides, what a square
# image hides, and what to do on a kink. **You need** tutorial 06, or: Eq. (5) and what a kink is. Time: 15 minutes to
# read, some seconds to run.
#
# ## The question
#
# You have written a backward. It runs, and the loss goes down. Is it right? Wrong gradients often point roughly
# downhill, so training does not tell. A difference of two forward calls does, if you ask it well.

# %%
from functools import partial

import matplotlib.pyplot as plt
import numpy as np

from stn_ref import sampler
from stn_ref.gradcheck import gradcheck
from stn_ref.plotting import style

plt.rcParams.update(style.RC)
blue, vermillion, green, orange = (style.OKABE_ITO[name] for name in ("blue", "vermillion", "green", "orange"))
rng = np.random.default_rng(0)

sample = partial(sampler.sample, backend="vectorised")  # NumPy: nothing to compile
sample_backward = partial(sampler.sample_backward, backend="vectorised")

# %% [markdown]
# ## Predict
#
# The slope of bilinear $V$ along $x_s$, at points at least 0.3 px away from every pixel, in float64: which step $h$, in
# pixels, gives the best difference? Many write `1e-6`. What do you write?

# %%
my_step = None  # a number: edit this line, then run on

# %% [markdown]
# ## Run: two errors, one step
#
# $$\underbrace{\frac{V(x+h) - V(x)}{h}}_{\text{forward}} = V' + \frac{h}{2} V'' + \dots, \qquad
#   \underbrace{\frac{V(x+h) - V(x-h)}{2h}}_{\text{central}} = V' + \frac{h^2}{6} V''' + \dots$$
#
# What follows $V'$ is the *truncation* error: it shrinks with $h$. But each $V$ is rounded, by $\epsilon |V|$ or so,
# and the division makes that $\epsilon |V| / h$: it grows as $h$ shrinks. The sum of both is a curve like a U.

# %%
U = rng.normal(size=(1, 1, 9, 12))
points = rng.integers(2, 6, (1, 1, 200, 2)) + rng.uniform(0.3, 0.7, (1, 1, 200, 2))  # (x_s, y_s), off the pixels


def V(mode, t, dtype=np.float64):
    """V at all points, moved by t along x."""
    return sample(U.astype(dtype), points.astype(dtype) + np.array([t, 0], dtype), mode=mode)


def relative_error(a, n):
    """max|a - n| / max(|a|, |n|): one number for an array, so that values near 0 in it do no harm."""
    return np.abs(a - n).max() / max(np.abs(a).max(), np.abs(n).max())


steps = np.logspace(-12, 0, 49)  # four to a factor of 10
slope, slope_bicubic = (  # dV/dx_s at all points, from the backward
    sample_backward(U, points, np.ones((1, 1, 1, 200)), mode=mode)[1][..., 0] for mode in ("bilinear", "bicubic")
)
errors = {"forward, bicubic": [], "central, bicubic": [], "central, bilinear": [], "the same in float32": []}
for h in steps:
    differences = (
        (V("bicubic", h) - V("bicubic", 0)) / h,
        (V("bicubic", h) - V("bicubic", -h)) / (2 * h),
        (V("bilinear", h) - V("bilinear", -h)) / (2 * h),
        (V("bilinear", h, np.float32) - V("bilinear", -h, np.float32)) / (2 * h),
    )
    for name, n in zip(errors, differences, strict=True):
        errors[name].append(relative_error(slope_bicubic if "bicubic" in name else slope, n))
fig, ax = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
for name, colour, dash in zip(errors, (orange, vermillion, blue, green), ("--", "-.", "-", ":"), strict=True):
    ax.loglog(steps, errors[name], dash, color=colour, lw=2, label=name)
ax.axvline(0.3, color="black", lw=0.7, label="the nearest kink, at 0.3 px")
ax.set(xlabel="step h (pixels)", ylabel="relative error", title="Truncation to the right, rounding to the left")
ax.legend(fontsize=9, loc="lower left")
plt.show()
for name, error in errors.items():
    print(f"{name:>19}: best h = {steps[np.argmin(error)]:.0e}, error {min(error):.0e}")
if my_step is not None:
    n = (V("bilinear", my_step) - V("bilinear", -my_step)) / (2 * my_step)
    print(f"your step on bilinear: error {relative_error(slope, n):.0e}")
forward, central, bilinear, single = errors.values()  # steps[24], [36], [40], [44]: 1e-6, 1e-3, 1e-2, 1e-1
assert 9 < forward[40] / forward[36] < 11 and 90 < central[40] / central[36] < 110
assert bilinear[44] < 1e-13 < bilinear[24] and bilinear[-1] > 0.1 and single[24] > 0.01 > single[40]

# %% [markdown]
# Read it from right to left. *Bicubic* is a smooth test case: the forward error falls by 10 for each factor of 10 in
# $h$, the central one by 100, until rounding takes over. *Bilinear* $V$ is a straight line inside its cell: no $V''$,
# no truncation, only rounding, and **the largest step is the best, as long as it stays in the cell**. Beyond, it
# crosses a kink and measures something else. In float32, $\epsilon$ is larger by $5 \cdot 10^8$, and `1e-6` is
# hopeless. Check in float64; of float32 ask only that it agrees with float64.

# %% [markdown]
# ## Look into it: what do you multiply with?
#
# A backward does not return $\partial V / \partial x$. It returns the gradient of $L = \sum_{ij} gV_{ij} V_{ij}$, for
# the upstream gradient, or *cotangent*, $gV$ that it is given. `V.sum()`, that is $gV = 1$, is quick to write. Here are
# two mistakes. In one, $V$ comes out transposed and its backward knows nothing of it. In the other, the gradient per
# normalised unit, which is $W/2$ times that per pixel along $x$ and $H/2$ times along $y$, has $H$ and $W$ exchanged.

# %%
H_STEP = 2.0**-5  # pixels: in the cell; a power of 2, so that x + h and the division by 2 h round little


def transposed_output(U, points):
    """V with its rows and columns exchanged, then reshaped so that nobody notices."""
    V = sample(U, points)
    return V.swapaxes(2, 3).reshape(V.shape)


def numeric_gradient(L, x):
    """dL/dx, value by value: two calls of L for each."""
    gx = np.empty_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = H_STEP
        gx[index] = (L(x + step) - L(x - step)) / (2 * H_STEP)
    return gx


def two_errors(gV):
    """Relative error of two wrong gradients, on an image as large as gV, with as many points, none near a kink."""
    rng, (H, W) = np.random.default_rng(1), gV.shape[2:]
    U = rng.normal(size=gV.shape)
    points = rng.integers(0, (W - 1, H - 1), (1, H, W, 2)) + rng.uniform(0.2, 0.8, (1, H, W, 2))
    _, gpoints = sample_backward(U, points, gV)
    of_transposed = numeric_gradient(lambda p: (gV * transposed_output(U, p)).sum(), points)
    per_unit = numeric_gradient(lambda p: (gV * sample(U, p)).sum(), points) * (W / 2, H / 2)
    return relative_error(gpoints, of_transposed), relative_error(gpoints * (H / 2, W / 2), per_unit)


found = {}
print("               transposed output   sizes swapped")
for H, W in ((6, 6), (5, 7)):
    for name, cotangent in (("ones", np.ones((1, 2, H, W))), ("random", rng.normal(size=(1, 2, H, W)))):
        found[name, H] = two_errors(cotangent)
        print(f"{H} x {W}, gV {name:>6}: {found[name, H][0]:16.0e} {found[name, H][1]:15.0e}")
assert max(found["ones", 6]) < 1e-12 and min(found["random", 5]) > 0.1  # both hidden; both found
assert found["ones", 5][0] < 1e-12 and found["random", 6][1] < 1e-12  # one of the two is not enough

# %% [markdown]
# The sum of all pixels is the same in whatever order they stand: with ones, a transposed output passes to the last
# digits; with random numbers the error is of the size of the gradient itself. And $H/2$ for $W/2$ is no mistake where
# $H = W$. So: **a random cotangent, and no two axes of the same length.**
#
# ## Look into it: large arrays
#
# An image of 3 × 64 × 64 pixels has 12,288 values: twice as many forward calls. A random direction $D$ needs two:
#
# $$\sum_k gU_k D_k = \frac{L(U + hD) - L(U - hD)}{2h}$$
#
# ($V$ is linear in $U$, so any $h$ will do.) A mistake in any one value changes the left side. You learn *that*
# something is wrong, not where: `stn_ref.gradcheck` takes four directions and a sample of values.

# %%
big, D = rng.normal(size=(2, 1, 3, 64, 64))
where, cotangent = rng.uniform(0, 63, (1, 40, 50, 2)), rng.normal(size=(1, 3, 40, 50))
right, _ = sample_backward(big, where, cotangent)
wrong = np.where(right == right.max(), -right, right)
numeric = (cotangent * (sample(big + H_STEP * D, where) - sample(big - H_STEP * D, where))).sum() / (2 * H_STEP)
error_right, error_wrong = (abs((g * D).sum() - numeric) / np.linalg.norm(g) for g in (right, wrong))
print(f"right: {error_right:.0e}   one sign of 12,288 wrong: {error_wrong:.0e}")
assert error_right < 1e-12 and error_wrong > 1e-3

# %% [markdown]
# ## Change it: stand on a kink
#
# Now put the point on a pixel. There are a difference to the right and one to the left:
#
# $$r(h) = \frac{V(x+h) - V(x)}{h}, \qquad l(h) = \frac{V(x) - V(x-h)}{h}$$
#
# Where $V$ is smooth, their gap $r - l \approx h V''$ halves with $h$. On a kink it stays, however small $h$ becomes.

# %%
ROW = np.array([1.0, 2.0, 9.0, 11.0])  # an image of one line; at x = 2 its slopes are 7 and 2


def on_row(x, mode="bilinear"):
    return sample(ROW[None, None, None], np.array([[[[x, 0.0]]]]), mode=mode).item()


def gap(f, x, h):
    return (f(x + h) - f(x)) / h - (f(x) - f(x - h)) / h


halved = 0.25 / 2.0 ** np.arange(20)
gaps = {
    "on a pixel": [abs(gap(on_row, 2.0, h)) for h in halved],
    "0.001 px to the right of it": [abs(gap(on_row, 2.001, h)) for h in halved],
    "bicubic, at 1.3": [abs(gap(partial(on_row, mode="bicubic"), 1.3, h)) for h in halved],
}
fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for name, colour, mark in zip(gaps, (vermillion, orange, blue), "osv", strict=True):
    ax.loglog(halved, np.maximum(gaps[name], 1e-9), mark, ls="-", ms=4, color=colour, label=name)
ax.set(xlabel="step h (pixels)", ylabel="gap |r - l|", title="A kink is a gap that does not shrink")
ax.legend(fontsize=9, loc="lower right")
plt.show()
on_it, near_it, smooth = gaps.values()
assert np.allclose(on_it, 5) and near_it[0] > 4 and max(near_it[8:]) < 1e-8 and 1.99 < smooth[10] / smooth[11] < 2.01

# %% [markdown]
# (Gaps of rounding only are drawn at $10^{-9}$.) A central difference on the pixel gives 4.5, the mean of 7 and 2. Our
# slope, to the right, is 2. Next to 4.5 that looks wrong by more than half, and it is not: it is a convention. Nor may
# such points be skipped, for training starts on them (tutorial 06). On a kink the question is another one:
#
# $$\min(gV \, l,\; gV \, r) \;\le\; g \;\le\; \max(gV \, l,\; gV \, r), \qquad l = 7,\; r = 2$$

# %%
LINE, on_pixels = ROW[None, None, None], np.array([[[[1.0, 0.0], [2.0, 0.0]]]])
reports = {}
for kink in sampler.KINKS:
    reports[kink] = gradcheck(sampler.Sampler(kink=kink, backend="vectorised"), LINE, on_pixels, rng=rng)
    print(f"{kink:>10}: {'pass' if reports[kink] else 'FAIL'}")
print(f"\nand what it says of the last one:\n\n{reports['as_printed']}")
assert [bool(report) for report in reports.values()] == [True, True, True, False]

# %% [markdown]
# Three conventions pass. Eq. (7) read literally gives 9 at $x = 2$, and 9 is not between 2 and 7. (The report has all
# three times its own $gV$.) One warning: this holds for one coordinate at a time. A $\theta$ moves many points, and its
# gradient mixes their kinks: check $\theta$ away from the identity, or say `kinks="skip"`, which only counts them.
#
# `gradcheck((forward, backward), *inputs, rng=rng)` takes any two functions of float64 arrays; `forward(*inputs)`
# gives $V$, `backward(*inputs, gV)` one gradient for each input. It does what you saw: random cotangents, a step as
# large as the function allows, directions for large arrays, intervals on kinks. `print(report)` says what it found.
#
# ## Exercises
#
# **1.** A sampler of one line, with $t_j = x_j - m_j$ and $m_j = \lfloor x_j \rfloor$. Write its backward.
#
# $$V_j = (1 - t_j) \, u_{m_j} + t_j \, u_{m_j + 1}$$


# %%
def line(u, x):
    m, t = np.floor(x).astype(int), x - np.floor(x)
    return (1 - t) * u[m] + t * u[m + 1]


# %% tags=["exercise"]
def my_line_backward(u, x, gV):
    return np.zeros_like(u), np.zeros_like(x)  # your code: gu, gx


# %%
def check_line(backward):
    """Run gradcheck on it: off pixels, on pixels, and with three points in one cell."""
    u, x = np.array([3.0, -1.0, 2.0, 2.0, 7.0, 0.0, 1.0]), np.array([0.3, 2.0, 2.25, 2.5, 4.0])
    report = gradcheck((line, backward), u, x, rng=np.random.default_rng(0))
    print(report)
    if not report:
        print("not yet. gx: how does V_j change with t_j? gu: add all parts; gu[m] += ... keeps one, np.add.at all.")
        return False
    _, ax = plt.subplots(figsize=(5, 2.2), layout="constrained")
    ax.bar(range(7), backward(u, x, np.ones(5))[0], color=green)
    ax.set(xlabel="pixel m", ylabel="gu", title="gu for gV = 1: how much each pixel is read")
    plt.show()
    print("check_line: right")
    return True


# %% tags=["exercise"]
check_line(my_line_backward)

# %% [markdown]
# **2.** Ones are not the only cotangent that hides `transposed_output`. Find another one of 6 × 6, not constant.

# %% tags=["exercise"]
my_cotangent = np.random.default_rng(3).normal(size=(6, 6))


# %%
def check_cotangent(cotangent):
    if cotangent.shape != (6, 6) or np.ptp(cotangent) < 0.1:
        print("not yet: wanted is a 6 x 6 array whose values differ, by 0.1 at least.")
        return False
    error = two_errors(np.stack([cotangent, cotangent])[None])[0]
    if error > 1e-6:
        print(f"not yet: the check shows an error of {error:.2g}. When is sum gV[i, j] V[j, i] = sum gV[i, j] V[i, j]?")
        return False
    _, ax = plt.subplots(figsize=(3, 2.5), layout="constrained")
    ax.imshow(cotangent, cmap="RdBu_r", vmin=-np.abs(cotangent).max(), vmax=np.abs(cotangent).max())
    ax.set(xlabel="j", ylabel="i", title=f"Your gV: error {error:.0e}")
    plt.show()
    print("check_cotangent: right")
    return True


# %% tags=["exercise"]
check_cotangent(my_cotangent)

# %% [markdown]
# ## Solutions


# %% tags=["solution"]
def line_backward(u, x, gV):
    """dV_j/du_m is the weight of the pixel, dV_j/dx_j the difference of the two."""
    m, t = np.floor(x).astype(int), x - np.floor(x)
    gu = np.zeros_like(u)
    np.add.at(gu, m, (1 - t) * gV)
    np.add.at(gu, m + 1, t * gV)
    return gu, gV * (u[m + 1] - u[m])


check_line(line_backward)

# %% tags=["solution"]
check_cotangent(np.add.outer(np.arange(6.0), np.arange(6.0)))  # i + j, or any other symmetric one

# %% [markdown]
# **Read next:** 08, where theta comes from: the slopes are right, now a net learns from them.
