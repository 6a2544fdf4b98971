# %% [markdown]
# # 01 Pooling: how much invariance?
#
# **You will** shift images by one pixel and count how often max-pooling does not notice.
# **You will learn** where the numbers "3 of 8" and "5 of 8" come from, when they hold, what pooling pays for its
# invariance, and why one might want to learn a transformation instead. **You need** NumPy arrays. Time: 15 minutes to
# read, some seconds to run.
#
# ## The question
#
# A 4 is a 4 wherever it stands. A classifier should not care, and convolutional nets are said to get that from
# max-pooling: each window of $k \times k$ pixels hands on its largest value and forgets where in the window it was,
#
# $$Y_{ij} = \max_{0 \le a < k,\; 0 \le b < k} U_{ki + a,\; kj + b}$$
#
# How far does this invariance reach? The smallest move from pixel to pixel goes by one, in one of 8 directions.

# %%
from fractions import Fraction

import matplotlib.pyplot as plt
import numpy as np

from stn_ref import affine_grid, data, grid_sample
from stn_ref.nn import MaxPool2d
from stn_ref.plotting import style

plt.rcParams.update(style.RC)
blue, vermillion, green = (style.OKABE_ITO[name] for name in ("blue", "vermillion", "green"))

SHIFTS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


def pool(U, k):
    """The equation above, for U (N, 1, H, W); with k = 1 it does nothing."""
    return MaxPool2d(k).eval().forward(U)  # eval: nothing is kept for a backward pass


def shifted(U, dy, dx):
    """U moved down by dy and to the right by dx pixels; what leaves on one side comes in on the other."""
    return np.roll(U, (dy, dx), axis=(2, 3))


def same_after(U, k):
    """For each of the 8 shifts: which pooled values are as before? (8, N, 1, H / k, W / k), true or false."""
    return np.array([pool(shifted(U, dy, dx), k) == pool(U, k) for dy, dx in SHIFTS])


def show(images, titles):
    """Images (1, 1, H, W) side by side, from 0 to 1."""
    _, axes = plt.subplots(1, len(images), figsize=(2.3 * len(images), 2.7), layout="constrained")
    for ax, image, title in zip(axes, images, titles, strict=True):
        ax.imshow(image[0, 0], cmap=style.IMAGES, vmin=0, vmax=1)
        ax.set(title=title, xlabel="x (pixels)", xticks=[0, image.shape[3] - 1], yticks=[0, image.shape[2] - 1])
    plt.show()


# %% [markdown]
# ## Predict
#
# An image of independent random pixels, $2 \times 2$ pooling, and one of its windows. After how many of the 8 shifts,
# on average, does the window still put out the same value?

# %%
my_count = None  # a number from 0 to 8: edit this line, then run on

# %% [markdown]
# ## Run: one bright pixel
#
# First the case that everybody quotes: a single bright pixel on black. We put it at each place of a window in turn
# and count the shifts after which this window's output is as before.

# %%
counts = {}
for k in (2, 3):
    counts[k] = np.zeros((k, k), int)
    for n, m in np.ndindex(k, k):
        U = np.zeros((1, 1, 4 * k, 4 * k))
        U[0, 0, k + n, k + m] = 1  # in window (1, 1), row n and column m of it
        counts[k][n, m] = same_after(U, k)[:, 0, 0, 1, 1].sum()

fig, axes = plt.subplots(1, 2, figsize=(6, 3), layout="constrained")
for ax, k in zip(axes, (2, 3), strict=True):
    ax.pcolormesh(counts[k], cmap=style.IMAGES, vmin=0, vmax=8, edgecolors="white", lw=2)
    for (n, m), count in np.ndenumerate(counts[k]):
        ax.text(m + 0.5, n + 0.5, count, ha="center", va="center", size=18, color="white" if count < 5 else "black")
    ax.set(xticks=[], yticks=[], xlabel="column of the bright pixel", ylabel="its row", aspect="equal")
    ax.set(title=f"{k} × {k}: mean {counts[k].mean():.2f} of 8", ylim=(k, 0))
