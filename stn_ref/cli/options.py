"""The options of every command, and which of them go together."""

import argparse
from collections.abc import Callable

from stn_ref import __version__
from stn_ref.cli import commands

# The forms of a command: its usage, the options that select it, and the other options that it accepts. The first form
# whose selecting options are all given applies.
FORMS = {
    "experiment": (
        ("--results", "results", "name out markdown"),
        ("NAME --list", "name list", "scale data out seed seeds only"),
        ("NAME", "name", "scale data out seed seeds only again weights"),
        ("", "", "list"),
    ),
    "check": (
        ("--list", "list", ""),
        ("--peers", "peers", "only time_limit markdown"),
        ("MODULE:FUNCTION", "sampler", "backward tps only time_limit"),
        ("--tps MODULE:FUNCTION", "tps", "only time_limit"),
    ),
    "data": (("list", "list", ""), ("fetch NAME", "fetch", "name dir mirror"), ("verify NAME", "verify", "name dir")),
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
    """Raise ValueError if this form of the command would ignore a given option, or if no form applies."""
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
        """Exit with status 2 and one line, without argparse's ten lines of usage."""
        self.exit(2, f"{self.prog}: error: {message}; see {self.prog} --help\n")


def _filled(text: str) -> str:
    """Return a name or a path; refuse the empty text that an unset variable of the shell gives."""
    if not text:
        raise argparse.ArgumentTypeError("expected a name or a path, got an empty text")
    return text


class _CommandParser(_Parser):
    """The parser of one command: names may also follow an option, as in `figures --check kinks`."""

    inside = False

    def __init__(self, **options):
        super().__init__(**options)
        self.register("type", None, _filled)  # for arguments without a type

    def parse_known_args(self, args=None, namespace=None):
        """Parse names and options in any order, which argparse calls intermixed; it calls this method again."""
        if self.inside:
            return super().parse_known_args(args, namespace)
        self.inside = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.inside = False


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; the attribute `call` of its result is the command's function."""
    whole = _Parser(
        prog="stn-ref",
        description="The executable reference for Spatial Transformer Networks (Jaderberg et al. 2015).",
    )
    whole.add_argument("--version", action="version", version=f"stn-ref {__version__}")
    subparsers = whole.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_CommandParser)

    def add(name: str, call: Callable, what: str, *, seed: bool = False) -> argparse.ArgumentParser:
        command = subparsers.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        command.set_defaults(call=call, parser=command)
        if seed:
            command.add_argument("--seed", type=int, default=0, help="seed of every random choice (default: 0)")
        command.add_argument("--json", metavar="FILE", help="write the numbers to FILE; - is standard output")
        command.add_argument(
            "--threads",
            type=int,
            metavar="N",
            help="number of threads, changes no result (default: NUMBA_NUM_THREADS, OMP_NUM_THREADS or all cores)",
        )
        return command

    demo = add(
        "demo", commands.demo, "train a CNN and an ST-CNN side by side and draw what the transformer does", seed=True
    )
    demo.add_argument("--out", default="runs/demo", help="folder of the page (default: runs/demo)")

    train = add("train", commands.train, "train one model on one distortion", seed=True)
    _add_training_options(train)

    add("gradcheck", commands.gradcheck, "compare every layer's gradients with finite differences", seed=True)

    check = add("check", commands.check, "run the conformance suite on a sampler of yours or of any library")
    _add_check_options(check)

    data = add("data", commands.data, "list, fetch or verify data sets")
    data.add_argument(
        "action",
        choices=("list", "fetch", "verify"),
        help="list: show the known data sets; fetch: download missing files; verify: read the files and compare their "
        "SHA-256 (status 1 if a file is unusable, 0 if it is usable but differs)",
    )
    data.add_argument("name", nargs="?", default="mnist", help="the data set (default: mnist)")
    data.add_argument("--dir", help="folder of the data set (default: data/NAME)")
    data.add_argument("--mirror", metavar="URL", help="fetch: address of a directory with the files, tried first")

    experiment = add("experiment", commands.experiment, "run a published experiment at a declared scale", seed=True)
    _add_experiment_options(experiment)

    bench = add("bench", commands.bench, "measure speed, compared with PyTorch, if installed, and the machine's limit")
    _add_bench_options(bench)

    tutorials = add("tutorials", commands.tutorials, "list, run, copy or export the tutorials")
    tutorials.add_argument(
        "action",
        choices=("list", "run", "copy", "export"),
        help="list: show the titles; run NAME: run the script; copy DIR: copy scripts and notebooks to DIR; export: "
        "run the scripts and write the notebooks (needs stn-ref[tutorials])",
    )
    tutorials.add_argument("names", nargs="*", metavar="NAME", help="for example 06 or 06_kinks; copy: the folder")
    tutorials.add_argument("--check", action="store_true", help="export: only list stale notebooks (status 1)")

    _add_figure_options(add("figures", commands.figures, "draw the figures, or your own picture under a transform"))

    explore = add("explore", commands.explore, "open a window in which you change theta with the mouse")
    explore.add_argument("--transform", default="affine", help="a family (default: affine); tps: drag the points")
    explore.add_argument("--digit", type=int, choices=range(10), default=3, help="which digit (default: 3)")
    explore.add_argument("--image", metavar="FILE", help="your own picture, converted to grey")

    add("info", commands.info, "show versions, threads, GPU, and the folders of machine code and data")
    return whole


