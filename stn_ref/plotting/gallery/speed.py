"""The figure about speed, drawn from the report that `stn-ref bench --json figures/bench/cpu.json` writes."""

from pathlib import Path

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, StrMethodFormatter

from stn_ref import schema
from stn_ref.lab.machine_report import shipped
from stn_ref.plotting import style
from stn_ref.plotting.gallery.drawing import Drawing
from stn_ref.schema import COUNT, POSITIVE, Number

NEEDED = ("sampler", "grid", "steps", "growth")  # parts of the report
COLUMNS = (  # of groups: title -> part of the report, start of its row names
    {
        "grid_sample, N,C,H,W → Ho,Wo": ("sampler", "grid_sample"),
        "grid + sampler, forward and backward": ("grid", "grid + sampler"),
    },
    {"affine_grid, N × Ho,Wo": ("grid", "affine_grid"), "training steps": ("steps", "")},
)
BESIDE = ("kernel_ratio", "layers_ratio")  # of the calls that are timed beside ours
PASSES = ("forward", "backward")
BUSY = 0.15  # cores that other programs used: at or above this the caption says so
AGAIN = "stn-ref bench --json figures/bench/cpu.json"
_WHAT = "a report of `stn-ref bench`"
_RATIO, _COST = Number(1e-9, 1e9), Number(1e-9)
_ROW = {
    "name": str,
    "threads": COUNT,
    "others_cores?": POSITIVE,
    **dict.fromkeys(("ratio?", *(f"{key}?" for key in BESIDE)), _RATIO),
}
_REPORT = {
    "date": str,
    "threads": [COUNT, COUNT, ...],
    "environment": {"torch": str, "processor": str},
    "parts": {str: [_ROW, ...]},
}
_GROWN = {"pass": str, "pixels": COUNT, **dict.fromkeys(("nanoseconds_per_pixel", "peak_bytes_per_pixel"), _COST)}
_LOOKS = [("blue", "o", "none"), ("vermillion", "D", "full")]  # by number of threads: colour, marker, face


def measured(path: Path) -> dict:
    """Return a report of `stn-ref bench`.

    Raises:
        DamagedFileError: the file is damaged or not a report.
        ValueError: the report lacks a part that the figure needs, or was measured without PyTorch.
    """
    report = schema.read(path, _REPORT, _WHAT)
    counts = tuple(Number(n, n, whole=True) for n in report["threads"])
    parts = {part: [_drawn(part, row, counts) for row in rows] for part, rows in report["parts"].items()}
    schema.expect(path, report, {"parts": parts}, _WHAT)
    for part in NEEDED:
        passes = [row.get("pass") for row in report["parts"].get(part, ()) if "ratio" in row and "error" not in row]
        if not passes or (part == "growth" and not set(PASSES) <= set(passes)):
            raise ValueError(f"{path} has no ratios to PyTorch in its part {part!r}; with torch installed: {AGAIN}")
    return report


def _drawn(part: str, row: dict, counts: tuple) -> dict:
    """Return the schema of a row that the figure draws; `counts`: the schemas of the numbers of threads."""
    if "error" in row:
        return {}
    rated = {"ratio_10_90": [_RATIO, _RATIO], "threads": counts} if "ratio" in row else {}
    return rated | (_GROWN if part == "growth" else {})


def speed() -> Drawing:
    """Draw the speed relative to PyTorch, and the time and memory against the number of pixels."""
    return draw(measured(shipped("figures/bench") / "cpu.json"))


def draw(report: dict) -> Drawing:
    """Return the figure of a report of `stn-ref bench`."""
    fig = style.figure(9.2, 8.6)
    above, below = fig.subfigures(2, 1, height_ratios=(2.4, 1))
    rows = [row for row in report["parts"]["growth"] if "error" not in row]
    numbers, ratios = _draw_growth(*below.subplots(1, 2), rows), []
    for ax, column in zip(above.subplots(1, 2), COLUMNS, strict=True):
        groups = {title: found for title, group in column.items() if (found := _rated(report, *group))}
        numbers |= _draw_ratios(ax, groups, report["threads"])
        rows += (drawn := [row for found in groups.values() for here in found.values() for row in here])
        ratios += [row["ratio"] for row in drawn]
    names = [f"{n} thread{'s' if n > 1 else ''}" for n in report["threads"]]
    names.append("the sampler's kernel alone; grid + sampler as layers")
    looks = [*map(_dot, range(len(report["threads"]))), _bar()]
    above.legend([Line2D([], [], **look) for look in looks], names, loc="outside upper center", ncols=3,
                 fontsize=9, frameon=False)  # fmt: skip
    memory = max(numbers[f"{what} bytes"][-1] for what in PASSES)
    busy = any(row.get("others_cores", 0) >= BUSY for row in rows)
    known = report["environment"]
    return Drawing(
        fig,
        f"Above: dots on logarithmic axes, PyTorch's time over ours, for grid_sample, affine_grid, both together with "
        f"their backwards, and training steps: {sum(ratio >= 1 for ratio in ratios)} of {len(ratios)} at or above 1, "
        f"from {min(ratios):.2f} to {max(ratios):.2f}; bars mark the sampler's kernel alone, and layers. Below: time "
        f"and memory of grid_sample for each pixel, against the number of pixels: most where pixels are few; at the "
        f"end at most {memory:.0f} bytes a pixel.",
        f"Dots: what users call; bars: the kernel alone, or layers. PyTorch {known['torch'].split('+')[0]}'s time over "
        f"ours, {known['processor'].split(' @')[0]}, {report['date']}: medians and 10 to 90 % of rounds in turns."
        f"{' Other programs were running.' if busy else ''}",
        numbers,
    )


