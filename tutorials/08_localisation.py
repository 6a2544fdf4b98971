# %% [markdown]
# # 08 Where does theta come from?
#
# **You will** follow one gradient from the loss of a classifier back to the six numbers that say where to look, and map
# the ground that it walks on. **You will learn** what teaches a localisation net, why it begins at the identity, from
# how far away the gradient finds back, and why the net is often given a smaller learning rate. **You need** tutorials
# 03 (Eq. 1), 04 and 05 (Eqs. 5 and 7), and the chain rule. Time: 20 minutes to read, some seconds to run.
#
# ## The question
#
# A spatial transformer samples its input on the grid $T_\theta(G)$. The data set has images and class labels. It holds
# no angle, no box, no $\theta$. So who tells the transformer where to look?
#
# The answer in two sentences: $\theta$ is the output of a small net, $\theta = f_{loc}(U)$, like any other layer's
# output. Its weights learn as all weights do, from the gradient of the loss; it comes back through the sampling points.

# %%
import matplotlib.pyplot as plt
import numpy as np

from stn_ref import data, models, nn, sampler, transforms
from stn_ref.grid import GridGenerator
from stn_ref.localisation import conv_localisation
from stn_ref.plotting import style
from stn_ref.plotting.grids import draw_points

plt.rcParams.update(style.RC)
blue, vermillion, green = (style.OKABE_ITO[name] for name in ("blue", "vermillion", "green"))

U, labels, _ = data.draw_digits(np.array([2, 4, 7, 9]), np.random.default_rng(0))  # all we have

# %% [markdown]
# ## Predict
#
# Take an upright digit and turn it. The gradient is to turn it back, a little in each step. Up to how many degrees
# does that work, for a 4?

# %%
my_limit = None  # degrees: edit this line, then run on

# %% [markdown]
# ## Run: forward, step by step
#
# $$\theta = f_{loc}(U), \qquad (x_s, y_s) = T_\theta(G), \qquad V = \text{sample}(U, (x_s, y_s)), \qquad
#   L = \text{loss}(\text{classifier}(V), \text{labels})$$

# %%
rng = np.random.default_rng(1)
affine = transforms.get("affine")
f_loc = conv_localisation((1, 28, 28), affine, rng)  # conv, pool, conv, two linear layers: see localisation.py
grid, sample = GridGenerator(affine), sampler.Sampler()
classifier, loss = models.cnn(28, rng), nn.SoftmaxCrossEntropy()

theta = f_loc.forward(U)
points = grid.forward(theta, (28, 28))
V = sample.forward(U, points)
scores = classifier.forward(V)
L = loss.forward(scores, labels)
print(f"U {U.shape} -> theta {theta.shape} -> points {points.shape} -> V {V.shape} -> scores {scores.shape} -> L")
print(f"L = {L:.3f}; theta of the first image: {theta[0]}")

# %% [markdown]
# **And back**, from the end to the beginning. Each layer is given the gradient of its output and returns that of its
# input, of the same shape.

# %%
gscores = loss.backward()
gV = classifier.backward(gscores)
_, gpoints = sample.backward(gV, needs=(False, True))  # Eq. (7); the gradient of U is not needed
gtheta = grid.backward(gpoints)  # Eq. (1) transposed
f_loc.backward(gtheta)
print(f"gscores {gscores.shape} -> gV {gV.shape} -> gpoints {gpoints.shape} -> gtheta {gtheta.shape}")

# %% [markdown]
# `gtheta` is the answer: six numbers for each image that say how $\theta$ should have been different. Nobody labelled
# them. Two links of the chain are short enough to do by hand. **Eq. (7):** at the identity the points lie on pixels,
# and the slope of $V$ is the difference to the next pixel (tutorial 06 says why the next). No edge in the image, no
# gradient: on even ground it does not matter where you look. **Eq. (1) transposed:** in pixels
# $x_s = \frac{W}{2} (\theta_{11} x_t + \theta_{12} y_t + \theta_{13}) + \dots$: each $\theta$ gathers from all points.
#
# $$\frac{\partial L}{\partial x_s} = \sum_c \frac{\partial L}{\partial V_c} \, \big(U_{c, n, m+1} - U_{c, n, m}\big),
# \qquad \frac{\partial L}{\partial \theta_{1l}} =
# \sum_{ij} \frac{\partial L}{\partial x_s} \frac{W}{2} \, (x_t, y_t, 1)_l$$

