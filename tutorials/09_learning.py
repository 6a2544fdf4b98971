# %% [markdown]
# # 09 A transformer learns
#
# **You will** train a small CNN twice on distorted digits, once with a spatial transformer in front, and look at the
# grid after every epoch. **You will learn** what a training loop with a transformer looks like (like any other), how to
# find out whether it has learnt to look, and how careful to be with small experiments. **You need** tutorial 08. Time:
# 15 minutes to read, half a minute to run.
#
# ## The question
#
# The digits are turned by up to 45 degrees, between 0.7 and 1.2 times as large, and anywhere on a canvas of 42 x 42
# pixels ("RTS" in the paper). The net is told their class, and never where they are. Does the transformer find them?

# %%
import matplotlib.pyplot as plt
import numpy as np

from stn_ref import data, models, nn, transforms
from stn_ref.localisation import conv_localisation
from stn_ref.plotting import style
from stn_ref.plotting.grids import draw_points
from stn_ref.transformer import SpatialTransformer

plt.rcParams.update(style.RC)
blue, vermillion = style.OKABE_ITO["blue"], style.OKABE_ITO["vermillion"]

EPOCHS, BATCH, SEED = 12, 32, 0
digits = data.load(n_train=4000, n_val=0, n_test=1000, seed=SEED)
U, pose = data.fixed_distortion(digits.test_images, "RTS", SEED)  # the pose is for us to look at, not for the net

# %% [markdown]
# ## Predict
#
# The transformer is of the `similarity` family, $\theta = (s, \alpha, t_x, t_y)$: a window with a size, a turn and a
# place. After twelve passes over 4000 digits, which of the three follows the digit best, and which follows it worst?

# %%
my_best, my_worst = None, None  # "size", "turn" or "place": edit this line, then run on

# %% [markdown]
# ## Run: two nets, one loop
#
# $$\text{scores} = \text{CNN}(U) \qquad \text{against} \qquad \text{scores} = \text{CNN}(V), \quad
#   V = U \text{ sampled at } T_\theta(G), \quad \theta = f_{loc}(U)$$
#
# The CNN is that of the paper (9 x 9 and 7 x 7 convolutions, each with max-pooling), but with 8 and 16 filters instead
# of 32 and 64, so that it is quick, and has to be economical. The transformer hands it a view of 28 x 28 pixels.

# %%
similarity = transforms.get("similarity")


def make_cnn(size):
    return models.cnn(size, np.random.default_rng(SEED), filters=(8, 16))


def make_st_cnn():
    f_loc = conv_localisation((1, 42, 42), similarity, np.random.default_rng(SEED + 1), filters=10)
    transformer = SpatialTransformer(f_loc, similarity, out_size=(28, 28))
    return nn.Sequential(transformer, *make_cnn(28).layers)


def error_of(net):
    """How many of the test digits are classified wrongly, in per cent."""
    scores = net.share().eval().forward(U)
    return 100 * (scores.argmax(axis=1) != digits.test_labels).mean()


def train(net):
    """Train, and yield after each epoch."""
    loss = nn.SoftmaxCrossEntropy()
    steps = EPOCHS * len(digits.train_labels) // BATCH
    optimiser = nn.Adam(net.params(), lr=nn.CosineRate(0.003, steps))
    images, labels = digits.train_images, digits.train_labels
    for epoch in range(EPOCHS):
        for batch, wanted in data.epoch_batches(images, labels, "RTS", BATCH, SEED, epoch):  # distorted anew each time
            loss.forward(net.forward(batch), wanted)
            optimiser.zero_grad()
            net.backward(loss.backward(), needs=False)
            nn.clip_grad_norm(net.params(), 5.0)
            optimiser.step()
        yield


# %% [markdown]
# There is no line about the transformer in `train`. After each epoch we keep what it does to four of the test digits.

# %%
cnn, st_cnn = make_cnn(42), make_st_cnn()
transformer = st_cnn[0]
four = [np.flatnonzero(digits.test_labels == digit)[0] for digit in (2, 3, 5, 7)]

errors = {"CNN": [error_of(cnn)], "ST-CNN": [error_of(st_cnn)]}
looks = [transformer.look(U[four])]  # (theta, points, V)
for _ in train(cnn):
    errors["CNN"].append(error_of(cnn))
