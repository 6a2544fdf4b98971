"""The command line, as a newcomer runs it."""

import json
import os
import subprocess
import sys
from dataclasses import fields

import pytest

import stn_ref
from stn_ref.cli import main, options
from stn_ref.training import Config


def stn_ref_command(*arguments, **options):
    return subprocess.run([sys.executable, "-m", "stn_ref", *arguments], capture_output=True, text=True, **options)


def test_importing_loads_neither_numba_nor_matplotlib_nor_scipy():
    script = (
        "import sys, stn_ref, stn_ref.cli, stn_ref.nn, stn_ref.grid, stn_ref.sampler, stn_ref.data, stn_ref.models;"
        "print([m for m in ('numba', 'matplotlib', 'scipy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_vectorised_and_literal_work_where_numba_cannot_be_imported():
    script = (
        "import sys; sys.modules['numba'] = None; import numpy as np, stn_ref; U = np.ones((1, 1, 3, 4));"
        "theta = np.array([[[1.0, 0, 0], [0, 1, 0]]]);"
        "grids = [stn_ref.affine_grid(theta, U.shape, backend=b) for b in ('literal', 'vectorised')];"
        "[stn_ref.affine_grid_backward(g, U.shape, backend=b) for g in grids for b in ('literal', 'vectorised')];"
        "[stn_ref.grid_sample_backward(U, g, U, backend=b) for g in grids for b in ('literal', 'vectorised')];"
        "T = stn_ref.transforms.get('tps'); theta = np.array([T.identity]);"
        "[stn_ref.GridGenerator(T, (2, 3), backend=b).forward(theta) for b in ('literal', 'vectorised')];"
        "CALL"
    )
    for call in ("stn_ref.grid_sample(U, grids[0])", "stn_ref.affine_grid(np.zeros((1, 2, 3)), U.shape)"):
        done = subprocess.run([sys.executable, "-c", script.replace("CALL", call)], capture_output=True, text=True)
        assert "ImportError: backend 'cpu' needs numba, which is not installed: pip install numba" in done.stderr


def test_help_names_every_command_and_each_explains_itself():
    shown = stn_ref_command("--help")
    assert shown.returncode == 0
    for command in ("demo", "train", "gradcheck", "check", "data", "bench", "info"):
        assert command in shown.stdout
        assert "--json" in stn_ref_command(command, "--help").stdout


def test_help_of_train_names_every_field_of_config(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    shown = capsys.readouterr().out
    for field in fields(Config):
        option = f" --{field.name.replace('_', '-')}"
        assert f"{option} " in shown or f"{option}," in shown, field.name  # Python 3.13: "--optimiser, --optimizer X"
    assert "not in the paper" in " ".join(shown.split("--consistency X ")[1].split("--clip")[0].split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--model", "vgg"], "model must be one of 'fcn', 'cnn'"),
        (["train", "--n-train", "-5"], "n_train must be at least 0; got -5"),
        (["train", "--n-train", "40", "--n-val", "0", "--patience", "2"], "patience=2 needs validation images"),
        (
            ["train", "--n-train", "40", "--model", "cnn", "--consistency", "1"],
            "consistency=1 needs a net that begins with",
        ),
        (["train", "--model", "tutorial", "--dropout", "0.5"], "dropout must be left out for 'tutorial'"),
        (["gradcheck", "--seed", "-1"], "seed must be at least 0; got -1"),
        (["demo", "--seed", "-1"], "seed must be at least 0; got -1"),
        (["train", "--distortion", "Q"], "distortion must be one of"),
        (["train", "--data", "no/such/place"], "no/such/place"),
        (["train", "--epochs", "0"], "epochs must be at least 1; got 0"),
        (["train", "--n-train", "0"], "source must have at least one training image"),
        (["train", "--seed", "-3"], "seed must be at least 0"),
        (["train", "--json", "no/such/place/x.json"], "no/such/place/x.json"),
        (["gradcheck", "--threads", "0"], "the number of threads must be at least 1"),
        (["data", "verify", "--dir", "no/such/place"], "no/such/place is not a directory"),
        (["data", "verify", "cifar"], "name must be one of 'mnist', 'cifar10'; got 'cifar'"),
        (
            ["data", "list", "cifar10"],
            "leave NAME out of `data list`, or write `data fetch NAME` or `data ver",
        ),
        (
            ["tutorials", "run"],
            "write `tutorials list` or `tutorials run NAME` or `tutorials copy DIR` or ",
        ),
        (["tutorials", "list", "--check"], "leave --check out of `tutorials list`, or write `tutorials export`"),
        (["tutorials", "copy", "a", "b"], "copy takes one folder for the tutorials"),
        (["explore", "--image", "x.png", "--digit", "4"], "leave --digit out of `explore --image FILE`, or write `exp"),
    ],
)
def test_bad_input_is_one_clear_line_and_status_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert message in shown.err and shown.err.count("\n") == 1 and "Traceback" not in shown.err
    assert shown.err.startswith(f"stn-ref {arguments[0]}: error: ")


def test_the_forms_of_a_command_know_all_of_its_options():
    commands = options.parser()._subparsers._group_actions[0].choices
    for command, forms in options.FORMS.items():
        named = {option for _, deciding, used in forms for option in f"{deciding} {used}".split()}
        actions = {action.dest: action.choices or () for action in commands[command]._actions}
        assert named - set(actions.get("action", ())) == actions.keys() - {"help", "json", "threads", "action"}


def test_unknown_arguments_are_status_2():
    assert stn_ref_command("dance").returncode == 2
    assert stn_ref_command().returncode == 2


def test_json_on_standard_output_is_json_and_nothing_else(tmp_path):
    sizes = ["--n-train", "40", "--n-val", "10", "--n-test", "10"]
    done = stn_ref_command("train", "--model", "fcn", "--epochs", "1", *sizes, "--json", "-", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["command"] == "train" and 0 <= report["test_accuracy"] <= 1
    assert report["checkpoint"] == "runs/fcn-R-procedural-seed0/checkpoint.npz"
    assert "epoch 1: loss" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is always full")
def test_a_disk_that_is_full_when_the_json_is_written_is_named_with_the_file(capsys):
    assert main(["info", "--json", "/dev/full"]) == 2
    error = capsys.readouterr().err
    assert "error: [Errno 28] cannot write: No space left on device: '/dev/full'" in error and error.count("\n") == 1


def test_json_goes_to_a_file_too(tmp_path, capsys):
    assert main(["info", "--json", str(tmp_path / "info.json")]) == 0
    assert json.loads((tmp_path / "info.json").read_text())["stn_ref"] == stn_ref.__version__
    assert "numpy" in capsys.readouterr().out


def test_data_list_and_verify(tmp_path, capsys):
    assert main(["data", "list"]) == 0
    assert "procedural" in capsys.readouterr().out
    assert main(["data", "verify", "--dir", str(tmp_path)]) == 1  # nothing is there: a check failed
    assert capsys.readouterr().out.count("BAD") == 4