plt.show()
assert (counts[2] == 3).all() and counts[3].tolist() == [[3, 5, 3], [5, 8, 5], [3, 5, 3]]

# %% [markdown]
# In a $2 \times 2$ window every place is a corner, and from a corner three shifts stay inside: **3 of 8**. In a
# $3 \times 3$ window it is 3 at a corner, 8 at the centre, and the quoted **5 of 8** only in the middle of an edge. The
# mean is $40/9$.
#
# ## Look into it: images are not one pixel
#
# On black, a window cares only for its own bright pixel. In an image, something else comes in when the window's
# content moves. Let all pixels be independent, and call the pixels in the window before and after the shift *old* and
# *new*. The output stays exactly if the largest of them all is in both. Each is the largest with the same probability:
#
# $$\mathrm{Prob}(\text{same output}) = \frac{\text{number of pixels in both}}{\text{number of pixels in either}}$$


# %%
def expected(k):
    """The mean number of shifts, of 8, that one k x k window of independent pixels survives."""
    old = {(n, m) for n in range(k) for m in range(k)}
    total = Fraction(0)
    for dy, dx in SHIFTS:
        new = {(n + dy, m + dx) for n, m in old}
        total += Fraction(len(old & new), len(old | new))
    return total


print(f"2 × 2: {float(expected(2)):.2f} of 8, 3 × 3: {float(expected(3)):.2f}")
print("you said:", "nothing yet" if my_count is None else my_count)
assert expected(2) == Fraction(40, 21) and expected(3) == Fraction(22, 7)

# %% [markdown]
# That is $40/21$ and $22/7$, fewer than for the bright pixel. And a net does not look at one window but at the whole
# map. Let us count: on random pixels one window, and then four neighbouring ones at once; on 100 digits one window with
# ink in it, and then the whole map.

# %%
rng = np.random.default_rng(0)
digits = data.load(n_train=1, n_val=1, n_test=100, seed=0)
D = np.pad(data.to_float(digits.test_images), ((0, 0), (0, 0), (10, 10), (10, 10)))  # on 48 x 48, room to move

asked = ("bright pixel, 1 window", "random, 1 window", "random, 4 windows", "digit, 1 window (ink)", "digit, whole map")
found = {}
for k in (2, 3):
    noise = rng.random((20_000, 1, 4 * k, 4 * k))
    same, same_digits = same_after(noise, k), same_after(D, k)
    one, four = same[:, :, 0, 1, 1].mean(), same[:, :, 0, 1:3, 1:3].all(axis=(2, 3)).mean()
    ink, whole = same_digits[:, pool(D, k) > 0].mean(), same_digits.all(axis=(2, 3, 4)).mean()
    found[k] = [counts[k].mean(), 8 * one, 8 * four, 8 * ink, 8 * whole]
    assert abs(8 * one - float(expected(k))) < 0.06 and whole == 0  # the simulation agrees with the formula

print("unchanged, of 8 shifts     2 × 2  3 × 3")
for name, two, three in zip(asked, found[2], found[3], strict=True):
    print(f"{name:26} {two:5.2f}  {three:5.2f}")
assert abs(found[2][2] - 0.07) < 0.02 and found[2][3] > found[2][1]

# %% [markdown]
# Four windows of $2 \times 2$ survive 0.07 of 8 shifts: as good as none. A window on a digit does better, since strokes
# are flat inside. But of the whole maps not one stayed as it was. (More on these numbers: `tutorials/errata.md`.)
#
# ## Look into it: how far does the map move?
#
# "Unchanged" is strict. So let us measure the change: $\lVert P(U_s) - P(U) \rVert / \lVert P(U) \rVert$, where $P$ is
# the pooling and $U_s$ the digit moved to the right by $s$ pixels. And how far does the centre of mass of $P(U_s)$
# move? Two layers of $2 \times 2$ in a row are one of $4 \times 4$.