def _add_figure_options(figures: argparse.ArgumentParser) -> None:
    figures.add_argument("names", nargs="*", metavar="NAME", help="figures to draw (default: all)")
    figures.add_argument("--list", action="store_true", help="list the figures")
    figures.add_argument("--check", action="store_true", help="list stale files (status 1)")
    figures.add_argument("--out", metavar="PATH", help="folder (default: figures); with --image a file (picture.svg)")
    figures.add_argument("--format", choices=("svg", "png", "pdf"), help="file format (default: each figure's own)")
    figures.add_argument("--size", nargs=2, type=float, metavar=("W", "H"), help="inches (default: each figure's own)")
    figures.add_argument(
        "--results",
        metavar="DIR",
        help="folder of your results, for invariance, overhead, results or cifar10; needs --out",
    )
    figures.add_argument("--dark", action="store_true", help="light lines on a dark background")
    figures.add_argument("--image", metavar="FILE", help="draw your own picture under a transform")
    figures.add_argument("--transform", metavar="FAMILY", help="transform family of --image (default: affine)")
    figures.add_argument(
        "--theta", type=str, default="", help='parameters of the transform: "1 0.3 0 0 1 0" (default: identity)'
    )


def _add_bench_options(bench: argparse.ArgumentParser) -> None:
    bench.epilog = (
        "The run takes about ten minutes and needs an otherwise idle machine. A row that fails shows the error, and "
        "the other rows continue. Ctrl-C keeps the finished rows (status 130). Without --threads the parts machine, "
        "sampler and grid run on one thread and on all threads."
    )
    bench.add_argument("--quick", action="store_true", help="a few rows, a fraction of a second each: half a minute")
    parts = "machine, sampler, grid, modes, layers, steps, growth, memory, startup, cuda (needs a GPU)"
    bench.add_argument("--only", **SEVERAL, metavar="PART", help=f"parts to run: {parts}")


def _add_experiment_options(experiment: argparse.ArgumentParser) -> None:
    from stn_ref.lab.experiments import EXPERIMENTS, SCALES

    experiment.epilog = (
        "Each cell of an experiment is a file in --out, and existing cells are not computed again. After a stop the "
        "same command continues from there. Several processes may share one folder. A cell whose training diverges "
        "does not stop the others (status 1)."
    )
    experiment.add_argument("name", nargs="?", metavar="NAME", help=f"{', '.join(EXPERIMENTS)} (none: list them)")
    experiment.add_argument(
        "--scale",
        choices=SCALES,
        help="smoke: seconds, a quick test; small: hours, to compare with the paper; paper: days, the paper's schedule "
        "(default: smoke)",
    )
    experiment.add_argument(
        "--data",
        metavar="DIR",
        help="folder of the data, or `procedural` (default: procedural for smoke, else data/mnist or data/cifar10)",
    )
    experiment.add_argument("--out", metavar="DIR", help="folder of the results (default: runs/experiments)")
    experiment.add_argument("--seeds", type=int, default=1, metavar="N", help="N seeds from --seed on (default: 1)")
    experiment.add_argument("--only", **SEVERAL, metavar="CELL", help="cells: st-cnn-affine/R or 'st-cnn-*/R'")
    experiment.add_argument("--again", action="store_true", help="recompute existing cells and overwrite them")
    experiment.add_argument("--weights", metavar="DIR", help="folder for the best weights of the nets that are trained")
    experiment.add_argument("--list", action="store_true", help="list the cells of NAME, and which of them exist")
    experiment.add_argument(
        "--results",
        action="store_true",
        help="compute nothing; show the results in --out (default: those of the package) beside the paper's",
    )
    experiment.add_argument(
        "--markdown",
        metavar="FILE",
        help="with --results: write them between the markers in FILE, not to standard output",
    )


