# %% [markdown]
# # 12 Limits: aliasing and what cannot be undone
#
# **You will** shrink images until bilinear sampling invents patterns, cure it in three ways, and turn a feature map
# that cannot be turned. **You will learn** why a transformer that shrinks misses pixels, what that does to its
# gradient, how the width of a kernel is learnt, and why one transforms the input rather than the features. **You need**
# tutorials 04 and 05 (Eqs. 3 to 7). Time: 20 minutes to read, some seconds to run.
#
# ## The question
#
# Bilinear sampling looks at the four pixels around each point. If the grid shrinks the image to a quarter, its points
# are four pixels apart. What about the pixels between?

# %%
import matplotlib.pyplot as plt
import numpy as np

from stn_ref import data, kernel_sampler, sampler, transforms
from stn_ref.grid import GridGenerator
from stn_ref.plotting import style

plt.rcParams.update(style.RC)
blue, vermillion, green = (style.OKABE_ITO[name] for name in ("blue", "vermillion", "green"))


def on_row(x):
    """Sampling points (1, 1, P, 2) at these x, on the only line of an image."""
    return np.stack([x, np.zeros_like(x)], axis=-1)[None, None]


# %% [markdown]
# ## Predict
#
# Stripes, one pixel wide: $U_m$ is 0 for even $m$ and 1 for odd $m$. We read every fourth pixel, $x_s = 4 j + t$. At
# $t = 0$ all we see is 0. How bright is $V$, on average, at $t = 1$? And how bright should it be?

# %%
my_brightness = None  # at t = 1: edit this line, then run on

# %% [markdown]
# ## Run
#
# $$V_j = \sum_m U_m \, k(x_s - m), \qquad x_s = 4 j + t, \qquad k(d) = \max(0, 1 - |d|) \qquad \text{(Eq. 5)}$$

# %%
stripes = np.tile([0.0, 1.0], 40)[None, None, None]
j = np.arange(2.0, 18)
brightness = {t: sampler.sample(stripes, on_row(4 * j + t)).mean() for t in (0, 0.5, 1)}
for t, V_mean in brightness.items():
    print(f"t = {t:<3}: V is {V_mean:.2f}")
print("you said:", "nothing yet" if my_brightness is None else my_brightness)
assert brightness == {0: 0, 0.5: 0.5, 1: 1}

# %% [markdown]
# Move the image by one pixel, and all of $V$ goes from black to white. The mean of the stripes is one half, always.
# What we see is an **alias**: a pattern that is too fine for the grid comes back as a coarse one that is not there.
# (At $t = 1/2$ we were lucky: each point lies between a black and a white pixel.) In two dimensions it looks like this.
# Rings that become finer outwards, with $r / 96$ cycles in a pixel at radius $r$. Points four pixels apart can show
# $1/8$ of a cycle in a pixel, so nothing outside $r = 12$.
#
# ## Look into it: three cures
#
# - **A denser grid, then average pooling.** The nets of `models.py` sample 56 x 56 points and average them 2 x 2.
# - **A wider kernel**, Eq. (3) with $k(d; w) = \max(0, 1 - |d| / w)$, divided by its sum: `kernel_sample`.
# - **A width that follows the map**: `AntialiasedSampler` takes for $w$ the pixels of $U$ from one point to the next
#   (at least 1), for each point and axis, and so needs no setting.

# %%
n = 96
y, x = np.mgrid[:n, :n] - (n - 1) / 2
rings = (0.5 + 0.5 * np.cos(np.pi * (x**2 + y**2) / n))[None, None]
identity = np.array([[1.0, 0, 0, 0, 1, 0]])


def grid_points(size):
    """Sampling points of an output of size x size that shows all of the rings."""
    return GridGenerator(transforms.get("affine"), (size, size)).eval().forward(identity, (n, n))


