"""The figure about speed, drawn from what `stn-ref bench --json figures/bench/cpu.json` has measured."""

import json
from pathlib import Path

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from stn_ref.lab.machine_report import shipped
from stn_ref.plotting import style
from stn_ref.plotting.gallery.drawing import Drawing

NEEDED = ("sampler", "steps", "growth")  # parts of the report
PASSES = ("forward", "backward")
LARGE = 2**18  # pixels, from which on they no longer fit into a core's cache
BUSY = 0.15  # cores
AGAIN = "stn-ref bench --json figures/bench/cpu.json"
_LOOKS = [  # of the numbers of threads, in their order: colour, marker, face
    ("blue", "o", "none"),
    ("vermillion", "D", "full"),
]


def measured(path: Path) -> dict:
    """Return a report of `stn-ref bench`.

    Raises:
        ValueError: it lacks a part of the figure, or was measured without PyTorch.
    """
    report = json.loads(path.read_text(encoding="utf-8"))
    for part in NEEDED:
        if not any("ratio" in row for row in report["parts"].get(part, ())):
            raise ValueError(f"{path} has no ratios to PyTorch in its part {part!r}; with torch installed: {AGAIN}")
    return report


def speed() -> Drawing:
    """How many times as fast as PyTorch, and how time and memory grow with the number of pixels."""
    return draw(measured(shipped("bench") / "cpu.json"))


def draw(report: dict) -> Drawing:
    """Return the figure of a report of `stn-ref bench`."""
    fig = style.figure(9.2, 7.0)
    left, right = fig.subfigures(1, 2, width_ratios=(1.42, 1))
    groups = {
        "sampler on N,C,H,W → Ho,Wo": _rated(report["parts"]["sampler"]),
        "training steps": _rated(report["parts"]["steps"]),
    }
    numbers = _draw_ratios(left.subplots(), groups, report["threads"])
    growth = [row for row in report["parts"]["growth"] if "error" not in row]
    numbers |= _draw_growth(*right.subplots(2, 1, sharex=True), growth)
    ratios = [row["ratio"] for rows in groups.values() for row in rows]
    large = numbers["pixels"] >= LARGE
    swing = max(np.ptp(np.log(numbers[f"{what} ns"][large])) for what in PASSES)
    memory = max(numbers[f"{what} bytes"][-1] for what in PASSES)
    busy = any(row.get("others_cores", 0) >= BUSY for rows in (*groups.values(), growth) for row in rows)
    known = report["environment"]
    return Drawing(
        fig,
        f"Left: dots on a logarithmic axis, PyTorch's time over ours, for the sampler and for training steps: "
        f"{sum(ratio >= 1 for ratio in ratios)} of {len(ratios)} at or above 1, from {min(ratios):.2f} to "
        f"{max(ratios):.2f}. Right: time and memory of the sampler for each pixel, against the number of pixels: most "
        f"where pixels are few; at the end at most {memory:.0f} bytes a pixel.",
        f"PyTorch {known['torch'].split('+')[0]}'s time over ours, {known['processor'].split(' @')[0]}, "
        f"{report['date']}: medians and 10 to 90 % of rounds in turns. From {LARGE:,} pixels on the time of one varies "
        f"{np.exp(swing):.1f}-fold.{' Other programs were running.' if busy else ''}",
        numbers,
    )


def _rated(rows: list[dict]) -> list[dict]:
    return [row for row in rows if "ratio" in row]


