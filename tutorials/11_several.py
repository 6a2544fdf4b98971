# %% [markdown]
# # 11 Several transformers
#
# **You will** give a net two windows instead of one (a window is the part of the picture that a transformer samples),
# on a task whose answer lies in two places. **You will learn** why one transformer is not enough for two things that
# move on their own, what backward does where paths part and meet, why windows that begin alike stay alike, and how to
# measure fairly what each has found. **You need** tutorials 08 and 09. Time: 15 minutes, one to run.
#
# ## The question
#
# Two digits, each in a channel of its own, each turned, scaled and moved on its own. What is their sum? This is the
# paper's *MNIST addition*. A transformer samples all channels of its input at the same points. Which points should it
# take?

# %%
import itertools

import matplotlib.pyplot as plt
import numpy as np

from stn_ref import data, nn, sampler, transforms
from stn_ref.lab.experiments import creatures, parts
from stn_ref.localisation import fc_localisation
from stn_ref.plotting import style
from stn_ref.several import Parallel, ParallelTransformers, starting_at

plt.rcParams.update(style.RC)
blue, vermillion, green = (style.OKABE_ITO[name] for name in ("blue", "vermillion", "green"))
SEED = 0

# %% [markdown]
# ## Predict
#
# Let a transformer know everything about the first digit: it samples where that digit stands upright, in the middle.
# By how much will the second channel look like its upright digit, afterwards, if the first looks 100 % like its own?

# %%
my_guess = None  # per cent: edit this line, then run on

# %% [markdown]
# ## Run: one window, two digits
#
# We have distorted the digits ourselves, so we know where a perfect transformer would look for each of them.

# %%
n = 200
digits = data.load(n_train=0, n_val=0, n_test=2 * n, seed=SEED)
upright = data.to_float(digits.test_images)
U_each, pose = data.fixed_distortion(digits.test_images, "RTS", SEED)
pairs = np.concatenate([U_each[:n], U_each[n:]], axis=1)  # (n, 2, 42, 42)
sums = digits.test_labels[:n] + digits.test_labels[n:]
V_first = sampler.sample(pairs, data.upright_points(pose[:n]))  # both channels, where the first digit is
V_second = sampler.sample(pairs, data.upright_points(pose[n:]))

fig, axes = plt.subplots(3, 6, figsize=(7.2, 3.9), layout="constrained")
titles = ("channel 1", "channel 2", *(f"{k}, seen\nby window {m}" for m in (1, 2) for k in (1, 2)))
for row, b in zip(axes, (3, 4, 8), strict=True):
    pictures = (*pairs[b], *V_first[b], *V_second[b])
    for ax, picture, title in zip(row, pictures, titles, strict=True):
        ax.imshow(picture, cmap=style.IMAGES, vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[], title=title if b == 3 else "")
    row[0].set_ylabel(f"sum {sums[b]}")
plt.show()


def likeness(V, wanted):
    """Cosine of the angle between images and the upright digits, mean, in per cent."""
    v, w = V.reshape(len(V), -1), wanted.reshape(len(V), -1)
    return 100 * ((v * w).sum(1) / np.maximum(1e-9, np.linalg.norm(v, axis=1) * np.linalg.norm(w, axis=1))).mean()


own, other = likeness(V_first[:, :1], upright[:n]), likeness(V_first[:, 1:], upright[n:])
print(f"window 1: the first digit is {own:.0f} % like itself upright, the second {other:.0f} %")
print("you said:", "nothing yet" if my_guess is None else my_guess)
assert own > 95 and other < 50

# %% [markdown]
# What helps one digit spoils the other. With two transformers there are four channels, and in them each digit once as
# it should be. Nobody has to say which transformer is for which digit, or what to do with the other two channels: that
# is for the classifier to find out. In the paper an ST-FCN with one transformer errs on 22.6 % of the sums and one with
# two on 9.0 % (affine) or 5.8 % (thin-plate splines); a CNN on 14.7 %. Ours are among the results in the README.
#
# ## Look into it: where paths part and meet
#
# $$V = (V_1, V_2), \quad V_k = f_k(U) \qquad \Rightarrow \qquad
#   \frac{\partial L}{\partial U} = \sum_k \Big(\frac{\partial V_k}{\partial U}\Big)^T \frac{\partial L}{\partial V_k}$$
#
# Forward copies $U$ to all, and stacks what comes back along the channels. Backward reads that from its end: cut the
# gradient where the channels were stacked, and add where $U$ was copied. That is all of `Parallel`.