def _add_check_options(check: argparse.ArgumentParser) -> None:
    module = "MODULE:FUNCTION"
    check.add_argument(
        "sampler",
        nargs="?",
        metavar=module,
        help="F(U, grid, *, mode, padding_mode, align_corners) -> V; F may have fewer options; or FILE.py:FUNCTION",
    )
    check.add_argument("--backward", metavar=module, help="its gradient, G(U, grid, gV, same options) -> (gU, ggrid)")
    check.add_argument("--tps", metavar=module, help="a spline, S(control_points, destinations, xy) -> mapped xy")
    check.add_argument(
        "--only", action="extend", nargs="+", metavar="CLAIM", help="only these claims, named as by --list"
    )
    check.add_argument("--time-limit", type=float, default=60.0, metavar="S", help="seconds per claim (default: 60)")
    check.add_argument("--list", action="store_true", help="list the claims")
    check.add_argument("--peers", action="store_true", help="check this package and every known installed library")
    check.add_argument("--markdown", metavar="FILE", help="file for the table of --peers (default: standard output)")


def _add_training_options(train: argparse.ArgumentParser) -> None:
    from stn_ref import models, transforms
    from stn_ref.training.config import OPTIMISERS, SCHEDULES, Config

    def add(option: str, what: str, *aliases: str, **more) -> None:
        default = getattr(Config, option.lstrip("-").replace("-", "_"))
        kind = {} if "choices" in more else {"type": type(default)}
        train.add_argument(option, *aliases, default=default, help=f"{what} (default: %(default)s)", **kind, **more)

    plain, families = models.BACKBONES, ", ".join(transforms.FAMILIES)
    kinds = ", ".join([*plain, *(f"st-{backbone}-FAMILY" for backbone in plain)])
    add("--model", f"{kinds}; FAMILY is one of {families}; or tutorial, the net of PyTorch's tutorial, for 28x28")
    add(
        "--distortion",
        "none; R: rotation; RTS: rotation, scale and translation in 42x42; P: projective; E: elastic; TC: translation "
        "in 60x60 with six patches of clutter; TC16: sixteen",
    )
    train.add_argument("--data", metavar="DIR", help="folder of MNIST's four files (default: procedural digits)")
    add("--epochs", "passes over the training set", metavar="N")
    add("--batch-size", "examples per step", metavar="N")
    add("--optimiser", "update rule", "--optimizer", choices=OPTIMISERS)
    add("--momentum", "Nesterov momentum of sgd; 0: none", metavar="X")
    add("--lr", "the highest learning rate", metavar="X")
    add("--schedule", "schedule of the learning rate", choices=SCHEDULES)
    add("--warmup", "steps over which the learning rate rises", metavar="N")
    add("--dropout", "dropout rate of inputs of the classifier's fully-connected layers, not of pixels", metavar="P")
    add("--weight-decay", "L2 regularisation of weights, not of biases", metavar="X")
    add(
        "--consistency",
        "factor of a loss on changes of the transformer's output when the image is rotated, scaled and shifted; not in "
        "the paper; 0: none",
        metavar="X",
    )
    add("--clip", "largest norm of the gradient; 0: no limit", metavar="X")
    add("--localisation-lr-scale", "factor on the localisation net's learning rate", metavar="X")
    add("--patience", "early stopping after N epochs without better validation accuracy; 0: never", metavar="N")
    for part, sizes in (("train", "10000, MNIST 55000"), ("val", "1000, MNIST 5000"), ("test", "2000, MNIST 10000")):
        train.add_argument(f"--n-{part}", type=int, metavar="N", help=f"images of the {part} set (default: {sizes})")
    train.add_argument(
        "--out", metavar="DIR", help="folder of the checkpoint (default: runs/MODEL-DISTORTION-DATA-seedSEED)"
    )
    train.add_argument("--resume", action="store_true", help="continue from the checkpoint in --out, bit for bit")