for _ in train(st_cnn):
    errors["ST-CNN"].append(error_of(st_cnn))
    looks.append(transformer.look(U[four]))

fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for (name, curve), colour, look in zip(errors.items(), (vermillion, blue), ("o-", "s--"), strict=True):
    ax.plot(curve, look, color=colour, label=f"{name}, at the end {curve[-1]:.1f} %")
ax.set(xlabel="epoch", ylabel="test error (%)", ylim=(0, None), title="The same digits in the same order")
ax.legend(fontsize=9)
plt.show()
for name, net in (("CNN", cnn), ("ST-CNN", st_cnn)):
    size = sum(param.value.size for param in net.params())
    print(f"{name:>6}: {size:6,} parameters, test error {errors[name][-1]:.1f} %")
assert errors["ST-CNN"][-1] < errors["CNN"][-1]

# %% [markdown]
# In the first epoch the transformer does not help: it begins with the whole canvas, shrunk to 28 x 28 pixels. Then its
# windows begin to follow the digits, and its error falls below that of the CNN. (The two nets are of about the same
# size, because a classifier of 28 x 28 pixels needs fewer weights than one of 42 x 42.)
#
# How far can you trust these numbers? The test set has 1000 digits; exercise 1 asks what that allows. And it is one
# training of each. Set `SEED` to 1 and to 2 and see by how much everything moves, before you believe in a point or two.
#
# ## Look into it: the grid, epoch by epoch

# %%
shown = (0, 1, 2, 4, EPOCHS)
fig, axes = plt.subplots(4, len(shown) + 1, figsize=(7, 5), layout="constrained")
for row in range(4):
    for column, epoch in enumerate(shown):
        _, points, V = looks[epoch]
        axes[row, column].imshow(U[four[row], 0], cmap=style.IMAGES, vmin=0, vmax=1)
        draw_points(axes[row, column], points[row], lines=5)  # the thick line is the top
        axes[row, column].set(xlim=(-8.5, 49.5), ylim=(49.5, -8.5))
    axes[row, -1].imshow(V[row, 0], cmap=style.IMAGES, vmin=0, vmax=1)
for column, name in enumerate(["start", *(f"epoch {epoch}" for epoch in shown[1:]), "V, at last"]):
    axes[0, column].set_title(name)
for ax in axes.flat:
    ax.set_axis_off()
plt.show()

# %% [markdown]
# It is the class labels alone that moved these grids. Now all test digits. We know the place ($x$ of the centre), size
# and turn of each, since we have distorted them ourselves. Those of the window, in pixels of the canvas, are
#
# $$x = \frac{(t_x + 1) \, 42 - 1}{2}, \qquad \text{size} = 42 \, s, \qquad \text{turn} = \alpha.$$

# %%
s, alpha, t_x, t_y = transformer.look(U)[0].T
pairs = {  # (of the digit, of the window)
    "place": (pose["centre"][:, 0], ((t_x + 1) * 42 - 1) / 2),
    "size": (28 * pose["scale"], 42 * s),
    "turn": (-pose["angle"], np.degrees(alpha)),  # what would undo the turn
}
correlation = {name: np.corrcoef(*pair)[0, 1] for name, pair in pairs.items()}
slope = {name: np.polyfit(*pair, 1)[0] for name, pair in pairs.items()}

fig, axes = plt.subplots(1, 3, figsize=(7, 2.9), layout="constrained")
for ax, (name, (digit, window)), unit in zip(axes, pairs.items(), ("pixels", "pixels", "degrees"), strict=True):
    ax.plot(digit, window, ".", ms=2, color=blue)
    ends = np.array([digit.min(), digit.max()])
    ax.plot(ends, ends, "--", color="black", lw=1)
    ax.set(xlabel=f"of the digit ({unit})", title=name)
axes[0].set_ylabel("of the window")
plt.show()
for name in pairs:
    print(f"{name}: correlation {correlation[name]:.2f}, slope {slope[name]:.2f}")
print(f"you said: best {my_best or 'nothing yet'}, worst {my_worst or 'nothing yet'}")
assert correlation["place"] > 0.85 and slope["place"] > 0.6
assert slope["turn"] < 0.3 and (pairs["size"][1] > pairs["size"][0]).mean() > 0.9