# %%
next_pixel = np.concatenate([U[..., 1:], np.zeros((4, 1, 28, 1), U.dtype)], axis=-1)  # outside the image U is 0
gx_s = (gV * (next_pixel - U)).sum(axis=1)
x_t, y_t = np.meshgrid((2 * np.arange(28) - 27) / 28, (2 * np.arange(28) - 27) / 28)
target1 = np.stack([x_t, y_t, np.ones((28, 28))], axis=-1)
gtheta_row_1 = np.einsum("bij,ijl->bl", gx_s * 28 / 2, target1)
assert np.allclose(gx_s, gpoints[..., 0], atol=1e-7) and np.allclose(gtheta_row_1, gtheta[:, :3], atol=1e-6)
print("row 1 of gtheta, first image, by hand:", gtheta_row_1[0].round(4), "by the layers:", gtheta[0, :3].round(4))

# %% [markdown]
# From here on back, the localisation net is a net like any other:

# %%
for name, param in f_loc.named_params():
    print(f"{name:>11} {param.value.shape!s:>16}   largest |gradient| {np.abs(param.grad).max():.1e}")
*earlier, W, b = f_loc.params()
assert not any(param.grad.any() for param in earlier) and W.grad.any() and b.grad.any()

# %% [markdown]
# In the first step only the last layer learns, since nothing passes back through its zero weights; from then on all do.
#
# ## Look into it: where to begin
#
# With zero weights, and the identity as its bias, the last layer says "look at everything" for every image. With a
# usual random start it says anything. Where do the two look in the first step?

# %%
thetas, names = [theta[1]], ["zero weights,\nidentity bias"]
for seed in (1, 2, 3):
    random_start = conv_localisation((1, 28, 28), affine, np.random.default_rng(seed))
    random_start.layers[-1] = nn.Linear(20, 6, np.random.default_rng(seed))  # weights and bias at random
    thetas.append(random_start.eval().forward(U[1:2])[0])
    names.append(f"random\nstart {seed}")

fig, axes = plt.subplots(2, 4, figsize=(7, 4), layout="constrained")
for (above, below), theta_k, name in zip(axes.T, thetas, names, strict=True):
    points_k = grid.share().eval().forward(theta_k[None], (28, 28))  # a twin, to look only: it keeps nothing
    above.imshow(U[1, 0], cmap=style.IMAGES, vmin=0, vmax=1)
    draw_points(above, points_k[0])  # the top of the grid is the thick line
    below.imshow(sampler.sample(U[1:2], points_k)[0, 0], cmap=style.IMAGES, vmin=0, vmax=1)
    above.set(xticks=[], yticks=[], title=name)
    below.set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("U and the grid")
axes[1, 0].set_ylabel("V")
plt.show()
areas = [abs(t[0] * t[4] - t[1] * t[3]) for t in thetas]  # of the grid, as a part of the image: the determinant
print("they look at", ", ".join(f"{area:.1%}" for area in areas), "of the image")
assert areas[0] == 1 and max(areas[1:]) < 0.05

# %% [markdown]
# The random starts see a smear of a part of the digit, and a classifier that learns on smears has little to send back.
# There is worse: to be led back to the whole digit, $\theta$ has to begin near enough.
#
# ## Look into it: the ground that theta walks on
#
# A classifier is content when $V$ looks like the digits that it knows. As a stand-in for it take the squared difference
# to the upright digit $U$:
#
# $$L(\theta) = \tfrac12 \, \text{mean} \big( (V_\theta - U)^2 \big)$$
#
# With the family `rigid`, $\theta = (\alpha, t_x, t_y)$, and $t_y = 0$, two numbers are left: $L$ is a landscape. We
# draw it, and walk down from many places with the gradient of the same chain.

