"""`stn-ref experiment --results`: stored results beside the paper's numbers, as Markdown for a page.

Reads: ../results/summary.py, and the experiments by their names. This file writes the README's section "Results" from
the files of figures/results.
"""

import importlib
from pathlib import Path

from stn_ref import files
from stn_ref.lab.results.kept import Group
from stn_ref.lab.results.summary import duration, samples_seen, span, standard_error

BEGIN = "<!-- Written by `stn-ref experiment --results --markdown README.md` from figures/results. -->"
END = "<!-- End of what is written. -->"
_OPTIMISERS = {"adam": "Adam", "sgd": "SGD"}


def markdown(groups: dict[Group, list[dict]]) -> list[str]:
    """Return a page: for each experiment its title, its table, and the origin of its numbers.

    Args:
        groups: the return value of kept.groups(..., known=EXPERIMENTS).
    """
    if not groups:
        return ["No results are kept yet."]
    lines = []
    for (name, scale, data), results in groups.items():
        experiment = importlib.import_module(f"stn_ref.lab.experiments.{name}")
        if hasattr(experiment, "markdown"):
            body = experiment.markdown(results)
        else:
            body = ["```", *(line.rstrip() for line in experiment.table(results)), "```"]
        lines += [f"**{experiment.TITLE}** (`{name}`, {scale}, {data} data)", "", *body, "", _provenance(results), ""]
    return lines[:-1]


def insert(path: Path, lines: list[str]) -> None:
    """Replace the lines between BEGIN and END in a file; a missing file is created.

    Raises:
        ValueError: the file does not contain BEGIN and END in this order.
        OSError: the file cannot be read or written.
    """
    there = path.read_text(encoding="utf-8") if path.exists() else f"{BEGIN}\n{END}\n"
    before, begin, rest = there.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path} must hold the lines {BEGIN!r} and {END!r}; the table goes between them")
    text = "\n".join([before + begin, "", *lines, "", end + after])
    files.write(path, text)


def _provenance(results: list[dict]) -> str:
    """Return a paragraph on the origin of the numbers: schedule, standard error, seeds, duration and machine."""
    seeds = sorted({result["seed"] for result in results})
    machines = sorted({result["machine"] for result in results})
    versions = sorted({f"stn_ref {r['versions']['stn_ref']}, NumPy {r['versions']['numpy']}" for r in results})
    days = sorted({result["date"][:10] for result in results})
    took = sum(max(r["seconds"], r["result"].get("training_seconds", 0)) for r in results)
    origin = (
        f"Seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}; {len(results)} "
        f"cell{'s' if len(results) > 1 else ''}, {duration(took)} in all on {'; '.join(machines)}; "
        f"{'; '.join(versions)}; {' to '.join(dict.fromkeys((days[0], days[-1])))}."
    )
    return " ".join([*_schedule(results), *_sureness(results), origin])


def _schedule(results: list[dict]) -> list[str]:
    """Return a sentence that states the training schedule of the trained cells."""
    trained = [r for r in results if {"epochs", "n_train", "optimiser"} <= r["configuration"].keys() and "history" in r]
    if not trained:
        return []

    def of(key: str) -> list:
        return [result["configuration"][key] for result in trained]

    epochs = span(len(result["history"]) for result in trained)
    samples = span([n / 1e6 for n in samples_seen(trained).values()], "{:.2g}")
    configurations = [result["configuration"] for result in trained]
    rates = {
        f"{_OPTIMISERS.get(c['optimiser'], c['optimiser'])} at {c['lr']:g}, {c['schedule']}" for c in configurations
    }
    choosing = [c["n_val"] for c in configurations if c["n_val"] and c.get("watched") != "test"]
    best = f"the one that does best on {span(choosing, '{:,}')} others" if choosing else ""
    last = "the last" if len(choosing) < len(trained) else ""
    return [
        f"Trained for {epochs} epoch{'s' * (epochs != '1')} of {span(of('n_train'), '{:,}')} examples ({samples} "
        f"million samples seen) in batches of {span(of('batch_size'))}, {' or '.join(sorted(rates))}, after up to "
        f"{span(of('warmup'))} steps of warm-up; of the epochs {' or '.join(filter(None, (last, best)))} is tested."
    ]


def _sureness(results: list[dict]) -> list[str]:
    """Return a sentence that states the binomial standard error at the least and the largest error."""
    measured = [(e, r["result"]["n_test"]) for r in results if (e := r["result"].get("test_error_percent")) is not None]
    if not measured:
        return []
    ends = dict.fromkeys((min(measured), max(measured)))
    said = [f"{standard_error(error, n):.2f} points at {error:.2f} %" for error, n in ends]
    return [f"Tested on {span([n for _, n in measured], '{:,}')}: the binomial standard error is {', '.join(said)}."]