def _rated(report: dict, part: str, start: str) -> dict[str, list[dict]]:
    """Return label -> rows with ratios whose names begin with `start`; the label is the rest of the name."""
    found = {}
    for row in report["parts"].get(part, ()):
        if "ratio" in row and row["name"].startswith(start):
            label = " ".join(row["name"].removeprefix(start).split()).replace("->", "→").replace(" x ", " × ")
            found.setdefault(label, []).append(row)
    return found


def _dot(k: int) -> dict:
    """Return the line and marker style for the k-th number of threads."""
    colour, marker, fill = _LOOKS[k % len(_LOOKS)]
    return {"color": style.OKABE_ITO[colour], "marker": marker, "fillstyle": fill, "ms": 5, "mew": 1.3, "lw": 1.6}


def _bar() -> dict:
    """Return the marker style for calls that are timed beside ours."""
    return {"color": style.ink(), "marker": "|", "ms": 8, "mew": 1.3, "ls": "none"}


def _draw_ratios(ax, groups: dict[str, dict], counts: list[int]) -> dict[str, np.ndarray]:
    """Draw a line for each label, a dot for each number of threads; return the ratios with their spread."""
    y, places, labels, titles, numbers = 0.0, [], [], [], {}
    for title, found in groups.items():
        titles.append(len(labels))
        places.append(y)
        labels.append(title)
        for label, here in found.items():
            y += 1
            places.append(y)
            labels.append(label)
            for row in here:
                k = counts.index(row["threads"])
                at = y + 0.22 * (2 * k - len(counts) + 1) * (len(here) > 1)
                beside = [row[key] for key in BESIDE if key in row]
                ax.plot(beside, [at] * len(beside), **_bar())
                ax.plot(row["ratio_10_90"], [at, at], color=_dot(k)["color"], lw=1.6, solid_capstyle="butt")
                ax.plot(row["ratio"], at, **_dot(k), mfcalt="none")
                key = f"{row['name']}, {row['threads']} threads"
                numbers[key] = np.array([row["ratio"], *row["ratio_10_90"], *beside])
        y += 1.6
    ax.axvline(1, color=style.ink(), lw=1, zorder=0)
    shown = np.concatenate([*numbers.values(), [0.5, 2.0]])
    ax.set(xscale="log", xlim=(0.9 * shown.min(), 1.1 * shown.max()), ylim=(y - 0.8, -0.6))
    left, right = ax.get_xlim()
    steps = [step for step in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if left <= step <= right]
    ax.xaxis.set(major_locator=FixedLocator(steps), major_formatter=StrMethodFormatter("{x:g}"))
    ax.xaxis.set(minor_locator=NullLocator(), minor_formatter=NullFormatter())
    ax.grid(axis="x", color=style.ink(), alpha=0.15)
    for k, tick in enumerate(ax.set_yticks(places, labels, size=8)):
        if k in titles:
            tick.label1.set_fontweight("bold")
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("PyTorch's time / ours\n(right of 1 ours is faster)", fontsize=9.5)
    return numbers


def _series(rows: list[dict], what: str, key: str) -> np.ndarray:
    return np.array([row[key] for row in rows if row["pass"] == what and key in row])


def _draw_growth(left, right, rows: list[dict]) -> dict[str, np.ndarray]:
    """Draw time and memory for each pixel; return the numbers."""
    numbers = {"pixels": _series(rows, "forward", "pixels")}
    for what, colour, marker in zip(PASSES, ("blue", "vermillion"), ("o", "s"), strict=True):
        look = {"color": style.OKABE_ITO[colour], "marker": marker, "ms": 5, "lw": 1.6}
        pixels = _series(rows, what, "pixels")
        numbers[f"{what} ns"] = ours = _series(rows, what, "nanoseconds_per_pixel")
        numbers[f"{what} torch ns"] = torch = _series(rows, what, "torch_nanoseconds_per_pixel")
        numbers[f"{what} bytes"] = memory = _series(rows, what, "peak_bytes_per_pixel")
        left.plot(pixels, ours, label=f"{what}, ours", **look)
        if len(torch) == len(pixels):
            left.plot(pixels, torch, label=f"{what}, PyTorch", **look | {"ls": ":", "mfc": left.get_facecolor()})
        right.plot(pixels, memory, label=what, **look)
    left.set(ylabel="ns a pixel", title=f"grid_sample's time, threads: {rows[0]['threads']}")
    right.set(ylabel="bytes a pixel", title="its memory, results included")
    for ax in (left, right):
        ax.set(yscale="log", xlabel="pixels")
        ax.set_xscale("log", base=2)
        ax.set_xticks(numbers["pixels"][::2])
        ax.grid(axis="y", color=style.ink(), alpha=0.15)
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        bottom, top = ax.get_ylim()
        ax.set_ylim(bottom, top * (top / bottom) ** 0.25)  # room for the legend
        ax.legend(fontsize=8.5, frameon=False, loc="upper right", ncols=2)
    return numbers
