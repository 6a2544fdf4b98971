# %% [markdown]
# # 06 Standing on a kink
#
# **You will** look at the one place where bilinear sampling has no derivative, and find that training begins exactly
# there. **You will learn** what Eq. (7) gives there, which answers there are, and which wrong one stops all learning.
# **You need** tutorial 05, or: Eq. (5) and the chain rule. Time: 10 minutes to read, some seconds to run.
#
# ## The question
#
# A spatial transformer starts at the identity: output pixel $(i, j)$ is sampled at $x_s = j$, $y_s = i$. Between two
# pixels the bilinear $V$ is a straight line, and at a pixel two lines meet. What is $\partial V / \partial x_s$ there?

# %%
import matplotlib.pyplot as plt
import numpy as np

from stn_ref import sampler, transforms
from stn_ref.grid import GridGenerator
from stn_ref.plotting import style

plt.rcParams.update(style.RC)
blue, vermillion, green, orange = (style.OKABE_ITO[name] for name in ("blue", "vermillion", "green", "orange"))

ROW = np.array([1.0, 2.0, 4.0, 8.0])  # one line of an image: U[n, m] = ROW[m]


def on_row(x):
    """Sampling points (1, 1, P, 2) at these x, in the middle of the line."""
    x = np.atleast_1d(np.asarray(x, float))
    return np.stack([x, np.zeros_like(x)], axis=-1)[None, None]


# %% [markdown]
# ## Predict
#
# At $x_s = 2$ the pixel is 4; its neighbours are 2 and 8. Write down your slope before you go on.

# %%
my_slope = None  # a number: edit this line, then run on

# %% [markdown]
# ## Run
#
# $$V(x) = \sum_m U_m \, k(x - m), \qquad k(d) = \max(0, 1 - |d|) \qquad \text{(Eq. 5, one line)}$$

# %%
x = np.linspace(-1.2, 4.2, 541)
V = sampler.sample(ROW[None, None, None], on_row(x)).ravel()

fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.plot(x, V, color=blue, label="V(x), bilinear, zeros outside")
ax.plot(range(4), ROW, "o", color="black", label="pixels")
ax.plot([1.3, 2], [4 - 2 * 0.7, 4], "--", color=orange, lw=3, label="slope 2, from the left")
ax.plot([2, 2.7], [4, 4 + 4 * 0.7], ":", color=vermillion, lw=3, label="slope 4, to the right")
ax.set(xlabel="x (pixels)", ylabel="V", title="Two straight lines meet at every pixel")
ax.legend(fontsize=9)
plt.show()

# %% [markdown]
# ## Look into it: four answers
#
# Eq. (7) gives a pixel $m$ the factor 0 if $|m - x| \ge 1$, 1 if $m \ge x$, and $-1$ if $m < x$. Between pixels that is
# clear. At $x = m$ it depends on how you read it, and `kink=` lets you choose:
#
# | `kink` | the pixels that count | slope at $x = m$ |
# |---|---|---|
# | `"right"` (ours, PyTorch's) | $m$ and $m + 1$ | $U_{m+1} - U_m$ |
# | `"left"` | $m - 1$ and $m$ | $U_m - U_{m-1}$ |
# | `"central"` | half of each | $(U_{m+1} - U_{m-1}) / 2$ |
# | `"as_printed"` | $m$ alone: both neighbours are at distance 1 | $U_m$ |

# %%
one = np.ones((1, 1, 1, 1))
slopes = {}
for kink in sampler.KINKS:
    _, gpoints = sampler.sample_backward(ROW[None, None, None], on_row(2.0), one, kink=kink)
    slopes[kink] = float(gpoints[0, 0, 0, 0])
    print(f"{kink:>10}: {slopes[kink]:g}")
print("you said:", "nothing yet" if my_slope is None else my_slope)
assert slopes == {"right": 4, "left": 2, "central": 3, "as_printed": 4}

