# %% [markdown]
# # 14 The museum of wrong samplers
#
# **You will** diagnose samplers that run, draw pictures, and are wrong. **You will learn** what a claim is, how to read
# a verdict, which faults no picture, no gradient check and no square image shows, and how to put your own sampler to
# the test. **You need** tutorials 06 and 07, or: Eqs. (5) and (7), and what a cotangent is. Time: 20 minutes to read
# and puzzle, some seconds to run.
#
# ## The question
#
# Somebody hands you a sampler. It runs, the digits come out, training converges, more or less. Is it the sampler of the
# paper? One test cannot say. So one asks many small questions, each of which a right sampler must answer with yes.

# %%
import inspect

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter

from stn_ref import affine_grid, data
from stn_ref.conformance import report, run
from stn_ref.conformance.claim import Violated, expect
from stn_ref.conformance.claims import CLAIMS
from stn_ref.conformance.museum import EXHIBITS, Reference
from stn_ref.conformance.subject import Subject
from stn_ref.plotting import style

plt.rcParams.update(style.RC)
blue, vermillion, green = (style.OKABE_ITO[name] for name in ("blue", "vermillion", "green"))

right = Reference()  # a right sampler in small steps: right.forward(U, grid), right.backward(U, grid, gV)
# Names of five exhibits, backwards, so that you do not read them by accident.
NAMES = "sparw-xedni-evitagen ruobhgien-liec maertspu-desopsnart detnirp-sa-neves-noitauqe thgiew-erofeb-pilc".split()
wrong = {letter: EXHIBITS[name[::-1]] for letter, name in zip("ABCDE", NAMES, strict=True)}

# %% [markdown]
# ## Run: how to look at a sampler
#
# Below, left: what it makes of two digits with a grid that turns and shifts them. Right: what it would teach. The
# grid is the identity, the target the same picture one pixel to the right, and each arrow is
#
# $$-\frac{\partial L}{\partial (x_s, y_s)}, \qquad L = \tfrac12 \sum_{ij} (V_{ij} - \text{target}_{ij})^2,$$
#
# where the sample of pixel $(i, j)$ should go to make the loss smaller: mostly to the left, for a picture that moves to
# the right. There $V$ is the input, if the sampler is right. (Arrows of every other pixel, short ones left out.)

# %%
digits = data.load(n_train=1, n_val=1, n_test=12, seed=0).test_images[:, 0] / 255.0
two = np.pad(np.concatenate([digits[3], digits[7]], axis=1), ((2, 2), (4, 4)))  # 32 x 64 pixels
U = (0.3 + gaussian_filter(two, 1.5))[None, None]  # soft strokes on grey: what is dark is outside the picture
H, W = U.shape[2:]
turned = affine_grid(np.array([[[0.9, 0.1, -0.3], [-0.25, 0.9, 0.1]]]), U.shape)
identity = affine_grid(np.array([[[1.0, 0, 0], [0, 1, 0]]]), U.shape)
target = right.forward(U, identity - np.array([2 / W, 0]))  # one pixel is 2 / W of the normalised x


def show(cases):
    """For each case its V for the turned grid, and V with -dL/d(x_s, y_s), per pixel, at the identity."""
    _, axes = plt.subplots(len(cases), 2, figsize=(6.6, 1.75 * len(cases)), layout="constrained")
    for (name, sampler), (left, pulled) in zip(cases.items(), axes, strict=True):
        V = sampler.forward(U, identity)
        _, ggrid = sampler.backward(U, identity, V - target)
        left.imshow(sampler.forward(U, turned)[0, 0], cmap=style.IMAGES, vmin=0, vmax=1)
        pulled.imshow(V[0, 0], cmap=style.IMAGES, vmin=0, vmax=1)
        gx, gy = np.moveaxis(ggrid[0, ::2, ::2] * (2 / W, 2 / H), -1, 0)
        i, j = np.nonzero(np.hypot(gx, gy) > 0.005)
        arrows = (2 * j, 2 * i, -gx[i, j], -gy[i, j])
        pulled.quiver(*arrows, color="white", angles="xy", scale_units="xy", scale=0.01, width=0.006)
        left.set(ylabel=name, xticks=[], yticks=[])
        pulled.set(xticks=[], yticks=[])
    axes[0, 0].set(title="V, turned grid")
    axes[0, 1].set(title="V at the identity, and the pull")
    plt.show()


