"""The options of every command, and which of them go together."""

import argparse
from collections.abc import Callable

from stn_ref import __version__
from stn_ref.cli import commands

# The forms of a command: how it is written, the options that decide for it, and the other options that it uses. The
# first form whose deciding options are all given is the one meant.
FORMS = {
    "experiment": (
        ("--results", "results", "name out markdown"),
        ("NAME --list", "name list", "scale data out seed seeds only"),
        ("NAME", "name", "scale data out seed seeds only again"),
        ("", "", "list"),
    ),
    "check": (
        ("--list", "list", ""),
        ("--peers", "peers", "only time_limit markdown"),
        ("MODULE:FUNCTION", "sampler", "backward tps only time_limit"),
        ("--tps MODULE:FUNCTION", "tps", "only time_limit"),
    ),
    "data": (("list", "list", ""), ("fetch NAME", "fetch", "name dir"), ("verify NAME", "verify", "name dir")),
    "tutorials": (
        ("list", "list", "names"),
        ("run NAME", "run names", ""),
        ("copy DIR", "copy names", ""),
        ("export", "export", "names check"),
    ),
    "figures": (
        ("--list", "list", "names"),
        ("--image FILE", "image", "transform theta out size dark"),
        ("--check", "check", "names out"),
        ("NAME --out FOLDER", "names out", "format size dark results"),
        ("--out FOLDER", "out", "format size dark"),
        ("NAME", "", "names"),
    ),
    "explore": (("--image FILE", "image", "transform"), ("--digit D", "", "transform digit")),
}
SEVERAL = {"action": "extend", "nargs": "+", "default": []}  # an option that takes names and may be repeated
POSITIONAL = {"name": "NAME", "names": "NAME", "sampler": "MODULE:FUNCTION"}


def refuse_ignored(args: argparse.Namespace) -> None:
    """Raise ValueError if an option is given that this form of the command would ignore, or if no form fits."""
    forms = [(form, set(deciding.split()), set(used.split())) for form, deciding, used in FORMS.get(args.command, ())]
    options = vars(args).keys() - {"command", "call", "parser", "json", "threads", "action"}
    given = {option for option in options if getattr(args, option) not in (args.parser.get_default(option), [])}
    for form, deciding, used in forms:
        if deciding <= given | {getattr(args, "action", "")}:
            if ignored := given - deciding - used:
                left_out = ", ".join(sorted(POSITIONAL.get(name, f"--{name.replace('_', '-')}") for name in ignored))
                others = _either(args.command, [form for form, *uses in forms if ignored <= set.union(*uses)])
                either = f", or write {others}" if others else ""
                raise ValueError(f"leave {left_out} out of {_either(args.command, [form])}{either}")
            return
    if forms:
        raise ValueError(f"write {_either(args.command, [form for form, *_ in forms])}")


def _either(command: str, forms: list[str]) -> str:
    """Return forms of a command as "`check --list` or `check --peers`"."""
    return " or ".join(f"`{f'{command} {form}'.strip()}`" for form in forms)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        """Exit with status 2 and one line, without argparse's ten lines of usage above it."""
        self.exit(2, f"{self.prog}: error: {message}; {self.prog} --help lists what there is\n")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; the namespace that it makes holds the command's function as `call`."""
    whole = _Parser(
        prog="stn-ref",
        description="The executable reference for Spatial Transformer Networks (Jaderberg et al. 2015).",
    )
    whole.add_argument("--version", action="version", version=f"stn-ref {__version__}")
    subparsers = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, call: Callable, what: str, *, seed: bool = False) -> argparse.ArgumentParser:
        command = subparsers.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        command.set_defaults(call=call, parser=command)
        if seed:
            command.add_argument("--seed", type=int, default=0, help="decides every random choice (default: 0)")
        command.add_argument("--json", metavar="FILE", help="write the numbers to FILE; - is standard output")
        command.add_argument(
            "--threads",
            type=int,
            metavar="N",
            help="threads to use; no result depends on it (default: NUMBA_NUM_THREADS, OMP_NUM_THREADS or all cores)",
        )
        return command

    demo = add(
        "demo", commands.demo, "train a CNN and an ST-CNN side by side and draw what the transformer does", seed=True
    )
    demo.add_argument("--out", default="runs/demo", help="where the page goes (default: runs/demo)")

    train = add("train", commands.train, "train one model on one distortion", seed=True)
    _add_training_options(train)

    add("gradcheck", commands.gradcheck, "compare every layer's gradients with finite differences", seed=True)

    check = add("check", commands.check, "run the conformance suite against a sampler, yours or anybody's")
    _add_check_options(check)

    data = add("data", commands.data, "list, fetch or verify data sets")
    data.add_argument(
        "action",
        choices=("list", "fetch", "verify"),
        help="list: what is known; fetch: download what is missing; verify: read the files, compare their SHA-256 "
        "(status 1 if one cannot be used; one that can, but differs, is status 0)",
    )
    data.add_argument("name", nargs="?", default="mnist", help="the data set (default: mnist)")
    data.add_argument("--dir", help="where it is, or where it goes (default: data/NAME)")

    experiment = add("experiment", commands.experiment, "run a published experiment at a declared scale", seed=True)
    _add_experiment_options(experiment)

    bench = add("bench", commands.bench, "measure speed, against PyTorch if it is installed and the machine's limit")
    _add_bench_options(bench)

    tutorials = add("tutorials", commands.tutorials, "list, run, copy or export the tutorials")
    tutorials.add_argument(
        "action",
        choices=("list", "run", "copy", "export"),
        help="list: what there is; run NAME: as a script; copy DIR: the scripts and notebooks, to work on; export: run "
        "them and write the notebooks (needs stn-ref[tutorials])",
    )
    tutorials.add_argument("names", nargs="*", metavar="NAME", help="such as 06 or 06_kinks; for copy the folder")
    tutorials.add_argument("--check", action="store_true", help="export: only say which notebooks are stale (status 1)")

    _add_figure_options(add("figures", commands.figures, "draw the figures, or your own picture under a transform"))

    explore = add("explore", commands.explore, "open a window in which theta can be moved")
    explore.add_argument("--transform", default="affine", help="a family (default: affine); tps: drag its points")
    explore.add_argument("--digit", type=int, choices=range(10), default=3, help="which digit (default: 3)")
    explore.add_argument("--image", metavar="FILE", help="your own picture instead, as grey values")

    add("info", commands.info, "show versions, threads and where data is looked for")
    return whole


