"""The table of `stn-ref bench`: one line a row, and a line a part that sums it up."""

NAME = 52  # columns for the name
HEAD = f"  {'':<{NAME}} threads      ours   PyTorch  ratio (10 to 90 %)     of limit"

EXTRAS = {  # what else a row can hold -> how it reads
    "gigabytes_per_second": "{:.1f} GB/s",
    "gigaflops": "{:.0f} GFLOP/s",
    "images_per_second": "{:,.0f} images/s",
    "nanoseconds_per_pixel": "{:.2f} ns/pixel",
    "peak_bytes_per_pixel": "{:.1f} B/pixel",
    "kept_seconds": "{:.2f} s with kept code",
}
DISTURBED = 0.15  # cores busy with other programs, from which on a row is marked


def _cost(row: dict, whose: str) -> str:
    """Return the time, or where that is what was measured the memory, of ours ("") or PyTorch ("torch_")."""
    if f"{whose}mebibytes" in row:
        return f"{row[f'{whose}mebibytes']:.1f} MiB"
    ms = row.get("torch_ms" if whose else "ours_ms")
    if ms is None:
        return "-"
    return f"{1e3 * ms:.1f} us" if ms < 1 else f"{ms:.2f} ms" if ms < 1000 else f"{ms / 1e3:.2f} s"


def _disturbed(row: dict) -> bool:
    """Return whether times were measured while other programs were busy."""
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
        return f"{start}  runs with the simulator, which tells no time"
    ratio = limit = ""
    if "ratio" in row:
        ratio = f"{row['ratio']:5.2f} ({row['ratio_10_90'][0]:.2f} to {row['ratio_10_90'][1]:.2f})"
    elif "memory_ratio" in row:
        ratio = f"{row['memory_ratio']:5.2f}"
    if "of_limit" in row:
        limit = f"{row['of_limit']:.2f}"
    extras = ", ".join(text.format(row[key]) for key, text in EXTRAS.items() if key in row)
    if _disturbed(row):
        extras = f"{extras}  disturbed: {row['others_cores']:.1f} cores busy".strip()
    times = f"{_cost(row, ''):>9} {_cost(row, 'torch_'):>9}"
    return f"{start} {times}  {ratio:<21} {limit:>6}   {extras}".rstrip()


def total(part: str, rows: list[dict]) -> str:
    """Return what the ratios of a part come to, an empty string if it has none.

    >>> total("steps", [{"name": "fcn", "threads": 2, "ratio": 0.5}, {"name": "cnn", "threads": 2, "ratio": 2.0}])
    'steps: 1 of 2 ratios at least 1; the lowest 0.50 (fcn, 2 threads), the highest 2.00'
    """
    rated = [(row.get("ratio", row.get("memory_ratio")), row) for row in rows if {"ratio", "memory_ratio"} & row.keys()]
    if not rated:
        return ""
    ratios = [ratio for ratio, _ in rated]
    row = min(rated, key=lambda pair: pair[0])[1]
    where = f"{' '.join(row['name'].split())}, {row['threads']} thread{'' if row['threads'] == 1 else 's'}"
    above = sum(ratio >= 1 for ratio in ratios)
    return (
        f"{part}: {above} of {len(rated)} ratios at least 1; the lowest {min(ratios):.2f} ({where}), "
        f"the highest {max(ratios):.2f}"
    )


def disturbance(rows: list[dict]) -> str:
    """Return a warning if other programs kept cores busy meanwhile, an empty string if not.

    >>> disturbance([{"others_cores": 0.0}, {}])
    ''
    """
    disturbed = sum(map(_disturbed, rows))
    if not disturbed:
        return ""
    return f"other programs kept cores busy during {disturbed} of {len(rows)} rows: their ratios say little"