A, B, C = (wrong[letter].wrong() for letter in "ABC")
show({"right": right, "A": A, "B": B, "C": C})

# %% [markdown]
# ## Predict
#
# One of A, B and C reads wrong pixels; two have perfect pictures. Write down what is wrong with each, in a few words.

# %%
my_diagnosis = {"A": None, "B": None, "C": None}  # strings: edit this line, then run on

# %% [markdown]
# ## Look into it: a claim
#
# A claim is one sentence about a right sampler, what it means if yours is different, who was caught by it, and a check.

# %%
claim = CLAIMS["identity"]
print(claim.says, claim.failure, f"Known: {claim.known}", inspect.getsource(claim.check), sep="\n\n")

# %% [markdown]
# The subject is the sampler under test, in a wrapper that calls it with the options that it has. `run.check(subject,
# claims)` returns a verdict for each claim. Here are twelve of the claims, put to the right sampler and to our three:

# %%
TWELVE = """identity constant-stays-constant width-goes-with-x output-is-laid-out-as-the-grid equation-5
    zeros-beyond-one-pixel gradient-is-per-normalised-unit slope-of-a-cell-by-hand image-gradient-adds-up
    each-sample-has-its-own-gradient gradient-at-pixels-is-alive slope-at-a-kink-lies-between""".split()


def verdicts(sampler, names=TWELVE):
    """Claim -> verdict, for a sampler with forward and backward; names=None asks all claims."""
    subject = Subject(forward=sampler.forward, backward=sampler.backward)
    return {verdict.claim: verdict for verdict in run.check(subject, run.select(names))}


found = {name: verdicts(sampler) for name, sampler in (("right", right), ("A", A), ("B", B), ("C", C))}
print(f"{'':36}" + "".join(f"{name:>7}" for name in found))
for name in TWELVE:
    print(f"{name:36}" + "".join(f"{'ok' if of[name].passed else 'BROKEN':>7}" for of in found.values()))
assert all(verdict.passed for verdict in found["right"].values())

# %% [markdown]
# A fault breaks several claims: what follows from it breaks, too. The one to read is that which speaks of one thing
# only. It says what it expected, what it got, where, and with which options:

# %%
for letter in "ABC":
    case, verdict = wrong[letter], found[letter][wrong[letter].telltale]
    print(f"{letter}, you said: {my_diagnosis[letter]}\n{report.lines(verdict, CLAIMS[case.telltale])}")
    print(f"\n# {case.name}, seen in: {case.seen}\n{case.source()}\n")
    assert not verdict.passed

# %% [markdown]
# Below each verdict is the whole exhibit: one step of the right sampler, done wrongly. A: an index of $-1$ is the last
# column in Python. B: $\lfloor x \rfloor$ and $\lceil x \rceil$ are the same pixel at a pixel, and at the identity
# nothing moves (tutorial 06). C: the upstream gradient is read transposed: each sample gets the error of another one.

# %% [markdown]
# ## Change it: blind tests
#
# Four tests that people write, and the claims. Each is put to nine exhibits.
#
# 1. *pictures:* $V$ is that of a right sampler, on 5 × 7 pixels.
# 2. *gradient check, ones:* backward agrees with differences of the sampler's **own** forward, off kinks, $gV = 1$.
# 3. *gradient check, random:* the same with a random $gV$.
# 4. *square:* $V$, $gU$ and $ggrid$ are those of a right sampler, random $gV$, off kinks, on 6 × 6 pixels.
# 5. *claim:* the one that says most directly what is wrong.


# %%
def normalised(pixels, H, W):
    """Points (..., 2) in pixels (x, y) -> normalised, align_corners=False."""
    return (2 * np.asarray(pixels, float) + 1) / (W, H) - 1