# %%
rng = np.random.default_rng(SEED)
U = rng.standard_normal((2, 1, 7, 9))
f_1, f_2 = (nn.Conv2d(1, channels, 3, rng, dtype=np.float64) for channels in (2, 3))
both = Parallel(f_1.share(), f_2.share())
V = np.concatenate([f_1.forward(U), f_2.forward(U)], axis=1)
gV = rng.standard_normal(V.shape)
gU = f_1.backward(gV[:, :2]) + f_2.backward(gV[:, 2:])
assert np.allclose(both.forward(U), V) and np.allclose(both.backward(gV), gU)

# %% [markdown]
# For birds the paper does it in another way: *one* localisation net says where all windows look. Its output is cut,
# $\theta = (\theta_1 | \theta_2)$, and its gradient is put together again.
#
# ## Two parts of a creature
#
# A *creature* has a body, a head to its right and a tail to its left; in the head is a spot, a ring, a cross or a bar,
# in the tail a spot or, a third as often, a ring: eight classes. It leans, it is anywhere, and stray marks mislead. A
# window shows $16 \times 16$ of the $48 \times 48$ pixels, and $\theta_k = (t_x, t_y)$ says where.

# %%
pose = creatures.draw_pose(1000, np.random.default_rng(SEED + 1))  # the test set; the pose is for us to look at
pictures, labels, places = creatures.draw(pose), pose["label"], creatures.part_centres(pose)

# %% [markdown]
# The windows of a pair begin left and right of the middle. Why not both in the middle? Take two that begin alike, and
# something behind them that treats them alike, say the sum of what they see. They get the same gradient, so they are
# alike after the step, too, and after all others: **twins**.

# %%
third = transforms.get("attention", scale=1 / 3)
for starts in ([[0.0, 0.0], [0.0, 0.0]], [[-0.25, 0.0], [0.25, 0.0]]):
    f_loc = fc_localisation((1, 48, 48), third, np.random.default_rng(SEED))
    windows = ParallelTransformers(starting_at(f_loc, np.array(starts, np.float32)), [third, third], (16, 16))
    V = windows.forward(pictures[:50])
    gV = np.repeat(rng.standard_normal(V[:, :1].shape).astype(V.dtype), 2, axis=1)  # of V_1 + V_2
    windows.backward(gV, needs=False)
    g_1, g_2 = np.split(windows.localisation[-1].b.grad, 2)
    print(f"begin at {starts}: gradients {g_1.round(1)} and {g_2.round(1)}")
    assert np.allclose(g_1, g_2) == (starts[0] == starts[1])

# %% [markdown]
# (The classifier below has other weights for each window, so twins would part in the end.)
#
# ## Run: no window, one, two
#
# One small CNN describes every view; two layers classify. "none": the whole picture, shrunk to the size of a window.

# %%
EPOCHS, N, BATCH = 4, 16_000, 32
source = creatures.Creatures(N, 0, 0)  # without validation and test