def _add_figure_options(figures: argparse.ArgumentParser) -> None:
    figures.add_argument("names", nargs="*", metavar="NAME", help="which figures (default: all)")
    figures.add_argument("--list", action="store_true", help="list them")
    figures.add_argument("--check", action="store_true", help="say which files are stale (status 1)")
    figures.add_argument("--out", metavar="PATH", help="folder (default: figures); with --image a file (picture.svg)")
    figures.add_argument("--format", choices=("svg", "png", "pdf"), help="instead of each figure's own")
    figures.add_argument("--size", nargs=2, type=float, metavar=("W", "H"), help="in inches, instead of its own")
    figures.add_argument(
        "--results",
        metavar="DIR",
        help="draw invariance, overhead, results or cifar10 from your own, such as runs/experiments; needs --out",
    )
    figures.add_argument("--dark", action="store_true", help="light lines on dark paper")
    figures.add_argument("--image", metavar="FILE", help="your own picture")
    figures.add_argument("--transform", metavar="FAMILY", help="of your picture (default: affine)")
    figures.add_argument("--theta", default="", help='its parameters, such as "1 0.3 0 0 1 0" (default: the identity)')


def _add_bench_options(bench: argparse.ArgumentParser) -> None:
    bench.epilog = (
        "Takes about ten minutes and needs an otherwise idle machine. A row that fails says why and the others go on; "
        "Ctrl-C keeps the rows so far (status 130). Without --threads machine, sampler and grid run on one thread "
        "and on all."
    )
    bench.add_argument("--quick", action="store_true", help="a few rows, a fraction of a second each: half a minute")
    parts = "machine, sampler, grid, modes, layers, steps, growth, memory, startup, cuda (needs a GPU)"
    bench.add_argument("--only", **SEVERAL, metavar="PART", help=f"only these: {parts}")


def _add_experiment_options(experiment: argparse.ArgumentParser) -> None:
    from stn_ref.lab.experiments import EXPERIMENTS, SCALES

    experiment.epilog = (
        "Every cell of an experiment is a file of its own in --out; what is there is not computed again. Killed or "
        "interrupted, the same command goes on from where it was. Several processes may work on one folder at a time. "
        "A cell whose training diverges does not stop the others (status 1)."
    )
    experiment.add_argument("name", nargs="?", metavar="NAME", help=f"{', '.join(EXPERIMENTS)} (none: list them)")
    experiment.add_argument(
        "--scale",
        choices=SCALES,
        help="smoke: seconds, to see it run; small: hours, for the paper's numbers; paper: its schedule, days "
        "(default: smoke)",
    )
    experiment.add_argument(
        "--data",
        metavar="DIR",
        help="the directory of the data, or `procedural` (default: that for smoke, else data/mnist or data/cifar10)",
    )
    experiment.add_argument("--out", metavar="DIR", help="folder of the results (default: runs/experiments)")
    experiment.add_argument("--seeds", type=int, default=1, metavar="N", help="N seeds, from --seed on (default: 1)")
    experiment.add_argument("--only", **SEVERAL, metavar="CELL", help="such as st-cnn-affine/R or 'st-cnn-*/R'")
    experiment.add_argument("--again", action="store_true", help="compute also what is there, and replace it")
    experiment.add_argument("--list", action="store_true", help="list the cells of NAME, and which of them are there")
    experiment.add_argument(
        "--results",
        action="store_true",
        help="compute nothing: the results in --out (default: those that come with the package) beside the paper's",
    )
    experiment.add_argument(
        "--markdown",
        metavar="FILE",
        help="with --results: write them between the marks in FILE, not to standard output",
    )