def example(H, W):
    rng = np.random.default_rng(0)  # points some of which are outside, all at least 0.2 px off the kinks
    pixels = rng.integers(-1, (W, H), (1, H, W, 2)) + rng.uniform(0.2, 0.8, (1, H, W, 2))
    return rng.normal(size=(1, 2, H, W)), normalised(pixels, H, W), rng.normal(size=(1, 2, H, W))


def passes_gradcheck(sampler, gV):
    """Whether gU and ggrid are the differences of L = sum(gV * V): tutorial 07, value by value."""
    U, grid, _ = example(5, 7)
    h = 2.0**-20  # small: a wrong sampler may have its kinks elsewhere
    for k, gradient in enumerate(sampler.backward(U, grid, gV)):
        for index in np.ndindex(gradient.shape):
            ahead, back = [U.copy(), grid.copy()], [U.copy(), grid.copy()]
            ahead[k][index] += h
            back[k][index] -= h
            slope = (gV * (sampler.forward(*ahead) - sampler.forward(*back))).sum() / (2 * h)
            if abs(slope - gradient[index]) > 1e-6:
                return False
    return True


def notices(sampler, telltale):
    """What each of the five tests says: True where it notices that something is wrong."""
    (U, grid, gV), square = example(5, 7), example(6, 6)
    got, wanted = ([of.forward(*square[:2]), *of.backward(*square)] for of in (sampler, right))
    return [
        not np.allclose(sampler.forward(U, grid), right.forward(U, grid)),
        not passes_gradcheck(sampler, np.ones_like(gV)),
        not passes_gradcheck(sampler, gV),
        not all(np.allclose(a, b) for a, b in zip(got, wanted, strict=True)),
        not verdicts(sampler, [telltale])[telltale].passed,
    ]


NINE = """height-for-width source-to-target transposed-output transposed-upstream no-chain-factor
    weight-of-the-wrong-axis lost-updates ceil-neighbour equation-seven-as-printed""".split()
TESTS = ("pictures", "gradient\ncheck,\nones", "gradient\ncheck,\nrandom", "square", "claim")
noticed = np.array([notices(EXHIBITS[name].wrong(), EXHIBITS[name].telltale) for name in NINE])
_, ax = plt.subplots(figsize=(6.6, 3.8), layout="constrained")
for mark, colour, cells in (("o", blue, noticed), ("x", vermillion, ~noticed)):
    ax.plot(*np.nonzero(cells.T), mark, color=colour, ms=10, mew=2)
ax.set(xticks=range(5), xticklabels=TESTS, yticks=range(9), yticklabels=NINE, xlim=(-0.5, 4.5), ylim=(8.5, -0.5))
ax.set(title="dot: noticed; cross: not noticed")
plt.show()
assert noticed[:, 4].all() and not any(notices(right, "equation-5"))  # each has its claim; the right one passes all
assert noticed[0].tolist() == [True, False, False, False, True] and not noticed[3, :2].any() and noticed[3, 2:].all()
assert not noticed[7:, :4].any()  # wrong on the kinks only

# %% [markdown]
# Read it by columns. **Pictures** miss whatever is wrong in backward only. A **gradient check** compares a sampler with
# itself: one that exchanges $H$ and $W$, or maps the other way, does so forward and backward, and passes. With **ones**
# it does not see that samples are mixed up. On a **square** $H$ and $W$ are the same. And what is wrong only **on the
# kinks**, where training starts, is seen by none of the four.
#
# ## Your own sampler
#
# From the command line, in a process of its own, so that a crash or a hang is a verdict, too:
#
# ```
# stn-ref check mymodule:my_grid_sample --backward mymodule:my_backward
# stn-ref check stn_ref.conformance.museum:left_kink --backward stn_ref.conformance.museum:left_kink_backward
# ```
#
# `--list` prints all claims. An option that yours lacks is "not offered" and no fault. Not every broken claim is one:

# %%
kink = "kink-takes-the-right-slope"
print(report.lines(verdicts(EXHIBITS["left-kink"].wrong(), [kink])[kink], CLAIMS[kink]))

# %% [markdown]
# ## Exercises
#
# **1.** What is wrong with D and with E? Look first, then ask for claims: `verdicts(D, [...])`, or all that are broken
# with `broken(D)`. Answer with names from the list.


# %%
def broken(sampler):
    """The names of all claims that it breaks."""
    return {name for name, verdict in verdicts(sampler, None).items() if not verdict.passed}


D, E = wrong["D"].wrong(), wrong["E"].wrong()
show({"right": right, "D": D, "E": E})
print(", ".join(sorted(EXHIBITS)))

# %% tags=["exercise"]
answer_for_d, answer_for_e = "left-kink", "negative-index-wraps"


# %%
def check_diagnosis(*names):
    for letter, sampler, name in zip("DE", (D, E), names, strict=True):
        if name not in EXHIBITS:
            print(f"not yet: {name!r} is not in the list of names above.")
            return False
        does, would = broken(sampler), set(EXHIBITS[name].caught_by)
        if does != would:
            print(f"not yet: {letter} is no {name}: {EXHIBITS[name].fault} Claims that one of the two breaks:")
            print("that fault:", sorted(would - does), f" {letter}:", sorted(does - would))
            return False
    _, ax = plt.subplots(figsize=(5, 1.4), layout="constrained")
    ax.barh(names, [len(EXHIBITS[name].caught_by) for name in names], color=green)
    ax.set(xlabel="claims broken")
    plt.show()
    print("check_diagnosis: right")
    return True


# %% tags=["exercise"]
check_diagnosis(answer_for_d, answer_for_e)

# %% [markdown]
# **2.** Write a claim. It gets a subject, and should notice `row-before-column`, `height-for-width` and
# `transposed-output`, and let the right sampler pass. `expect(what, got, expected)` complains if they differ.


# %% tags=["exercise"]
def my_claim(subject):
    U = np.full((1, 1, 4, 4), 7.0)  # your image, your points, and what V must be there
    grid = normalised([[[(1, 1), (2, 1)], [(1, 2), (2, 2)]]], 4, 4)
    expect("V", subject.forward(U, grid), 7.0)


# %%
def check_claim(claim):
    pictures = []
    for name in ("right", "row-before-column", "height-for-width", "transposed-output"):
        sampler = right if name == "right" else EXHIBITS[name].wrong()
        pictures.append(sampler.forward(U, turned)[0, 0])
        try:
            claim(Subject(forward=sampler.forward))
            holds, why = True, "Are all pixels different? H and W, Ho and Wo, x and y?"
        except Violated as error:
            holds, why = False, str(error)
        if holds != (name == "right"):
            print(f"not yet: it {'holds' if holds else 'is violated'} for {name}. {why}")
            return False
    _, ax = plt.subplots(figsize=(6.6, 1.3), layout="constrained")
    ax.imshow(np.concatenate(pictures, axis=1), cmap=style.IMAGES)
    ax.set(xticks=[], yticks=[], title="right, and the three that you caught")
    plt.show()
    print("check_claim: right")
    return True


# %% tags=["exercise"]
check_claim(my_claim)

# %% [markdown]
# ## Solutions

# %% tags=["solution"]
check_diagnosis("equation-seven-as-printed", "clip-before-weight")


# %% tags=["solution"]
def a_claim(subject):
    """At the centres of pixels V is those pixels, laid out as the grid."""
    U = np.arange(32.0).reshape(1, 1, 4, 8)
    grid = normalised([[[(0, 0), (6, 1), (7, 3)], [(2, 1), (3, 0), (1, 2)]]], 4, 8)
    expect("V", subject.forward(U, grid)[0, 0], [[0, 14, 31], [10, 3, 17]])


check_claim(a_claim)

# %% [markdown]
# **Read next:** `stn_ref/conformance/museum`, room by room; and tutorials/errata.md, where faults come from.
