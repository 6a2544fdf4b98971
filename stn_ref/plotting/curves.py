"""Training curves.

Reads: style.py.
"""

from matplotlib.figure import Figure

from stn_ref.plotting import style

_LOOKS = (("vermillion", "o", "-"), ("blue", "s", "--"), ("green", "^", "-."), ("purple", "D", ":"))


def error_figure(runs: dict[str, list[dict]], title: str = "") -> Figure:
    """Draw the validation error of several trainings, epoch by epoch, with the name of each at its last point.

    Args:
        runs: name -> rows with "epoch" and "val_accuracy" (History.to_list()).
        title: the title of the figure.

    Raises:
        ValueError: there is no run, or more runs than line styles; a run has no rows, or a row has no validation
            accuracy.
    """
    if not 1 <= len(runs) <= len(_LOOKS):
        raise ValueError(f"runs must hold 1 to {len(_LOOKS)} trainings, one line style each; got {len(runs)}")
    for name, rows in runs.items():
        if not rows:
            raise ValueError(f"runs[{name!r}] must have at least one row; got none")
        for row in rows:
            if row["val_accuracy"] is None:
                raise ValueError(
                    f"runs[{name!r}] must have a val_accuracy in each row; got None in epoch {row['epoch']}: "
                    "it was trained without validation examples"
                )
    errors = {name: [100 * (1 - row["val_accuracy"]) for row in rows] for name, rows in runs.items()}
    top = max(max(curve) for curve in errors.values()) or 1.0  # per cent, if no error is above 0
    looks = _LOOKS[: len(runs)]
    with style.styled():
        fig = style.figure(6.4, 3.8)
        ax = fig.subplots()
        for (name, rows), (colour, marker, dash) in zip(runs.items(), looks, strict=True):
            epochs = [row["epoch"] for row in rows]
            ax.plot(epochs, errors[name], marker=marker, ls=dash, color=style.OKABE_ITO[colour])
        last = max(rows[-1]["epoch"] for rows in runs.values())
        heights = apart([curve[-1] for curve in errors.values()], 0.075 * top)
        for (name, curve), height, (colour, _, _) in zip(errors.items(), heights, looks, strict=True):
            beside = {"xytext": (10, 0), "textcoords": "offset points", "va": "center", "annotation_clip": False}
            ax.annotate(f"{name} {curve[-1]:.1f} %", (last, height), color=style.OKABE_ITO[colour], **beside)
        ax.set(xlabel="epoch", ylabel="validation error, %", title=title, ylim=(0, 1.05 * top))
        ax.set_xlim(right=last + 0.25 * max(1, last - 1))
        ax.xaxis.get_major_locator().set_params(integer=True)
    return fig


def apart(values: list[float], gap: float) -> list[float]:
    """Return the values, moved up where necessary so that labels at them are at least `gap` apart.

    >>> apart([3.0, 1.0, 1.5], 1.0)
    [3.0, 1.0, 2.0]
    """
    moved, floor = list(values), -float("inf")
    for k in sorted(range(len(values)), key=values.__getitem__):
        moved[k] = floor = max(values[k], floor)
        floor += gap
    return moved