# %%
def centre(Y):
    """The mean column of the ink, for each map: (N,)."""
    return (Y * np.arange(Y.shape[3])).sum(axis=(1, 2, 3)) / Y.sum(axis=(1, 2, 3))


def distance(Y, Z):
    """How far Y is from Z, relative to Z: the mean over the maps."""
    return np.mean(np.linalg.norm(Y - Z, axis=(2, 3)) / np.linalg.norm(Z, axis=(2, 3)))


shifts, change, moved = range(9), {}, {}
for k in (1, 2, 4):
    maps = [pool(shifted(D, 0, s), k) for s in shifts]
    change[k] = [distance(Y, maps[0]) for Y in maps]
    moved[k] = [np.mean(centre(Y) - centre(maps[0])) for Y in maps]

fig, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
names = {1: "not pooled", 2: "2 × 2", 4: "2 × 2, twice"}
for k, colour, line in ((1, "black", ".-"), (2, blue, "o--"), (4, vermillion, "s:")):
    axes[0].plot(shifts, change[k], line, color=colour, label=names[k])
    axes[1].plot(shifts, moved[k], line, color=colour)
axes[0].set(xlabel="shift s (pixels of U)", ylabel="relative change", title="Pooling softens the change,")
axes[1].set(xlabel="shift s (pixels of U)", ylabel="moves by (pixels of P)", title="but the map moves along")
axes[0].legend(fontsize=9)
plt.show()
print("relative change after one pixel:", ", ".join(f"{names[k]} {change[k][1]:.2f}" for k in names))
assert (pool(pool(D, 2), 2) == pool(D, 4)).all()
assert change[4][1] < change[2][1] < change[1][1] and change[4][8] > 1
for k in (2, 4):
    assert (pool(shifted(D, 0, 4), k) == shifted(pool(D, k), 0, 4 // k)).all()

# %% [markdown]
# So there *is* something gained: after one pixel, the change is smaller with pooling, and again smaller with two layers
# of it. But the map is not invariant. It moves along, $s / k$ of its own pixels, and when $s$ is a multiple of $k$ it
# is the same map in another place, to the last bit. The right word for that is *equivariant*. After 8 pixels the change
# is larger than the map itself, pooled or not. And what pooling does about turns and sizes, nobody has asked yet.
#
# ## Change it: what it costs
#
# $2 \times 2$ pooling keeps one activation of four. What is lost are the places. Turn every window by 180° in its
# place, and the pooled map is the same:

# %%
U = D[11:12, :, 10:38, 10:38]
windows = U.reshape(14, 2, 14, 2)  # window row, row in it, window column, column in it
scrambled = windows[:, ::-1, :, ::-1].reshape(1, 1, 28, 28)
show([U, scrambled, pool(U, 2)], ["a digit", "scrambled", "both, pooled"])
layer = MaxPool2d(2)
gradient = layer.backward(np.ones_like(layer.forward(U)))
print(f"{pool(U, 2).size} of {U.size} activations go on; {np.mean(gradient == 0):.0%} of the pixels get no gradient")
assert (pool(U, 2) == pool(scrambled, 2)).all() and (gradient == 0).mean() == 0.75

# %% [markdown]
# No layer behind the pooling can tell these two apart. And the windows are fixed: they cannot follow the digit.
#
# ## The other way
#
# A transformation undoes a move without throwing pixels away. Here a digit is turned by 40° and pushed 6 pixels to the
# right, and then looked at through a window that is turned and pushed as well. Six numbers describe each, and tutorial
# 03 says how; for now it is enough that the second six undo the first. How far from the original are the moved digit,
# pooled or not, and the digit in the window?

# %%
U = D[11:12].astype(np.float64)
c, s, push = np.cos(np.deg2rad(40)), np.sin(np.deg2rad(40)), 2 * 6 / 48  # 6 of 48 pixels; the image is 2 wide
moved_digit = grid_sample(U, affine_grid(np.array([[[c, s, -c * push], [-s, c, s * push]]]), U.shape))
window = grid_sample(moved_digit, affine_grid(np.array([[[c, -s, push], [s, c, 0]]]), U.shape))
show([U, moved_digit, window], ["U", "moved", "in the window"])
for k in names:
    print(f"moved, {names[k]}: {distance(pool(moved_digit, k), pool(U, k)):.2f}")
print(f"in the window: {distance(window, U):.2f}")
assert distance(window, U) < 0.3 < distance(pool(moved_digit, 4), pool(U, 4))

# %% [markdown]
# What is left in the window is the blur of interpolating twice. But here we knew the six numbers. A **spatial
# transformer** computes them from the image, anew for every image, by a net that learns to do so from the loss of the
# classifier alone. That is what these tutorials are about. (It need not replace pooling: nets of the paper have both.)
#
# ## Exercises
#
# **1.** Give a formula for `expected(k)`: one window of $k \times k$ independent pixels. How large must $k$ be for 7 of
# 8? (Four shifts run along an axis, four along a diagonal.)


# %% tags=["exercise"]
def my_expected(k):
    return 0.0  # your formula


# %%
def check_expected(f):
    """Compare with the count of pixels in both windows and in either."""
    for k in (1, 2, 3, 4, 7):
        if not np.isclose(float(f(k)), float(expected(k))):
            print(f"not yet: for k = {k} it is {float(expected(k)):.4f}, yours {float(f(k)):.4f}.")
            print("Along an axis k (k - 1) pixels are in both windows and k (k + 1) in either. Along a diagonal?")
            return False
    ks = np.arange(1, 31)
    _, ax = plt.subplots(figsize=(5, 2.6), layout="constrained")
    ax.plot(ks, [f(int(k)) for k in ks], "o-", ms=3, color=green, label="survived, of 8")
    ax.plot(ks, 8 / ks**2, "--", color="black", label="8 × the share of activations kept")
    ax.set(xlabel="window size k (pixels)", ylim=(0, 8), title="Invariance, and its price")
    ax.legend(fontsize=9)
    plt.show()
    print("check_expected: right")
    return True


# %% tags=["exercise"]
check_expected(my_expected)

# %% [markdown]
# **2.** Find an image of $8 \times 8$ pixels that is *not* constant, and whose $2 \times 2$ max-pooling is the same
# after every shift, of any length. What does the pooled map know about it?

# %% tags=["exercise"]
my_image = np.zeros((8, 8))


# %%
def check_image(image):
    """Try all 64 shifts, around the edges."""
    U = np.array(image, float).reshape(1, 1, 8, 8)
    if (U == U[0, 0, 0, 0]).all():
        print("not yet: this image is constant. Put in as many dark pixels as you can afford.")
        return False
    for dy, dx in np.ndindex(8, 8):
        changed = np.count_nonzero(pool(shifted(U, dy, dx), 2) != pool(U, 2))
        if changed:
            print(f"not yet: moved down by {dy} and right by {dx}, {changed} of 16 outputs change.")
            print("Every 2 × 2 square, wherever it lies, must have the same largest value.")
            return False
    show([U, pool(U, 2)], ["your image", "pooled"])
    print("check_image: right")
    return True


# %% tags=["exercise"]
check_image(my_image)

# %% [markdown]
# ## Solutions


# %% tags=["solution"]
def formula(k):
    """Four shifts along an axis, four along a diagonal: both / either."""
    return 4 * (k - 1) / (k + 1) + 4 * (k - 1) ** 2 / (2 * k**2 - (k - 1) ** 2)


print("7 of 8 from k =", next(k for k in range(1, 100) if formula(k) >= 7))
check_expected(formula)

# %% tags=["solution"]
check_image(np.indices((8, 8)).sum(axis=0) % 2)  # a chessboard. Of the pattern the pooled map knows nothing

# %% [markdown]
# **Read next:** 02, transforms: which moves there are, and what each of them preserves.
