# %% [markdown]
# # 13 The same sum four ways
#
# **You will** write Eq. (3) and its transpose, Eq. (6), as loops, as arrays, as compiled loops and as threads of a GPU,
# lose additions on purpose, and time what can be timed. **You will learn** what a race is, why only the backward has
# one, what an atomic addition promises, and what the same bits in every run cost. **You need** tutorials 04 and 05, or:
# Eqs. (3), (5) and (6). No GPU. Time: 20 minutes to read, some seconds to run.
#
# ## The question
#
# Forward, a point reads four pixels. Backward, it adds to these four. On a GPU thousands of points do so at once. Why
# is the one harmless and the other not?

# %%
import os
import subprocess
import sys
from itertools import permutations
from timeit import repeat

import matplotlib.pyplot as plt
import numpy as np
from numba import njit

from stn_ref import sampler
from stn_ref.plotting import style

plt.rcParams.update(style.RC)
blue, vermillion, green = (style.OKABE_ITO[name] for name in ("blue", "vermillion", "green"))
rng = np.random.default_rng(0)

H, W, P = 5, 7, 40  # 35 pixels and 40 points; whole numbers and quarters, so that every sum below is exact
U = rng.integers(0, 10, (H, W)).astype(float)
points = rng.integers(0, (4 * (W - 1), 4 * (H - 1)), (P, 2)) / 4  # (x_s, y_s), all four taps in the image
gV = rng.integers(-9, 10, P).astype(float)

# %% [markdown]
# ## Predict
#
# Two workers share a number, 0. A adds 3, B adds 5, each in three steps: *read* the number, *add* to what was read,
# *write* the sum back. The six steps can come in 20 orders (A's own stay in order, and B's). After how many is it 8?

# %%
my_count = None  # of 20: edit this line, then run on

# %% [markdown]
# ## Run: one, literally
#
# With the points counted by $p$, and the weights $K_{p,nm} = k(x_p - m) \, k(y_p - n)$ of tutorial 04:
#
# $$V_p = \sum_{n,m} K_{p,nm} \, U_{nm} \quad \text{(Eq. 3)}, \qquad
#   gU_{nm} = \sum_p K_{p,nm} \, gV_p \quad \text{(Eq. 6, times } gV \text{ and summed)}$$
#
# One table of weights, read by rows or by columns: $V = K U$ and $gU = K^\top gV$. In the code, look at the left sides.
# Give each $p$ to a worker of its own: `V[p]` belongs to that one, `gU[n, m]` to whoever comes.


# %%
def literally(U, points, gV):
    V, gU = np.zeros(len(points)), np.zeros(U.shape)
    for p, n, m in np.ndindex(gV.shape + U.shape):
        K = max(0.0, 1 - abs(points[p, 0] - m)) * max(0.0, 1 - abs(points[p, 1] - n))  # Eq. (5)
        V[p] += K * U[n, m]  # Eq. (3)
        gU[n, m] += K * gV[p]  # Eq. (6)
    return V, gU


V, gU = literally(U, points, gV)

# %% [markdown]
# ## Run: two, NumPy
#
# In each row of $K$ four entries count (tutorial 04): for all points at once, the places $n W + m$ of the taps, and
# their weights, both (P, 4). Forward *gathers*, backward *scatters*. Here are two ways to write a scatter.


# %%
def taps(points, W):
    """Places and weights of the four taps of each point, (P, 4)."""
    m, n = np.floor(points).astype(int).T
    t_x, t_y = points.T - (m, n)
    weight = np.stack([(1 - t_x) * (1 - t_y), t_x * (1 - t_y), (1 - t_x) * t_y, t_x * t_y], axis=1)
    return (n * W + m)[:, None] + (0, 1, W, W + 1), weight