# %% [markdown]
# Any number between 2 and 4 can be defended: it lies between the two one-sided slopes. `as_printed` is 4 here by
# accident. On an image that is 5 everywhere, the slope must be 0:

# %%
FIVES = np.full((1, 1, 1, 4), 5.0)
for kink in sampler.KINKS:
    _, gpoints = sampler.sample_backward(FIVES, on_row(2.0), one, kink=kink)
    print(f"{kink:>10}: {gpoints[0, 0, 0, 0]:g}")

# %% [markdown]
# Read literally, Eq. (7) says that the constant image has the slope 5. That is a slip of the paper, not of bilinear
# sampling; no library that we know computes it. But there is a mistake that people do make.
#
# ## Change it: the neighbour that kills learning
#
# "The pixels around $x$ are $\lfloor x \rfloor$ and $\lceil x \rceil$." Between pixels, yes. At $x = m$ both are
# $m$, and the slope $U_{\lceil x \rceil} - U_{\lfloor x \rfloor}$ is 0 for every image. Let us learn a shift $t$ by
# gradient descent, from $t = 0$, on a bump that was shifted by 1.3 pixels:
#
# $$L(t) = \tfrac12 \sum_j \big(V(j + t) - \text{target}_j\big)^2, \qquad
#   \frac{dL}{dt} = \sum_j (V - \text{target})_j \, \frac{\partial V}{\partial x}(j + t)$$

# %%
j = np.arange(24.0)
bump = np.exp(-((j - 12) ** 2) / 18)
target = np.exp(-((j + 1.3 - 12) ** 2) / 18)


def slope_between_floor_and_ceil(u, x):
    floor, ceil = np.clip(np.floor(x), 0, 23).astype(int), np.clip(np.ceil(x), 0, 23).astype(int)
    return u[ceil] - u[floor]


def learn(kink, steps=40, rate=0.3):
    """Gradient descent on t; returns t after each step."""
    t, path = 0.0, [0.0]
    for _ in range(steps):
        points = on_row(j + t)
        error = sampler.sample(bump[None, None, None], points).ravel() - target
        if kink == "floor and ceil":
            gt = (error * slope_between_floor_and_ceil(bump, j + t)).sum()
        else:
            gV = error[None, None, None]
            _, gpoints = sampler.sample_backward(bump[None, None, None], points, gV, kink=kink)
            gt = gpoints[..., 0].sum()
        t -= rate * gt
        path.append(t)
    return path


paths = {kink: learn(kink) for kink in ("right", "left", "central", "floor and ceil")}
fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for (kink, path), colour, dash in zip(
    paths.items(), (vermillion, orange, green, blue), ("-", "--", ":", "-."), strict=True
):
    ax.plot(path, dash, color=colour, lw=2, label=kink)
ax.axhline(1.3, color="black", lw=0.7)
ax.set(xlabel="step", ylabel="shift t (pixels)", title="Three conventions learn, one never starts")
ax.legend(fontsize=9)
plt.show()
assert all(abs(paths[kink][-1] - 1.3) < 0.05 for kink in ("right", "left", "central"))
assert paths["floor and ceil"][-1] == 0.0  # not slow: dead

# %% [markdown]
# Which side you take hardly matters, as long as it is one. (jax#3024 and dm_pix had the ceil. It shows at whole pixels
# only, as at the identity, which is where transformers start.)
#
# ## Is the identity really on the pixels?
#
# In floating point, only if somebody takes care. The usual way, `linspace(-1, 1, W)` turned into pixels, misses some of
# them, and a point that rounding puts a hair to the left of its pixel has the *left* slope: which convention you get is
# luck, column by column.

# %%
for W in (28, 64):
    grid = np.linspace(-1, 1, W, dtype=np.float32)
    columns = np.floor((grid + 1) * np.float32((W - 1) / 2))
    print(f"W = {W}: {np.count_nonzero(columns != np.arange(W))} columns of {W} fall into the cell on their left")