def _add_check_options(check: argparse.ArgumentParser) -> None:
    module = "MODULE:FUNCTION"
    check.add_argument(
        "sampler",
        nargs="?",
        metavar=module,
        help="F(U, grid, *, mode, padding_mode, align_corners) -> V, or with fewer options; or FILE.py:FUNCTION",
    )
    check.add_argument("--backward", metavar=module, help="its gradient, G(U, grid, gV, same options) -> (gU, ggrid)")
    check.add_argument("--tps", metavar=module, help="a spline, S(control_points, destinations, xy) -> mapped xy")
    check.add_argument(
        "--only", action="extend", nargs="+", metavar="CLAIM", help="only these claims, named as by --list"
    )
    check.add_argument("--time-limit", type=float, default=60.0, metavar="S", help="seconds a claim (default: 60)")
    check.add_argument("--list", action="store_true", help="list the claims")
    check.add_argument("--peers", action="store_true", help="judge ours and every known library that is installed")
    check.add_argument("--markdown", metavar="FILE", help="where the table of --peers goes (default: standard output)")


def _add_training_options(train: argparse.ArgumentParser) -> None:
    from stn_ref import models, transforms
    from stn_ref.training.config import OPTIMISERS, SCHEDULES, Config

    def add(option: str, what: str, *aliases: str, **more) -> None:
        default = getattr(Config, option.lstrip("-").replace("-", "_"))
        kind = {} if "choices" in more else {"type": type(default)}
        train.add_argument(option, *aliases, default=default, help=f"{what} (default: %(default)s)", **kind, **more)

    plain, families = models.BACKBONES, ", ".join(transforms.FAMILIES)
    kinds = ", ".join([*plain, *(f"st-{backbone}-FAMILY" for backbone in plain)])
    add("--model", f"{kinds}; FAMILY is one of {families}; or tutorial, PyTorch's, for 28x28")
    add(
        "--distortion",
        "none; R: rotated; RTS: rotated, scaled, anywhere in 42x42; P: as seen by a camera; E: bent; TC: in 60x60 "
        "among clutter",
    )
    train.add_argument("--data", metavar="DIR", help="directory of MNIST's four files (default: procedural digits)")
    add("--epochs", "passes over the training set", metavar="N")
    add("--batch-size", "examples a step", metavar="N")
    add("--optimiser", "for sgd see --momentum", "--optimizer", choices=OPTIMISERS)
    add("--momentum", "of sgd, Nesterov's; 0: none", metavar="X")
    add("--lr", "the highest learning rate", metavar="X")
    add("--schedule", "of the learning rate", choices=SCHEDULES)
    add("--warmup", "steps over which the rate rises", metavar="N")
    add("--dropout", "of units before fully-connected layers of the classifier, not of pixels", metavar="P")
    add("--weight-decay", "L2 regularisation of weights, not of biases", metavar="X")
    add(
        "--consistency",
        "factor of a loss that wants the view unchanged where the image is turned, scaled and shifted; for nets with "
        "a transformer; not in the paper; 0: none",
        metavar="X",
    )
    add("--clip", "largest norm of the gradient; 0: any", metavar="X")
    add("--localisation-lr-scale", "factor on the localisation net's learning rate", metavar="X")
    add("--patience", "early stopping, after so many epochs without better validation accuracy; 0: never", metavar="N")
    for part, sizes in (("train", "10000, MNIST 55000"), ("val", "1000, MNIST 5000"), ("test", "2000, MNIST 10000")):
        train.add_argument(f"--n-{part}", type=int, metavar="N", help=f"images of the {part} set (default: {sizes})")
    train.add_argument(
        "--out", metavar="DIR", help="where the checkpoint goes (default: runs/MODEL-DISTORTION-DATA-seedSEED)"
    )
    train.add_argument("--resume", action="store_true", help="continue the checkpoint there, bit for bit")
