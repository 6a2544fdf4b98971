"""Training curves."""

from matplotlib.figure import Figure

from stn_ref.plotting import style

_LOOKS = (("vermillion", "o", "-"), ("blue", "s", "--"), ("green", "^", "-."), ("purple", "D", ":"))


def error_figure(runs: dict[str, list[dict]], title: str = "") -> Figure:
    """Draw the validation error of several trainings, epoch by epoch, each named at its last point.

    Args:
        runs: name -> rows with "epoch" and "val_accuracy" (History.to_list()).
        title: above the figure.
    """
    with style.styled():
        fig = style.figure(6.4, 3.8)
        ax = fig.subplots()
        for (name, rows), (colour, marker, dash) in zip(runs.items(), _LOOKS, strict=False):
            epochs = [row["epoch"] for row in rows]
            errors = [100 * (1 - row["val_accuracy"]) for row in rows]
            ax.plot(epochs, errors, marker=marker, ls=dash, color=style.OKABE_ITO[colour])
            ax.annotate(
                f"{name}\n{errors[-1]:.1f} %",
                (epochs[-1], errors[-1]),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                color=style.OKABE_ITO[colour],
            )
        ax.set(xlabel="epoch", ylabel="validation error, %", title=title, ylim=(0, None))
        ax.set_xlim(right=ax.get_xlim()[1] * 1.15)
        ax.xaxis.get_major_locator().set_params(integer=True)
    return fig