def _draw_ratios(ax, groups: dict[str, list[dict]], counts: list[int]) -> dict[str, np.ndarray]:
    """Draw a line for each name, a dot for each number of threads; return the ratios with their spread."""
    y, places, labels, titles, numbers, seen = 0.0, [], [], [], {}, {}
    for title, rows in groups.items():
        titles.append(len(labels))
        places.append(y)
        labels.append(title)
        for name in dict.fromkeys(row["name"] for row in rows):
            y += 1
            places.append(y)
            labels.append(" ".join(name.split()).replace("->", "→"))
            here = [row for row in rows if row["name"] == name]
            for row in here:
                k = counts.index(row["threads"])
                colour, marker, fill = _LOOKS[k % len(_LOOKS)]
                at = y + 0.22 * (2 * k - len(counts) + 1) * (len(here) > 1)
                look = {"color": style.OKABE_ITO[colour], "lw": 1.6}
                ax.plot(row["ratio_10_90"], [at, at], **look, solid_capstyle="butt")
                (dot,) = ax.plot(row["ratio"], at, marker, ms=5.5, mew=1.4, **look)
                if fill == "none":
                    dot.set_markerfacecolor(ax.get_facecolor())
                seen[row["threads"]] = dot
                numbers[f"{name}, {row['threads']} threads"] = np.array([row["ratio"], *row["ratio_10_90"]])
        y += 1.6
    ax.axvline(1, color=style.ink(), lw=1, zorder=0)
    low, high = min(n[1] for n in numbers.values()), max(n[2] for n in numbers.values())
    ax.set(xscale="log", xlim=(min(0.45, 0.9 * low), max(2.2, 1.1 * high)), ylim=(y - 0.8, -0.6))
    steps = [
        step for step in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if ax.get_xlim()[0] <= step <= ax.get_xlim()[1]
    ]
    ax.xaxis.set(major_locator=FixedLocator(steps), major_formatter=FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set(minor_locator=NullLocator(), minor_formatter=NullFormatter())
    ax.grid(axis="x", color=style.ink(), alpha=0.15)
    for k, tick in enumerate(ax.set_yticks(places, labels, size=8.5)):
        if k in titles:
            tick.label1.set_fontweight("bold")
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("PyTorch's time / ours\n(right of 1 ours is faster)")
    names = [f"{n} thread{'s' if n > 1 else ''}" for n in sorted(seen)]
    ax.legend([seen[n] for n in sorted(seen)], names, fontsize=9, frameon=False, loc="lower right", ncols=2,
              bbox_to_anchor=(1.0, 1.0), borderaxespad=0.1)  # fmt: skip
    return numbers


def _series(rows: list[dict], what: str, key: str) -> np.ndarray:
    return np.array([row[key] for row in rows if row["pass"] == what and key in row])


def _draw_growth(above, below, rows: list[dict]) -> dict[str, np.ndarray]:
    """Draw time and memory for each pixel; return the numbers."""
    numbers = {"pixels": _series(rows, "forward", "pixels")}
    for what, colour, marker in zip(PASSES, ("blue", "vermillion"), ("o", "s"), strict=True):
        look = {"color": style.OKABE_ITO[colour], "marker": marker, "ms": 5, "lw": 1.6}
        pixels = _series(rows, what, "pixels")
        numbers[f"{what} ns"] = ours = _series(rows, what, "nanoseconds_per_pixel")
        numbers[f"{what} torch ns"] = torch = _series(rows, what, "torch_nanoseconds_per_pixel")
        numbers[f"{what} bytes"] = memory = _series(rows, what, "peak_bytes_per_pixel")
        above.plot(pixels, ours, label=f"{what}, ours", **look)
        if len(torch) == len(pixels):
            above.plot(pixels, torch, label=f"{what}, PyTorch", **look | {"ls": ":", "mfc": above.get_facecolor()})
        below.plot(pixels, memory, label=what, **look)
    above.set(xscale="log", yscale="log", ylabel="ns a pixel", title=f"Sampler's time, threads: {rows[0]['threads']}")
    below.set(yscale="log", xlabel="pixels", ylabel="bytes a pixel", title="Its memory, results included")
    below.set_xscale("log", base=2)
    below.set_xticks(numbers["pixels"][::2])
    for ax in (above, below):
        ax.grid(axis="y", color=style.ink(), alpha=0.15)
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        bottom, top = ax.get_ylim()
        ax.set_ylim(bottom, top * (top / bottom) ** 0.25)  # room for the legend
        ax.legend(fontsize=8.5, frameon=False, loc="upper right", ncols=2)
    return numbers