# %% [markdown]
# On the dashed lines the window would do exactly what the digit did. The **place** is found: the window follows the
# digit nearly one to one. The **size** is followed in part, and nearly all windows are larger than their digits. The
# **turn** is hardly undone at all. A correlation says whether $\alpha$ follows the digit, the slope how far: next to
# nothing.
#
# Is that a failure? The net was asked for classes, not for poses. Place was likely what stood in their way most; a CNN
# copes with some tilt, and as far as it does there is little gradient to turn the window. Nor need $\alpha$ be 0 on
# average: nobody told the net which way is up. And it was short. The paper took 150,000 steps of 256 digits, and its
# windows turn as well; ours are 750 steps of 32.
#
# ## Change it
#
# Three changes that are worth a minute or two each: `filters=(32, 64)` in `make_cnn`, a CNN that can afford more (does
# the transformer still pay?); `lr_scale=0.1` in `conv_localisation` (does the window still find the digit?); and
# `EPOCHS = 24` (does it turn now?). Write down what you expect before you run.
#
# ## Exercises
#
# **1.** A test on $n$ digits finds $e$ per cent errors. Had we drawn other test digits it would have been another
# number. Write the standard deviation of $e$, in per cent: each digit is wrong with probability $p = e / 100$,
# independently.


# %% tags=["exercise"]
def my_error_bar(e, n):
    return 0.0  # your code


# %%
def check_error_bar(f):
    """Compare with 20,000 simulated tests."""
    rng = np.random.default_rng(0)
    for e, n in ((20.0, 1000), (20.0, 4000), (2.0, 1000)):
        simulated = 100 * (rng.binomial(n, e / 100, 20_000) / n).std()
        if abs(f(e, n) - simulated) > 0.05 * simulated:
            print(f"not yet: {e:g} % errors on {n} digits scatter by {simulated:.2f} %, you say {f(e, n):.2f} %.")
            print("The number of errors is binomial, with variance n p (1 - p). Divide by n, and mind the per cent.")
            return False
    names, values = list(errors), [curve[-1] for curve in errors.values()]
    _, ax = plt.subplots(figsize=(5, 1.8), layout="constrained")
    ax.errorbar(values, names, xerr=[2 * f(e, 1000) for e in values], fmt="o", color=blue, capsize=4)
    ax.set(xlabel="test error (%), with two standard deviations", ylim=(-0.6, 1.6), xlim=(0, None))
    plt.show()
    print("check_error_bar: right")
    return True


# %% tags=["exercise"]
check_error_bar(my_error_bar)

# %% [markdown]
# **2.** How much does the trained classifier rely on its transformer? Return a net with the same classifier behind a
# transformer that stays at the identity. (The layers of a `Sequential` are in its list `layers`, and `make_st_cnn`
# makes an untrained one.)


# %% tags=["exercise"]
def my_net_without(net):
    return net  # your code


# %%
def check_net_without(f):
    """Look at what reaches the classifier, and at the error."""
    net = f(st_cnn)
    theta = net[0].look(U)[0]
    if not np.allclose(theta, similarity.identity):
        print(f"not yet: the window still moves: theta of the first digit is {theta[0].round(2)}, wanted (1, 0, 0, 0).")
        return False
    if net[1].W is not st_cnn[1].W:
        print("not yet: the transformer stands still, but the classifier behind it is not the trained one.")
        return False
    bars = {"trained window": errors["ST-CNN"][-1], "identity": error_of(net), "untrained": errors["ST-CNN"][0]}
    _, ax = plt.subplots(figsize=(4.5, 2), layout="constrained")
    ax.barh(list(bars), list(bars.values()), color=[blue, vermillion, "0.6"])
    ax.set(xlabel="test error (%)", xlim=(0, 100))
    plt.show()
    print("check_net_without: right")
    return True


# %% tags=["exercise"]
check_net_without(my_net_without)

# %% [markdown]
# ## Solutions


# %% tags=["solution"]
def error_bar(e, n):
    """The standard deviation of a binomial count, divided by n, in per cent."""
    p = e / 100
    return 100 * np.sqrt(p * (1 - p) / n)


check_error_bar(error_bar)


# %% tags=["solution"]
def net_without(net):
    """An untrained transformer is at the identity; behind it the layers of the trained classifier."""
    return nn.Sequential(make_st_cnn()[0], *net.layers[1:])


check_net_without(net_without)

# %% [markdown]
# **Read next:** 10, thin-plate splines: a window that bends.
