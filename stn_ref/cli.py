"""The command line: every command is one call into the package.

Exit status: 0; 1, a check failed; 2, bad arguments or bad input, in one clear line. Progress goes to standard error.
"""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from stn_ref import __version__

BAD_INPUT = (ValueError, TypeError, OSError, ImportError, OverflowError)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stn-ref",
        description="The executable reference for Spatial Transformer Networks (Jaderberg et al. 2015).",
    )
    parser.add_argument("--version", action="version", version=f"stn-ref {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, call: Callable, what: str, *, seed: bool = False) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        command.set_defaults(call=call)
        if seed:
            command.add_argument("--seed", type=int, default=0, help="decides every random choice (default: 0)")
        command.add_argument("--json", metavar="FILE", help="write the numbers to FILE; - is standard output")
        command.add_argument(
            "--threads", type=int, metavar="N", help="threads to use; results do not depend on it (default: all cores)"
        )
        return command

    demo = add("demo", _demo, "train a CNN and an ST-CNN side by side and draw what the transformer does", seed=True)
    demo.add_argument("--out", default="runs/demo", help="where the page goes (default: runs/demo)")

    train = add("train", _train, "train one model on one distortion", seed=True)
    _add_training_options(train)

    add("gradcheck", _gradcheck, "compare every layer's gradients with finite differences", seed=True)

    data = add("data", _data, "list, fetch or verify data sets")
    data.add_argument("action", choices=("list", "fetch", "verify"))
    data.add_argument("name", nargs="?", default="mnist", help="the data set (default: mnist)")
    data.add_argument("--dir", help="where it is, or where it goes (default: data/NAME)")

    bench = add("bench", _bench, "time training steps and the sampler, against PyTorch if it is installed")
    bench.add_argument("--quick", action="store_true", help="fewer sizes and repetitions")

    add("info", _info, "show versions, threads and where data is looked for")
    return parser


def _add_training_options(train: argparse.ArgumentParser) -> None:
    train.add_argument("--model", default="st-cnn-affine", help="fcn, cnn, st-fcn-affine, ... (default: %(default)s)")
    train.add_argument("--distortion", default="R", help="R, RTS, TC or none (default: %(default)s)")
    train.add_argument("--data", metavar="DIR", help="directory of MNIST's four files (default: procedural digits)")
    train.add_argument("--epochs", type=int, help="passes over the training set (default: 5)")
    train.add_argument("--batch-size", type=int, help="examples a step (default: 32)")
    train.add_argument("--optimizer", choices=("sgd", "adam"), help="sgd has Nesterov momentum 0.9 (default: adam)")
    train.add_argument("--lr", type=float, help="highest learning rate (default: 0.002)")
    train.add_argument("--schedule", choices=("cosine", "step", "constant"), help="of the rate (default: cosine)")
    train.add_argument("--warmup", type=int, metavar="N", help="steps over which the rate rises (default: 300)")
    train.add_argument("--weight-decay", type=float, help="(default: 0)")
    train.add_argument("--clip", type=float, help="largest norm of the gradient, 0: any (default: 5)")
    train.add_argument("--localisation-lr-scale", type=float, help="factor on its learning rate (default: 1)")
    train.add_argument("--patience", type=int, help="stop after so many epochs without improvement (default: never)")
    for name in ("train", "val", "test"):
        train.add_argument(f"--n-{name}", type=int, metavar="N", help=f"how many images to use as {name} set")
    train.add_argument("--out", help="where the checkpoint goes (default: runs/MODEL-DISTORTION-DATA-seedSEED)")
    train.add_argument("--resume", action="store_true", help="continue the checkpoint there, bit for bit")


# Commands: each takes the arguments and `say`, returns (exit status, report for --json).


def _demo(args, say):
    from stn_ref import demo

    report = demo.run(args.out, seed=args.seed, say=say)
    return (0 if report["gradcheck_passed"] else 1), report


def _train(args, say):
    from dataclasses import fields

    from stn_ref.training import run
    from stn_ref.training.loop import Config

    given = {field.name: getattr(args, field.name) for field in fields(Config)}
    config = Config(**{name: value for name, value in given.items() if value is not None})
    sizes = {"n_train": args.n_train, "n_val": args.n_val, "n_test": args.n_test}
    return 0, run.run(config, data_dir=args.data, out=args.out, resume=args.resume, say=say, **sizes)


def _gradcheck(args, say):
    from stn_ref import gradcheck
    from stn_ref.conformance import gradients

    reports = gradients.check_all(args.seed)
    say(gradcheck.table(reports))
    passed = all(report.passed for report in reports.values())
    say("all gradients agree with finite differences" if passed else "FAILED: see the table")
    return (0 if passed else 1), {
        "passed": passed,
        "layers": {name: report.to_dict() for name, report in reports.items()},
    }


def _data(args, say):
    from stn_ref import checks
    from stn_ref.data import download

    if args.action == "list":
        say("procedural  digits drawn on the spot, any number, 28 x 28: the default, nothing to fetch")
        for name, known in download.SETS.items():
            say(f"{name:<11} {known.what}: stn-ref data fetch {name}")
        return 0, {"sets": ["procedural", *download.SETS]}
    checks.one_of("name", args.name, download.SETS)
    directory = Path(args.dir or f"data/{args.name}")
    if args.action == "fetch":
        download.fetch(directory, args.name, say=say)
    elif not directory.is_dir():
        raise NotADirectoryError(f"{directory} is not a directory; give --dir, or fetch the set first")
    report = download.verify(directory, args.name)
    for row in report:
        say(f"{'ok ' if row['ok'] else 'BAD'} {row['file']}: {row['says']}")
    return (0 if all(row["ok"] for row in report) else 1), {"directory": str(directory), "files": report}


def _bench(args, say):
    from stn_ref import bench

    return 0, bench.run(quick=args.quick, say=say)


def _info(args, say):
    from stn_ref import bench

    report = bench.environment()
    for name, value in report.items():
        say(f"{name:<14} {value}")
    return 0, report


def _open_json(target: str | None) -> Callable[[dict], None]:
    """Return what writes the report; a target that cannot be written is found out before the work, not after."""
    if target is None:
        return lambda report: None
    if target == "-":
        return lambda report: print(json.dumps(report, indent=2))
    path = Path(target)
    with open(path, "a"):
        pass
    return lambda report: path.write_text(json.dumps(report, indent=2) + "\n")


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit status."""
    args = _parser().parse_args(argv)
    stream = sys.stderr if args.json == "-" else sys.stdout

    def say(line: str) -> None:
        print(line, file=stream, flush=True)

    try:
        write = _open_json(args.json)
        if args.threads is not None:
            from stn_ref.kernels import threads

            threads.set_num_threads(args.threads)
        status, report = args.call(args, say)
        write({"command": args.command, "stn_ref": __version__, **report})
        return status
    except BrokenPipeError:  # the reader has gone, as in `stn-ref gradcheck | head`
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except BAD_INPUT as error:
        print(f"stn-ref {args.command}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except ArithmeticError as error:  # a training that diverged
        print(f"stn-ref {args.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        hint = "; --resume continues from the last checkpoint" if args.command == "train" else ""
        print(f"\nstn-ref {args.command}: interrupted{hint}", file=sys.stderr)
        return 130