place, weight = taps(points, W)
assert ((weight * U.take(place)).sum(axis=1) == V).all()  # the gather
right, lossy = np.zeros((2, H * W))
np.add.at(right, place, weight * gV[:, None])
lossy[place] += weight * gV[:, None]
fig, axes = plt.subplots(1, 2, figsize=(6.6, 2.5), layout="constrained", sharey=True)
for ax, values, title in zip(axes, (right, lossy), ("np.add.at(gU, i, g)", "gU[i] += g"), strict=True):
    shown = ax.imshow(values.reshape(H, W), cmap="RdBu_r", vmin=-np.abs(right).max(), vmax=np.abs(right).max())
    ax.set(title=title, xlabel="m (pixels)", ylabel="n (pixels)")
fig.colorbar(shown, label="gU")
plt.show()
print("pixels that are right, of 35:", *((values == gU.ravel()).sum() for values in (right, lossy)))
assert (right == gU.ravel()).all() and not (lossy == gU.ravel()).all()

# %% [markdown]
# `gU[i] += g` is `gU[i] = gU[i] + g`: read all, add all, write all. If a place is in `i` twice, both read the same old
# number, and the second write buries the first. `np.add.at` takes one term after the other.
#
# ## Run: three, compiled loops
#
# `njit` turns a Python function into machine code, as it stands:

# %%
compiled = njit(literally)
assert all((a == b).all() for a, b in zip(compiled(U, points, gV), (V, gU), strict=True))

# %% [markdown]
# It adds numbers, not Python objects, and stores nothing between two steps, where NumPy writes and reads an array of
# (P, 4) for each `*`. The gathers of the backend `cpu` take **several points in one instruction**, if the processor has
# one. (Its scatter does not: read eight, add eight, write eight loses updates if two meet.) And it has **threads.**
# Forward, they share out the points; backward, the *images*. Each image has a $gU$ of its own, so no two threads write
# to one sum, and its terms come in the order of the points, however many threads there are.
#
# ## Look into it: a race, step by step
#
# A GPU wants thousands of threads: one for each point. Then two may add to one pixel. Here is a thread that stops after
# each of its three steps. A schedule such as `"AABBAB"` says whose step comes next.


# %%
def add(memory, g):
    register = memory[0]
    yield "read"
    register += g
    yield "add"
    memory[0] = register
    yield "write"


def play(schedule, *terms):
    """The steps of threads A, B, ..., each adding its term, and what is then in memory, at first 0."""
    memory = [0]
    workers = {name: add(memory, g) for name, g in zip("ABC", terms, strict=False)}
    return [f"{name} {next(workers[name])}" for name in schedule], memory[0]


runs = sorted((play(schedule, 3, 5) for schedule in set(permutations("AAABBB"))), key=lambda run: (-run[1], run[0]))
fig, ax = plt.subplots(figsize=(5, 5), layout="constrained")
for y, (steps, end) in enumerate(runs):
    for x, step in enumerate(steps):
        ax.barh(y, 0.96, left=x + 0.02, color="#cfe5f3" if step[0] == "A" else "#f8dcc6")
        ax.text(x + 0.5, y, step, ha="center", va="center", fontsize=8)
    ax.text(6.2, y, {8: "8", 5: "5: A is lost", 3: "3: B is lost"}[end], va="center", fontsize=9)
ax.set(xlim=(0, 8), ylim=(19.6, -0.6), title="A adds 3, B adds 5: all 20 orders")
ax.axis("off")
plt.show()
found = [sum(end == wanted for _, end in runs) for wanted in (8, 5, 3)]
print(f"right: {found[0]} of {len(runs)}. You said:", "nothing yet" if my_count is None else my_count)
assert found == [2, 9, 9]

# %% [markdown]
# Right only if one is through before the other begins. That is a **race**: the result depends on who comes when. (On a
# GPU the 20 orders are not equally likely. Mostly the two are far apart and all is well. So races are hard to find.)
# *Forward* has none: each thread writes to its own `V[p]`, and reading together does no harm. An **atomic** addition
# makes of the three steps one, which nobody can come between: only the first two rows are left. No update is lost.
#
# ## Look into it: the order is left
#
# *Which* order, it does not say. And floats are rounded after each addition:

# %%
shuffled = rng.permuted(np.tile(rng.normal(size=256).astype(np.float32), (2000, 1)), axis=1)
sums, whole = (np.cumsum(terms, axis=1)[:, -1] for terms in (shuffled, np.round(shuffled)))  # one after the other
fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
ax.hist((sums - shuffled[0].sum(dtype=float)) / np.spacing(abs(sums[0])), bins=41, color=blue)
ax.set(xlabel="sum − exact sum (units in the last place)", ylabel="orders", title="256 numbers, 2000 orders, float32")
plt.show()
print(f"different sums: {len(np.unique(sums))}; of the same terms rounded to integers: {len(np.unique(whole))}")
assert len(np.unique(sums)) > 10 and len(np.unique(whole)) == 1

# %% [markdown]
# All are right, to rounding. But with atomic additions each pixel of $gU$ may get any of them, another one in each run:
# no training can be repeated to the bit, and no test can ask for equality, except of sums that are exact in any order.
# That is why our $U$ and $gV$ are whole numbers: there a *lost* update cannot pass for *rounding*.
#
# ## Change it: what the same bits cost
#
# Turn the sum round: a thread for each **pixel**, which gathers what its points send, in their order. Nobody writes to
# another's sum; no race, one order. But which points are a pixel's? They must be sorted first. In NumPy:


# %%
def scatter(place, terms, size, order=slice(None)):
    """Add the terms by place, one after the other, as np.add.at does."""
    return np.bincount(place.ravel()[order], terms.ravel()[order], size)


def seconds(f, *args, **options):
    return np.median(repeat(lambda: f(*args, **options), number=1, repeat=6)[1:])  # the first call may compile


by_pixel = {"axis": None, "kind": "stable"}  # np.argsort: by pixel, and for one pixel in the order of the points
assert (scatter(place, weight * gV[:, None], H * W, np.argsort(place, **by_pixel)) == gU.ravel()).all()
for name, reach in (("spread out", 63), ("in one cell", 1)):
    i, g = taps(rng.uniform(0, reach, (2**14, 2)), 64)
    adding, sorting = 1000 * seconds(scatter, i, g, 64 * 64), 1000 * seconds(np.argsort, i, **by_pixel)
    print(f"{name}: adding {adding:.2f} ms, sorting {sorting:.2f} ms; longest list {np.bincount(i[:, 0]).max()}")

# %% [markdown]
# (Measured where this ran, in NumPy: the kind of price, not that on a GPU.) The backend `cuda` does this, with a list
# for each *cell*: 4 bytes for each point and each cell, here 82 kB beside 32 kB of $gU$. A thread sorts it, then
# one for each of the four pixels walks it, and everybody waits for whoever has the longest. With `cuda_atomic` there
# are no lists, but additions to one place wait for each other, too.
#
# ## Run: four, CUDA
#
# A CUDA kernel is the inside of the loop over $p$; `cuda.grid(1)` tells a thread its $p$. Without a GPU, Numba's
# simulator runs it in Python. That is chosen before Numba is imported, hence a process of its own.

# %%
KERNEL = """
import numba_cuda
from numba import cuda
from stn_ref import sampler
@cuda.jit
def both(u, place, weight, gV, V, gu):
    p = cuda.grid(1)
    if p < len(gV):
        for k in range(4):
            V[p] += weight[p, k] * u[place[p, k]]                   # V[p] is mine
            cuda.atomic.add(gu, place[p, k], weight[p, k] * gV[p])  # gu is everybody's

V_4, gU_4 = np.zeros(V.shape), np.zeros(gU.size)
both[5, 8](U.ravel(), place, weight, gV, V_4, gU_4)                 # 5 blocks of 8 threads, for 40 points
print("our kernel is right:", (V_4 == V).all() and (gU_4 == gU.ravel()).all())
for backend in ("cuda", "cuda_atomic"):
    gU_4, _ = sampler.sample_backward(U[None, None], points[None, None], gV[None, None, None], backend=backend)
    print(backend, "is right:", (gU_4 == gU).all())
"""
given = {"U": U, "points": points, "gV": gV, "place": place, "weight": weight, "V": V, "gU": gU}
code = "import numpy as np\n" + "".join(f"{name} = np.array({a.tolist()})\n" for name, a in given.items()) + KERNEL
env = os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}  # "0" takes an NVIDIA GPU instead
done = subprocess.run([sys.executable, "-"], input=code, env=env, capture_output=True, text=True)
missing = "No module named 'numba_cuda'" in done.stderr
print("The simulator comes with numba-cuda, on Linux and Windows: pip install numba-cuda" if missing else done.stdout)
assert missing or (done.returncode == 0 and "False" not in done.stdout), done.stderr

