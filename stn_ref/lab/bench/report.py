"""The table of `stn-ref bench`: one line for each row, and one summary line for each part."""

import math

NAME = 52  # columns for the name
HEAD = f"  {'':<{NAME}} threads      ours   PyTorch  ratio (10 to 90 %)     of limit"

BESIDE = {"kernel": "kernel alone", "layers": "as layers"}  # calls timed in the same turns as ours
EXTRAS = {  # other numbers of a row -> their format
    "gigabytes_per_second": "{:.1f} GB/s",
    "gigaflops": "{:.0f} GFLOP/s",
    "images_per_second": "{:,.0f} images/s",
    "nanoseconds_per_pixel": "{:.2f} ns/pixel",
    "peak_bytes_per_pixel": "{:.1f} B/pixel",
    "kept_seconds": "{:.2f} s with kept code",
}
DISTURBED = 0.15  # cores busy with other programs: at or above this a row is marked


def _cost(row: dict, whose: str) -> str:
    """Return the time of a call as text, or its memory if that was measured."""
    if (mebibytes := row.get("torch_mebibytes" if whose == "torch" else "mebibytes")) is not None:
        return f"{mebibytes:.1f} MiB"
    ms = row.get(f"{whose}_ms")
    if ms is None:
        return "-"
    return f"{1e3 * ms:.1f} us" if ms < 1 else f"{ms:.2f} ms" if ms < 1000 else f"{ms / 1e3:.2f} s"


def _disturbed(row: dict) -> bool:
    """Return whether other programs were busy while the times were measured."""
    return "ours_ms" in row and row.get("others_cores", 0) >= DISTURBED


def line(row: dict) -> str:
    """Return one row as a line.

    >>> line({"name": "ReLU", "threads": 1, "error": "MemoryError: no room"}).split()
    ['ReLU', '1', 'FAILED', 'MemoryError:', 'no', 'room']
    """
    start = f"  {row['name']:<{NAME}} {row['threads']:>7}"
    if "error" in row:
        return f"{start}  FAILED {row['error']}"
    if row.get("simulated"):
        return f"{start}  runs with the simulator, which measures no time"
    ratio = limit = ""
    if "ratio" in row:
        ratio = f"{row['ratio']:5.2f} ({row['ratio_10_90'][0]:.2f} to {row['ratio_10_90'][1]:.2f})"
    elif "memory_ratio" in row:
        ratio = f"{row['memory_ratio']:5.2f}"
    if "of_limit" in row:
        limit = f"{row['of_limit']:.2f}"
    extras = [text.format(row[key]) for key, text in EXTRAS.items() if key in row]
    for name, text in BESIDE.items():
        if f"{name}_ms" in row:
            rated = f" (ratio {row[f'{name}_ratio']:.2f})" if f"{name}_ratio" in row else ""
            extras.append(f"{text} {_cost(row, name)}{rated}")
    if _disturbed(row):
        extras.append(f"disturbed: {row['others_cores']:.1f} cores busy")
    times = f"{_cost(row, 'ours'):>9} {_cost(row, 'torch'):>9}"
    return f"{start} {times}  {ratio:<21} {limit:>6}   {', '.join(extras)}".rstrip()


def total(part: str, rows: list[dict]) -> str:
    """Return a summary of the ratios of a part, or an empty string if it has none.

    >>> total("steps", [{"name": "fcn", "threads": 2, "ratio": 0.5}, {"name": "cnn", "threads": 2, "ratio": 2.0}])
    'steps: 1 of 2 ratios at least 1, geometric mean 1.00; the lowest 0.50 (fcn, 2 threads), the highest 2.00'
    """
    rated = [(row.get("ratio", row.get("memory_ratio")), row) for row in rows if {"ratio", "memory_ratio"} & row.keys()]
    if not rated:
        return ""
    ratios = [ratio for ratio, _ in rated]
    row = min(rated, key=lambda pair: pair[0])[1]
    where = f"{' '.join(row['name'].split())}, {row['threads']} thread{'' if row['threads'] == 1 else 's'}"
    return (
        f"{part}: {sum(ratio >= 1 for ratio in ratios)} of {len(rated)} ratios at least 1, geometric mean "
        f"{math.prod(ratios) ** (1 / len(ratios)):.2f}; the lowest {min(ratios):.2f} ({where}), "
        f"the highest {max(ratios):.2f}"
    )


def disturbance(rows: list[dict]) -> str:
    """Return a warning if other programs kept cores busy during some rows, else an empty string.

    >>> disturbance([{"others_cores": 0.0}, {}])
    ''
    """
    disturbed = sum(map(_disturbed, rows))
    if not disturbed:
        return ""
    return f"other programs kept cores busy during {disturbed} of {len(rows)} rows: do not trust their ratios"