def train(net):
    """Train, and yield after each epoch: the loop of tutorial 09, with a warm-up, and a rate that falls to a half."""
    loss, rate = nn.SoftmaxCrossEntropy(), nn.CosineRate(0.003, 2 * EPOCHS * N // BATCH)
    optimiser = nn.Adam(net.params(), lr=nn.WarmUp(rate, 250))
    for epoch in range(EPOCHS):
        for batch, wanted in source.batches(BATCH, SEED, epoch):
            loss.forward(net.forward(batch), wanted)
            optimiser.zero_grad()
            net.backward(loss.backward(), needs=False)
            nn.clip_grad_norm(net.params(), 5.0)
            optimiser.step()
        yield


def distances(centres):
    """From each window's centre (M, N, 2) to head and tail, (M, N, 2), in per cent of the picture's side."""
    return 100 * np.linalg.norm(centres[:, :, None] - places, axis=-1) / creatures.SIZE


names = {"cnn-shrunk": "none", "1xst": "one window", "2xst": "two windows"}
nets = {name: parts.build(name, np.random.default_rng(SEED), localisation_lr_scale=0.1) for name in names}
errors, centres = {name: [] for name in names}, []


def note(name):
    """Keep the error of a net, and where the windows of the pair are."""
    errors[name].append(100 * (nets[name].share().eval().forward(pictures).argmax(axis=1) != labels).mean())
    if name == "2xst":
        centres.append(np.array([points.mean(axis=(1, 2)) for _, points, _ in nets[name][0].look(pictures)]))


for name, net in nets.items():
    note(name)
    for _ in train(net):
        note(name)
far = np.array([distances(at).mean(axis=1) for at in centres])  # (EPOCHS + 1, window, part)

fig, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3), layout="constrained")
for (name, curve), colour, look in zip(errors.items(), (vermillion, green, blue), ("o:", "^--", "s-"), strict=True):
    left.plot(curve, look, color=colour, label=f"{names[name]}: {curve[-1]:.0f} %")
for part, (title, colour, look) in enumerate((("head", blue, "s-"), ("tail", green, "^--"))):
    right.plot(far[:, 1 - part, part], look, color=colour, label=f"{title}, its own")
    right.plot(far[:, part, part], ":", color=colour, label=f"{title}, the other")
right.axhline(100 * parts.unmoved(places[:, 0]), color="0.5", lw=1, label="best that stands still")
left.set(xlabel="epoch", ylabel="test error (%)", ylim=(0, 100), title="No window, one, two")
right.set(xlabel="epoch", ylabel="mean distance (% of the side)", ylim=(0, 65), title="Who looks where")
left.legend(fontsize=8)
right.legend(fontsize=7, loc="upper right", ncols=2, columnspacing=1, handlelength=1.6)
plt.show()
print("windows x (head, tail), % of the side, before:", *far[0].round(1), "after:", *far[-1].round(1))
assert errors["2xst"][-1] < min(errors["1xst"][-1], errors["cnn-shrunk"][-1]) - 10
assert all(far[-1, 1 - p, p] < 100 * parts.unmoved(places[:, p]) for p in range(2))

# %% [markdown]
# Nobody told the windows what a head is. The second, which began to the right, has taken the head, the first the tail,
# each nearer than any window that stands still (grey, for the head). Who sees the head alone errs in 1 of 4 at best.
#
# ## Look into it: what they look at

# %%
fig, axes = plt.subplots(3, 6, figsize=(7.2, 3.8), layout="constrained")
shown = nets["2xst"][0].look(pictures)
for column, k in zip(axes.T, (0, 2, 3, 5, 6, 7), strict=True):
    b = np.flatnonzero(labels == k)[0]
    column[0].imshow(pictures[b, 0], cmap=style.IMAGES, vmin=0, vmax=1)
    for (_, points, V), colour, look, ax in zip(shown, (green, vermillion), ("--", "-"), column[1:], strict=True):
        corners = points[b][[0, 0, -1, -1, 0], [0, -1, -1, 0, 0]]
        column[0].plot(*corners.T, look, color=colour, lw=2)
        ax.imshow(V[b, 0], cmap=style.IMAGES, vmin=0, vmax=1)
    head, tail = divmod(labels[b], len(creatures.TAILS))
    column[0].set_title(f"{creatures.HEADS[head]}, {creatures.TAILS[tail]}", size=9)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[], xlim=ax.get_images()[0].get_extent()[:2], ylim=ax.get_images()[0].get_extent()[2:])
for ax, title in zip(axes[:, 0], ("picture", "window 1 (dashed)", "window 2 (solid)"), strict=True):
    ax.set_ylabel(title, size=9)
plt.show()

