"""The commands of the command line: each calls one function of the package and prints its result.

A command takes the arguments, `note` for progress and `say` for results. It returns (exit status, report for --json).
It imports only the modules that it needs. options.py has already checked which options go together.
"""

from pathlib import Path


def demo(args, note, say):
    """Train a CNN and an ST-CNN side by side."""
    from stn_ref.cli import demo as side_by_side

    report = side_by_side.run(args.out, seed=args.seed, note=note, say=say)
    return (0 if report["gradcheck_passed"] else 1), report


def train(args, note, say):
    """Train one model on one distortion."""
    from dataclasses import fields

    from stn_ref.training import run
    from stn_ref.training.config import Config

    config = Config(**{field.name: getattr(args, field.name) for field in fields(Config)})
    sizes = {"n_train": args.n_train, "n_val": args.n_val, "n_test": args.n_test}
    return 0, run.run(config, data_dir=args.data, out=args.out, resume=args.resume, note=note, say=say, **sizes)


def experiment(args, note, say):
    """Run a published experiment, list the experiments, or show stored results."""
    from stn_ref.lab import experiments
    from stn_ref.lab.experiments import page, run
    from stn_ref.lab.results import kept

    if args.results:
        folder = None if args.out is None else Path(args.out)
        groups = kept.groups(folder, args.name, known=experiments.EXPERIMENTS)
        if args.markdown is not None:
            page.insert(Path(args.markdown), page.markdown(groups))
            note(f"wrote the results into {args.markdown}")
        for line in page.markdown(groups) if args.markdown is None else ():
            say(line)
        return 0, {"results": [result for group in groups.values() for result in group]}
    if args.name is None:
        for name in experiments.EXPERIMENTS:
            say(f"{name:<12} {run.module(name).TITLE}")
        return 0, {"experiments": list(experiments.EXPERIMENTS)}
    options = {option: getattr(args, option) for option in ("seed", "seeds", "only")}
    options |= {"scale": args.scale or "smoke", "data_dir": args.data, "out": args.out or run.OUT}
    if args.list:
        return 0, {"cells": run.listed(args.name, say=say, **options)}
    report = run.run(args.name, again=args.again, weights=args.weights, note=note, say=say, **options)
    return (1 if report["failed"] else 0), report


def gradcheck(args, note, say):
    """Compare every layer's gradients with finite differences."""
    from stn_ref import checks
    from stn_ref.conformance import gradients
    from stn_ref.gradcheck import table

    checks.integer("seed", args.seed)
    note("comparing every gradient with finite differences: about a minute with compilation")
    reports = gradients.check_all(args.seed)
    say(table(reports))
    passed = all(report.passed for report in reports.values())
    say("all gradients agree with finite differences" if passed else "FAILED: see the table")
    return (0 if passed else 1), {
        "passed": passed,
        "layers": {name: report.to_dict() for name, report in reports.items()},
    }


def check(args, note, say):
    """Run the conformance suite."""
    from stn_ref.conformance import report, table

    if args.list:
        return report.list_claims(say)
    options = {"only": args.only, "time_limit": args.time_limit, "say": say}
    if args.peers:
        return table.check_peers(target=args.markdown, note=note, **options)
    return report.check(report.Spec(args.sampler, args.backward, args.tps), **options)


def data(args, note, say):
    """List, fetch or verify data sets."""
    from stn_ref import checks
    from stn_ref.data import download

    if args.action == "list":
        say("procedural  digits that the package draws, any number, 28 x 28: the default, no download")
        for name, known in download.SETS.items():
            say(f"{name:<11} {known.what}: stn-ref data fetch {name}")
        return 0, {"sets": ["procedural", *download.SETS]}
    checks.one_of("name", args.name, download.SETS)
    directory = Path(args.dir or f"data/{args.name}")
    if args.action == "fetch":
        download.fetch(directory, args.name, mirrors=(args.mirror,) if args.mirror else (), say=note)
    elif not directory.is_dir():
        raise NotADirectoryError(f"{directory} is not a directory; give --dir, or fetch the set first")
    report = download.verify(directory, args.name)
    for row in report:
        say(f"{'ok     ' if row['canonical'] else 'differs' if row['ok'] else 'BAD    '} {row['file']}: {row['says']}")
    return (0 if all(row["ok"] for row in report) else 1), {"directory": str(directory), "files": report}


def bench(args, note, say):
    """Measure speed, compared with PyTorch and with the machine's limit."""
    from stn_ref.lab.bench import parts

    report = parts.run(quick=args.quick, only=args.only, n_threads=args.threads, note=note, say=say)
    return (130 if report["interrupted"] else 1 if report["failed"] else 0), report


def info(args, note, say):
    """Show versions, threads, GPU, and the folders of machine code and data."""
    from stn_ref.lab.machine_report import environment

    report = environment()
    for name, value in report.items():
        say(f"{name:<14} {value}")
    return 0, report


def tutorials(args, note, say):
    """List, run, copy or export the tutorials."""
    from stn_ref.cli import tutorials as shelf

    if args.action == "copy":
        if len(args.names) != 1:
            raise ValueError("copy takes one folder for the tutorials: stn-ref tutorials copy DIR")
        return 0, {"copied": shelf.copy(Path(args.names[0]), say)}
    paths = [shelf.find(name) for name in args.names] or shelf.scripts()
    if args.action == "list":
        for path in paths:
            say(f"{path.stem:<24} {shelf.title(path)}")
        say(f"in {shelf.FOLDER}; `stn-ref tutorials copy DIR` copies them to DIR")
        return 0, {"tutorials": [path.stem for path in paths]}
    if args.action == "run":
        return shelf.run(paths, note), {"run": [path.stem for path in paths]}
    if args.check:
        stale = shelf.stale(paths)
        for path in stale:
            say(f"stale: {path.stem}: stn-ref tutorials export {path.stem}")
        return (1 if stale else 0), {"stale": [path.stem for path in stale]}
    return 0, {"exported": shelf.export(paths, note)}


def figures(args, note, say):
    """Draw the figures, find stale ones, or draw the user's own picture."""
    from stn_ref.cli import figures as drawer

    if args.list:
        for name in drawer.chosen(args.names):
            say(f"{name:<20} {drawer.caption(name)}".rstrip())
        return 0, {"figures": drawer.chosen(args.names)}
    if args.image is not None:
        out = Path(args.out or "picture.svg")
        family = args.transform or "affine"
        written = drawer.picture(Path(args.image), family, args.theta, out, size=args.size, dark=args.dark)
        say(str(written))
        return 0, {"written": [str(written)]}
    if args.check:
        found = drawer.stale(args.names, Path(args.out or drawer.FOLDER), note)
        for name, why in found.items():
            say(f"stale: {name}: {why}; stn-ref figures {name}")
        return (1 if found else 0), {"stale": found}
    out, results = Path(args.out or drawer.FOLDER), args.results and Path(args.results)
    options = {"format": args.format, "size": args.size, "dark": args.dark, "results": results}
    written = drawer.regenerate(args.names, out, note=note, **options)
    for path in written:
        say(path)
    return 0, {"written": written}


def explore(args, note, say):
    """Open the explorer."""
    from stn_ref import transforms
    from stn_ref.plotting import explore as window
    from stn_ref.plotting import style
    from stn_ref.plotting.gallery.drawing import digit

    family = transforms.get(args.transform)
    U = digit(args.digit, 40) if args.image is None else style.read_image(args.image)
    window.open_window(U if U.ndim == 2 else U.mean(axis=2), family, note)
    return 0, {"transform": family.name}