generator = GridGenerator(transforms.get("affine"))
identity = np.array([[1, 0, 0, 0, 1, 0]], np.float32)
points = generator.eval().forward(identity, (64, 64))
assert (points[0, :, :, 0] == np.arange(64)).all()  # exactly; coordinates.displaced says how
print("GridGenerator: all on their pixels")

# %% [markdown]
# ## Exercises
#
# **1.** Write the slope at any $x$, for a line of pixels `u` and for `kink` "right" or "left". Pixels outside are 0.


# %% tags=["exercise"]
def my_slope_of(u, x, kink):
    return 0.0  # your code


# %%
def check_slope_of(f):
    """Compare with the sampler, on and between pixels, inside and at the ends."""
    u = np.array([3.0, -1.0, 2.0, 2.0, 7.0])
    for kink in ("right", "left"):
        for x in (-1.0, 0.0, 0.25, 1.0, 2.0, 3.5, 4.0, 4.5, 6.0):
            _, g = sampler.sample_backward(u[None, None, None], on_row(x), one, kink=kink)
            expected, got = g[0, 0, 0, 0], f(u, x, kink)
            if not np.isclose(got, expected):
                where = "a whole number" if x == int(x) else "between pixels"
                print(f"not yet: {kink} slope at x = {x} ({where}) is {expected:g}, yours {got:g}.")
                print("Between which two places does x lie? At a whole number it depends on the side. Outside, u is 0.")
                return False
    xs = np.linspace(-1.5, 5.5, 701)
    _, ax = plt.subplots(figsize=(6, 2.2), layout="constrained")
    ax.plot(xs, [f(u, x, "right") for x in xs], color=green)
    ax.set(xlabel="x (pixels)", ylabel="slope", title="Right: piecewise constant, a step at every pixel")
    plt.show()
    print("check_slope_of: right")
    return True


# %% tags=["exercise"]
check_slope_of(my_slope_of)

# %% [markdown]
# **2.** Find three pixels such that, at the middle one, the left slope is $-1$, the right slope is $+1$, and Eq. (7) as
# printed gives 10. Is 10 between them?

# %% tags=["exercise"]
my_pixels = [0.0, 0.0, 0.0]


# %%
def check_pixels(pixels):
    """Look at the three slopes at the middle pixel."""
    u = np.array(pixels, float)
    for kink, wanted in (("left", -1), ("right", 1), ("as_printed", 10)):
        _, g = sampler.sample_backward(u[None, None, None], on_row(1.0), one, kink=kink)
        if g[0, 0, 0, 0] != wanted:
            print(f"not yet: the slope {kink} is {g[0, 0, 0, 0]:g}, wanted {wanted}. See the table above.")
            return False
    _, ax = plt.subplots(figsize=(3, 2.2), layout="constrained")
    ax.plot(u, "o-", color=green)
    ax.set(xlabel="m", ylabel="U", title="A valley at height 10")
    plt.show()
    print("check_pixels: right")
    return True


# %% tags=["exercise"]
check_pixels(my_pixels)

# %% [markdown]
# ## Solutions


# %% tags=["solution"]
def slope_of(u, x, kink):
    """The difference of the two pixels of the cell: [m, m + 1) to the right, (m - 1, m] to the left."""
    m = int(np.floor(x)) if kink == "right" else int(np.ceil(x)) - 1
    pixel = lambda k: u[k] if 0 <= k < len(u) else 0.0  # noqa: E731
    return pixel(m + 1) - pixel(m)


check_slope_of(slope_of)

# %% tags=["solution"]
check_pixels([11.0, 10.0, 11.0])  # 10 is not between -1 and 1: as printed it is no slope at all

# %% [markdown]
# **Read next:** 07, checking gradients: how a finite difference finds out that it stands on a kink.