# %%
rigid_grid, upright = GridGenerator(transforms.get("rigid")), U[1:2]  # the 4


def loss_and_gradient(theta):
    """Return L (N,) and dL/dtheta (N, 3) of N transforms of the upright digit."""
    U = np.repeat(upright, len(theta), axis=0)
    points = rigid_grid.forward(theta, (28, 28))
    error = sampler.sample(U, points) - upright
    _, gpoints = sampler.sample_backward(U, points, error / error[0].size)
    return 0.5 * (error**2).mean(axis=(1, 2, 3)), rigid_grid.backward(gpoints)


def places(angles, shifts):
    """Return theta (N, 3): angles (degrees) x shifts, t_y = 0."""
    alpha, t_x = np.meshgrid(np.radians(angles), shifts, indexing="ij")
    return np.stack([alpha.ravel(), t_x.ravel(), np.zeros(alpha.size)], axis=1).astype(np.float32)


RATE = np.array([1, 0.2, 0], np.float32)  # for alpha (radians), t_x (half images); t_y stays


def walk(theta, scale=1.0):
    """Gradient descent; returns theta after each of 80 steps, (81, N, 3)."""
    path = [theta]
    for _ in range(80):
        path.append(path[-1] - np.float32(scale) * RATE * loss_and_gradient(path[-1])[1])
    return np.array(path)


def is_home(theta):
    """Whether theta is within 0.05 of the identity."""
    return (np.abs(theta) < 0.05).all(axis=-1)


angles, shifts = np.arange(-180, 181, 10), np.linspace(-0.8, 0.8, 33)
ground = loss_and_gradient(places(angles, shifts))[0].reshape(len(angles), len(shifts))
starts = places(np.arange(-160, 161, 20), np.linspace(-0.6, 0.6, 7))
home = is_home(walk(starts)[-1])
step = -RATE * loss_and_gradient(starts)[1]

fig, ax = plt.subplots(figsize=(7, 5), layout="constrained")
mesh = (shifts, np.radians(angles), ground)
picture = ax.pcolormesh(*mesh, cmap=style.IMAGES, vmin=0, vmax=0.15, shading="nearest", rasterized=True)
ax.quiver(starts[:, 1], starts[:, 0], step[:, 1], step[:, 0], angles="xy", color="white", width=0.004)
ax.plot(starts[home, 1], starts[home, 0], "o", ms=6, color=vermillion, mec="white", label="leads to the upright digit")
ax.plot(starts[~home, 1], starts[~home, 0], "x", ms=5, color="white", label="ends somewhere else")
ax.set_yticks(np.radians([-180, -90, 0, 90, 180]), ["-180", "-90", "0", "90", "180"])
ax.set(xlabel="shift $t_x$ (1 is half the image)", ylabel="angle (degrees)", title=f"{home.sum()} starts lead back")
fig.legend(fontsize=9, loc="outside lower center", ncol=2, facecolor="0.4", labelcolor="white")
fig.colorbar(picture, label="L")
plt.show()

back = is_home(walk(places(np.arange(0, 181, 5), [0.0]))[-1])
limit = 5 * (np.argmin(back) - 1)  # the last one before the first that fails
print(f"turned by 5, 10, ... degrees and not shifted: the gradient leads back up to {limit}")
print("you said:", "nothing yet" if my_limit is None else my_limit)
assert 30 <= limit <= 90 and 10 < home.sum() < 50

# %% [markdown]
# The arrows are the first step of each walk. There is one basin around the right answer. Outside there are other
# valleys (a 4 on its side fits a 4 better than nothing does), and where the two digits hardly touch the ground is flat.
# The gradient says where it goes down *from here*. It does not know that somewhere else it is lower.
#
# Hence the identity at the start: the object is somewhere in the picture, and a grid that covers all of it is in, or
# near, the basin of many images at once. It is a guess, not a must: begin elsewhere if you know better (exercise 2).
#
# ## Change it: how large a step?
#
# $\theta$ moves *every* point: 0.1 more of $t_x$ and all of them jump by 1.4 pixels. A rate that suits the weights of a
# classifier can throw the grid out of its basin. The same walk, from 40 degrees and a shift of 0.2, with other rates:

# %%
fig, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
for scale, colour, dash in ((0.05, blue, "--"), (1, green, "-"), (30, vermillion, ":")):
    path = walk(places([40], [0.2]), scale=scale)[:, 0]
    ax.plot(path[:, 1], dash, color=colour, lw=2, label=f"rate x {scale:g}")
    print(f"rate x {scale:<4g}: after 80 steps {np.degrees(path[-1, 0]):5.1f} degrees, shift {path[-1, 1]:5.2f}")
    assert is_home(path[-1]) == (scale == 1)
assert not loss_and_gradient(path[-1:])[1].any()  # rate x 30: nowhere to go from there
ax.set(xlabel="step", ylabel="shift $t_x$", title="Too short is slow, too long leaves the image")
ax.legend(fontsize=9)
plt.show()

# %% [markdown]
# The longest steps land beside the image. There $V$ is black whatever $\theta$ does, the gradient is 0, and nothing
# leads back: this is the "output goes blank" that people report.
#
# Every `Param` has an `lr_scale`, a factor on the optimiser's rate, and `conv_localisation(..., lr_scale=0.1)` sets it
# for the whole net. A tenth is what the paper used on SVHN, with SGD. It is no law: with Adam, `stn-ref train` uses the
# full rate. If your $V$ goes blank, make the factor smaller; if your grid hardly moves, larger.
#
# ## Exercises
#
# **1.** A start that is turned by more than 60 degrees may lead back all the same, if it is shifted in a fitting way.
# Find one that is turned by at least 70 degrees. The map helps.

# %% tags=["exercise"]
my_start = (90, 0.0)  # angle (degrees), t_x


# %%
def check_start(angle, t_x):
    """Walk from there."""
    path = walk(places([angle], [t_x]))[:, 0]
    if abs(angle) < 70 or not is_home(path[-1]):
        end = f"{np.degrees(path[-1, 0]):.0f} degrees and {path[-1, 1]:.2f}"
        print(f"not yet: from {angle:g} degrees and a shift of {t_x:g} the walk ends at {end}.")
        print("Look for a dot of the map above 70 degrees.")
        return False
    _, ax = plt.subplots(figsize=(4, 2.4), layout="constrained")
    ax.plot(path[:, 1], np.degrees(path[:, 0]), ".-", color=green)
    ax.set(xlabel="shift $t_x$", ylabel="angle (degrees)", title="All the way back")
    plt.show()
    print("check_start: right")
    return True


# %% tags=["exercise"]
check_start(*my_start)

# %% [markdown]
# **2.** You know that your digits are in the upper right quarter of the image. With which bias (six numbers, affine)
# should the localisation net begin, so that its output is that quarter, enlarged?

# %% tags=["exercise"]
my_bias = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


# %%
def check_bias(bias):
    """Look at the points of the first and the last output pixel."""
    points = GridGenerator(affine, (28, 28)).eval().forward(np.array([bias], float), (28, 28))[0]
    for name, at, wanted in (("first", (0, 0), (13.75, -0.25)), ("last", (-1, -1), (27.25, 13.25))):
        if not np.allclose(points[at], wanted):
            print(f"not yet: the {name} output pixel looks at (x, y) = {points[at].round(2)} pixels, wanted {wanted}.")
            print("-1 and 1 are the edges of the image; y points down, so up is negative.")
            return False
    _, ax = plt.subplots(figsize=(2.6, 2.6), layout="constrained")
    ax.imshow(U[0, 0], cmap=style.IMAGES, vmin=0, vmax=1)
    draw_points(ax, points)
    ax.set(xticks=[], yticks=[], title="where it begins")
    plt.show()
    print("check_bias: right")
    return True


# %% tags=["exercise"]
check_bias(my_bias)

# %% [markdown]
# ## Solutions

# %% tags=["solution"]
check_start(80, -0.2)

# %% tags=["solution"]
check_bias([0.5, 0.0, 0.5, 0.0, 0.5, -0.5])

# %% [markdown]
# **Read next:** 09, a transformer learns: this chain, a few hundred times.