# %% [markdown]
# ## Run: the clock
#
# Time for one sample, over how many are asked for at once. Where a line falls as one over their number, it is the call
# that costs; where it is level, the work itself. (The simulator is left out: its times say nothing of a GPU.)

# %%
fig, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained", sharey=True)
for backend, colour, mark in (("literal", vermillion, "s:"), ("vectorised", green, "^--"), ("cpu", blue, "o-")):
    spent = {}  # samples -> nanoseconds for one, forward and backward
    for count in 2 ** np.arange(6, 17):
        image, at = rng.normal(size=(1, 1, 32, 32)), rng.uniform(0, 31, (1, 1, count, 2))
        forward = seconds(sampler.sample, image, at, backend=backend)
        backward = seconds(sampler.sample_backward, image, at, at[..., 0][None], backend=backend)
        spent[count] = 1e9 * forward / count, 1e9 * backward / count
        if backward > 0.05:
            break  # literal, long before the others
    print(f"{backend:>10}: {count:5} samples, forward {spent[count][0]:.0f} ns, backward {spent[count][1]:.0f} ns each")
    for ax, line in zip(axes, zip(*spent.values(), strict=True), strict=True):
        ax.loglog(list(spent), line, mark, ms=4, color=colour, label=backend)
axes[0].set(xlabel="samples", ylabel="time for one (ns)", title="forward")
axes[1].set(xlabel="samples", title="backward")
axes[0].legend(fontsize=9)
plt.show()

# %% [markdown]
# ## Exercises
#
# **1.** A adds 1, B 10 and C 100. Find a schedule that loses B's update, and only that: 101 is left.


# %%
def check_schedule(schedule):
    end = play(schedule, 1, 10, 100)[1] if sorted(schedule) == list("AAABBBCCC") else "nothing (three steps each!)"
    if end != 101:
        print(f"not yet: {end} is left. Who must read before B writes, and write after? And has that one seen A's 1?")
        return False
    print("check_schedule: right")
    return True


# %% tags=["exercise"]
my_schedule = "AAABBBCCC"
check_schedule(my_schedule)

# %% [markdown]
# **2.** Shuffle the points, and sums in their order change the last bits. Find an order of the taps that gives the same
# bits after any shuffle. (`place` and `terms` are flat here, with a number for each tap.)


# %%
def check_order(f):
    i, g = taps(rng.uniform(0, 4, (500, 2)), 6)
    shuffled = [(i[p].ravel(), g[p].ravel()) for p in map(rng.permutation, [500] * 20)]
    results = [scatter(place, terms, 36, f(place, terms)) for place, terms in shuffled]
    if len({gU.tobytes() for gU in results}) > 1 or not np.allclose(results, scatter(i, g, 36)):
        print("not yet: wanted from 20 shuffles is one result, the right one. What does no shuffle change?")
        return False
    print("check_order: right")
    return True


# %% tags=["exercise"]
def my_order(place, terms):
    return np.argsort(place, **by_pixel)  # your code


check_order(my_order)

# %% [markdown]
# ## Solutions

# %% tags=["solution"]
check_schedule("BAAACBBCC")  # B reads first; A; C reads A's 1; B writes 10; C writes 101 over it
check_order(lambda place, terms: np.lexsort((terms, place)))  # by place, and at one place by the terms themselves

# %% [markdown]
# **Read next:** 14, the museum: what wrong samplers look like. (The lists: `stn_ref/kernels/cuda/lists.py`.)