denser = sampler.sample(rings, grid_points(48))  # 2 pixels apart
views = {
    "bilinear": sampler.sample(rings, grid_points(24)),
    "2 x denser,\naveraged": denser.reshape(1, 1, 24, 2, 24, 2).mean(axis=(3, 5)),
    "tent, w = 3": kernel_sampler.kernel_sample(rings, grid_points(24), np.array([3.0, 3.0])),
    "w follows\nthe map": kernel_sampler.AntialiasedSampler().eval().forward(rings, grid_points(24)),
}
r = np.hypot(x, y).reshape(24, 4, 24, 4).mean(axis=(1, 3))  # of each output pixel
fig, axes = plt.subplots(1, 5, figsize=(7, 2.2), layout="constrained")
axes[0].imshow(rings[0, 0], cmap=style.IMAGES, vmin=0, vmax=1)
axes[0].set_title("U")
for ax, (name, V) in zip(axes[1:], views.items(), strict=True):
    ax.imshow(V[0, 0], cmap=style.IMAGES, vmin=0, vmax=1)
    ax.set_title(name, size=11)
    print(f"{name.replace(chr(10), ' '):<21} contrast outside r = 16: {V[0, 0][r > 16].std():.3f}")
for ax in axes:
    ax.set(xticks=[], yticks=[])
plt.show()
contrast = [V[0, 0][r > 16].std() for V in views.values()]
assert contrast[0] > 2 * contrast[1] > 2 * contrast[3]

points = grid_points(24)
assert np.allclose(kernel_sampler.footprint(points)[0, 1:-1, 1:-1], 4)
turn = np.array([[0, -1.0, 0, 1, 0, 0]])  # by 90 degrees: steep nowhere
turned_points = GridGenerator(transforms.get("affine"), (n, n)).eval().forward(turn, (n, n))
assert np.allclose(kernel_sampler.footprint(turned_points), 1)  # so it does not blur

# %% [markdown]
# All the rings of the second picture except those in the middle are aliases. The cures do not agree in the middle: a
# wider kernel removes more of what the grid cannot show, and fades some of what it can. Nothing is free.
#
# ## Look into it: what aliasing does to learning
#
# Eq. (7) is the difference of two neighbouring pixels, even if the next point is four pixels away. So the gradient
# follows the finest texture, where the output can show the coarse shape only. How far was a noisy bump shifted?
#
# $$L(t) = \tfrac12 \, \text{mean}_j \big( V_j(t) - V_j(0) \big)^2$$

# %%
m = np.arange(128)
bump = 2 * np.exp(-((m - 64) ** 2) / 200) + np.random.default_rng(0).normal(scale=0.5, size=128)
j, shifts = np.arange(2.0, 29), np.linspace(-24, 24, 481)
fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
minima = {}
for w, name, colour, dash in ((1.0, "bilinear", vermillion, "-"), (4.0, "tent, w = 4", blue, "--")):
    phi = np.array([w, 1.0])  # the widths in x and y
    V = np.array([kernel_sampler.kernel_sample(bump[None, None, None], on_row(4 * j + t), phi).ravel() for t in shifts])
    L = 0.5 * ((V - V[240]) ** 2).mean(axis=1)  # shifts[240] is 0
    minima[name] = np.count_nonzero((L[1:-1] < L[:-2]) & (L[1:-1] < L[2:]))
    ax.plot(shifts, L, dash, color=colour, label=f"{name}: local minima {minima[name]}")
ax.set(xlabel="shift t (pixels)", ylabel="L", title="The same bump, the same 27 points")
ax.legend(fontsize=9)
plt.show()
assert minima["bilinear"] > 10 * minima["tent, w = 4"] and minima["tent, w = 4"] <= 3

# %% [markdown]
# Gradient descent stops in the first dip. With the wide kernel the bump itself is what it walks on.
#
# ## Change it: a width that is learnt
#
# Let $K = \sum_m k(d_m; w)$, with $d_m = x_s - m$. Then $V = \sum_m U_m k(d_m; w) / K$, and the quotient rule gives
#
# $$\frac{\partial V}{\partial w} = \frac1K \sum_m (U_m - V) \, \frac{\partial k}{\partial w}(d_m; w), \qquad
#   \frac{\partial k}{\partial w} = \frac{|d|}{w^2} \; \text{ where } |d| < w$$
#
# A wider kernel listens more to the pixels farther out: $V$ rises if they are brighter than $V$ itself. `KernelSampler`
# has $w$ (one for $x$, one for $y$) as its parameter `phi`. By hand and by the layer, at one point:

# %%
x_s, w = 50.3, 2.5
d = x_s - m
k, dk_dw = np.maximum(0, 1 - np.abs(d) / w), np.where(np.abs(d) < w, np.abs(d) / w**2, 0)
V = (bump * k).sum() / k.sum()
by_hand = ((bump - V) * dk_dw).sum() / k.sum()
layer = kernel_sampler.KernelSampler((w, 1.0), dtype=np.float64)
assert np.isclose(layer.forward(bump[None, None, None], on_row(np.array([x_s]))).item(), V)
layer.backward(np.ones((1, 1, 1, 1)))
print(f"dV/dw: by hand {by_hand:.6f}, by the layer {layer.phi.grad[0]:.6f}")
assert np.isclose(by_hand, layer.phi.grad[0])

# %% [markdown]
# Now learn it: from noise of 64 x 64 pixels, sampled at 16 x 16 points, predict the mean of each 4 x 4 block.

# %%
U = np.random.default_rng(1).random((1, 1, 64, 64))
target = U.reshape(1, 1, 16, 4, 16, 4).mean(axis=(3, 5))
points = GridGenerator(transforms.get("affine"), (16, 16)).eval().forward(identity, (64, 64))
for start in (2.0, 1.2):
    layer = kernel_sampler.KernelSampler((start, start), dtype=np.float64)
    for _ in range(40):
        error = layer.forward(U, points) - target
        layer.phi.zero_grad()
        layer.backward(error / error.size, needs=(False, False))
        layer.phi.value -= 100 * layer.phi.grad
    print(f"w from {start}: to {layer.phi.value.round(2)}, L = {0.5 * (error**2).mean():.5f}")
    assert (layer.phi.value > 2.5).all() if start == 2 else (layer.phi.value == start).all()

# %% [markdown]
# It comes close to 3, not 4: a tent of width $w$ reaches $w$ to either side, a block of 4 only 2. And from 1.2 it does
# not move at all. Every point lies midway between two pixels here; as long as $w < 1.5$ it sees these two only, and
# halves of both whatever $w$ is. A width, too, has flat ground. Begin wide enough.
#
# ## What no sampler can undo
#
# A transformer may stand behind a convolution, too, and sample its feature map. Can it undo a turn of the *input*
# there? Let the filter be $F = [-1, 0, 1]$ along $x$, "brighter on the right". Horizontal stripes give nothing. Turned
# by 90 degrees, they give a lot.

# %%
bars = np.repeat(np.tile([0.0, 0.0, 1.0, 1.0], 7), 28).reshape(28, 28)
four = data.draw_digits(np.array([4]), np.random.default_rng(0))[0][0, 0].astype(float)
quarter = GridGenerator(transforms.get("affine")).eval().forward(turn, (28, 28))


def turned(A):
    """A (28, 28), turned by a quarter by the sampler, exactly: every point is on a pixel."""
    return sampler.sample(A[None, None], quarter)[0, 0]


def F(A):
    """A[n, m + 1] - A[n, m - 1], the ends repeated."""
    A = np.pad(A, ((0, 0), (1, 1)), mode="edge")
    return A[:, 2:] - A[:, :-2]


fig, axes = plt.subplots(2, 4, figsize=(7, 4), layout="constrained")
for row, A in zip(axes, (bars, four), strict=True):
    maps = {"U": A, "F(U)": F(A), "F(U), turned": turned(F(A)), "F(U turned)": F(turned(A))}
    for ax, (name, B) in zip(row, maps.items(), strict=True):
        colours = {"cmap": style.IMAGES, "vmin": 0} if name == "U" else {"cmap": "RdBu_r", "vmin": -1}
        ax.imshow(B, vmax=1, **colours)
        ax.plot(*np.nonzero(B.T < -0.2), ".", color="white", ms=2)  # dots where it is negative
        ax.set(xticks=[], yticks=[], title=name)
plt.show()
assert not F(bars).any() and F(turned(bars)).any()
print(f"digit: correlation of the last two {np.corrcoef(turned(F(four)).ravel(), F(turned(four)).ravel())[0, 1]:.2f}")
shifted = np.roll(four, (2, 3), axis=(0, 1))  # of a shift, the features are the shifted features
assert np.array_equal(F(shifted), np.roll(F(four), (2, 3), axis=(0, 1)))