# %% [markdown]
# It does not always work. The localisation net learns at a tenth of the rate: much faster, and the windows are off
# before the description of what they see is of any use, and may both end at the tail. They cannot leave the picture,
# since the last layer is $\frac{2}{3} \tanh$. Without it they do, and nothing leads back (tutorial 08).
#
# And mind what "none" is: it has as many pixels as one window. A CNN with half as many weights again that is given all
# $48 \times 48$ does better than one window, since it sees both parts (README, results of `parts`). Windows pay where
# the whole picture is too dear at its full resolution: the paper cuts windows of 224 pixels from birds of 448.
#
# ## Exercises
#
# **1.** Four windows. Where should they begin? Each is to lie inside the picture, no two are to be twins, and each
# quarter of the picture is to have the middle of one.

# %% tags=["exercise"]
my_starts = [(0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)]  # (t_x, t_y)


# %%
def check_starts(starts):
    """Place the windows."""
    t, s = np.array(starts, float).reshape(-1, 2), parts.VIEW / creatures.SIZE
    if len(np.unique(t, axis=0)) < 4:
        print("not yet: some of the windows begin alike, and would be twins. Or there are not four.")
        return False
    if np.abs(t).max() + s > 1:
        print(f"not yet: -1 and 1 are the edges of the picture, and a window reaches {s:.2f} beyond its middle.")
        return False
    if len(np.unique(np.sign(t), axis=0)) < 4 or not t.all():
        print("not yet: a quarter of the picture has no window's middle. The quarters are the signs of (t_x, t_y).")
        return False
    _, ax = plt.subplots(figsize=(2.4, 2.4), layout="constrained")
    for x, y in t:
        ax.plot(x + s * np.array([-1, 1, 1, -1, -1]), y + s * np.array([-1, -1, 1, 1, -1]), color=vermillion)
    ax.set(xlim=(-1, 1), ylim=(1, -1), aspect="equal", title="where they begin")
    plt.show()
    print("check_starts: right")
    return True


# %% tags=["exercise"]
check_starts(my_starts)

# %% [markdown]
# **2.** How far is each part from *its* window? Below, each picture is allowed to choose the nearest window for each
# part. That flatters: pictures choose well even among windows that never moved. Choose once, for all pictures, a window
# of its own for each part, so that the mean distances add up to the least.


# %% tags=["exercise"]
def my_distances(d):
    """Distances (windows, pictures, parts) -> mean distance of each part, (parts,)."""
    return d.min(axis=0).mean(axis=0)  # improve this


# %%
def check_distances(f):
    """Two windows that stand still on either side, and the parts change sides from picture to picture."""
    for name, d, wanted in (
        ("the parts change sides in every second picture", np.array([[[1.0, 9], [9, 1]], [[9.0, 1], [1, 9]]]), (5, 5)),
        ("window 1 is a little nearer to both", np.array([[[2.0, 3]], [[2.5, 9]]]), (2.5, 3)),
        ("three windows", np.array([[[5.0, 5]], [[1.0, 4]], [[3.0, 1]]]), (1, 1)),
    ):
        if not np.allclose(f(d), wanted):
            print(f"not yet: where {name}, the mean distances are {wanted}, you say {np.round(f(d), 2)}.")
            print("First the mean over the pictures; then try which window is whose: itertools.permutations.")
            return False
    before, after = f(distances(centres[0])), f(distances(centres[-1]))
    _, ax = plt.subplots(figsize=(4, 1.8), layout="constrained")
    for d, label, height, colour in ((before, "before", 0.8, "0.8"), (after, "after", 0.4, blue)):
        ax.barh(["head", "tail"], d, height, color=colour, label=label)
    ax.set(xlabel="mean distance (% of the side)", xlim=(0, 30))
    ax.legend(fontsize=8)
    plt.show()
    print("check_distances: right")
    return True


# %% tags=["exercise"]
check_distances(my_distances)

# %% [markdown]
# ## Solutions

# %% tags=["solution"]
check_starts([(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)])


# %% tags=["solution"]
def fair_distances(d):
    """One choice of windows for all pictures."""
    mean = d.mean(axis=1)  # (windows, parts)
    choices = itertools.permutations(range(len(mean)), mean.shape[1])
    return min((mean[list(mine), range(len(mine))] for mine in choices), key=np.sum)


check_distances(fair_distances)

# %% [markdown]
# **Read next:** 12, limits: what no transformer can undo.