# %% [markdown]
# (White dots: negative.) A transformer behind $F$ would have to make the fourth column from the second. In the upper
# row that is a picture from nothing: every sample of 0 is 0. In the lower row it would have to turn the strokes *and*
# exchange which of them $F$ sees. The third column is what the right turn gives. Shifts are the exception: a
# convolution shifts with its input.
#
# This is the point of Finnveden, Jansson and Lindeberg (2020, arXiv 2004.11678): transforming feature maps cannot in
# general undo a transformation of the input. What they propose: let the localisation net look at deep features, if that
# helps it to find $\theta$, and apply $\theta$ to the input.
#
# ## Exercises
#
# **1.** A wave of $f$ cycles in a pixel, $0 \le f \le 1/2$, is read at every $k$-th pixel. As which frequency does it
# show, in cycles per output pixel, between 0 and 1/2?


# %% tags=["exercise"]
def my_alias(f, k):
    return f  # your code


# %%
def check_alias(alias):
    """Compare with the highest peak of the spectrum of what is read."""
    f = np.arange(0, 33) / 64
    for k in (1, 2, 3, 4):
        for f_k in f:
            spectrum = np.abs(np.fft.rfft(np.cos(2 * np.pi * f_k * k * np.arange(64))))
            shows = spectrum.argmax() / 64
            if abs(alias(f_k, k) - shows) > 1e-6:
                print(f"not yet: {f_k:.3f} cycles a pixel and k = {k} show {shows:.3f}, yours {alias(f_k, k):.3f}.")
                print("From one sample to the next it is k f cycles. Whole cycles do not show, nor does the direction.")
                return False
    _, ax = plt.subplots(figsize=(5, 2.4), layout="constrained")
    for k, colour, dash in ((1, green, ":"), (2, blue, "--"), (4, vermillion, "-")):
        ax.plot(f, [alias(f_k, k) for f_k in f], dash, color=colour, label=f"k = {k}")
    ax.set(xlabel="f (cycles per pixel of U)", ylabel="seen (per pixel of V)")
    ax.legend(fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    plt.show()
    print("check_alias: right")
    return True


# %% tags=["exercise"]
check_alias(my_alias)

# %% [markdown]
# **2.** Take a second filter, $F_y = [-1, 0, 1]$ along $y$ (downwards), beside $F_x = F$. Now nothing is lost: from the
# two maps of $U$, find those of the turned $U$. `turned` is at hand. Which step is it that no sampler does?


# %% tags=["exercise"]
def my_maps_of_turned(F_x, F_y):
    return turned(F_x), turned(F_y)  # your code


# %%
def check_maps(f):
    """Compare with the filters, applied to the turned digit."""
    got = f(F(four), F(four.T).T)
    expected = F(turned(four)), F(turned(four).T).T
    for name, a, b in zip(("F_x", "F_y"), got, expected, strict=True):
        if not np.allclose(a, b):
            print(f"not yet: {name} of the turned digit is not what you have.")
            print("You have its negative." if np.allclose(a, -b) else "Which strokes does it see after the turn?")
            return False
    _, axes = plt.subplots(1, 2, figsize=(4.4, 2.5), layout="constrained")
    for ax, name, a in zip(axes, ("$F_x$", "$F_y$"), got, strict=True):
        ax.imshow(a, cmap="RdBu_r", vmin=-1, vmax=1)
        ax.plot(*np.nonzero(a.T < -0.2), ".", color="white", ms=2)
        ax.set(xticks=[], yticks=[], title=f"{name} (U turned)")
    plt.show()
    print("check_maps: right")
    return True


# %% tags=["exercise"]
check_maps(my_maps_of_turned)

# %% [markdown]
# ## Solutions


# %% tags=["solution"]
def alias(f, k):
    """The distance of k f to the nearest whole number of cycles."""
    return abs(k * f - round(k * f))


check_alias(alias)


# %% tags=["solution"]
def maps_of_turned(F_x, F_y):
    """Exchange the channels, one with a minus: a sampler keeps every channel to itself."""
    return turned(F_y), -turned(F_x)


check_maps(maps_of_turned)

# %% [markdown]
# **Read next:** 13, the same sum four ways: what a GPU makes of it. (About this lesson: `errata.md`, items 12 and 13.)
