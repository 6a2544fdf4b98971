"""`stn-ref experiment`: nothing is computed twice, nothing is lost, and what is wrong is said in one line."""

import json
import os
import sys
import types

import pytest

from stn_ref import files
from stn_ref.cli import main
from stn_ref.lab import experiments
from stn_ref.lab.experiments import run
from stn_ref.lab.experiments.cell import Cell
from stn_ref.lab.results import store
from stn_ref.training import DivergedError

NAMES = ("fcn/R", "fcn/E", "cnn/R", "cnn/E")


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """The experiment "toy", whose cells call toy.compute(name, seed); toy.calls has those that were computed."""
    monkeypatch.chdir(tmp_path)
    made = types.ModuleType("stn_ref.lab.experiments.toy")
    made.TITLE, made.DATA, made.calls, made.configuration = "a toy", None, [], {"lr": 0.1}
    made.compute = lambda name, seed: {"result": {"test_error_percent": 1.5 + seed}}

    def cells(scale, seed, data_dir):
        def cell(name):
            def compute(path, progress, note):
                made.calls.append(f"{name} {seed}")
                made.resumed = path.exists()
                return made.compute(name, seed)

            return Cell(name, seed, "none", made.configuration, compute)

        return [cell(name) for name in NAMES]

    made.cells, made.table = cells, lambda results: [f"table of {len(results)}"]
    monkeypatch.setitem(sys.modules, made.__name__, made)
    monkeypatch.setattr(run, "EXPERIMENTS", ("toy", "table1"))
    monkeypatch.setattr(experiments, "EXPERIMENTS", ("toy", "table1"))
    return made


def toy_run(*arguments):
    return main(["experiment", "toy", *arguments])


def path_of(name, seed=0):
    return run.OUT / f"toy-smoke-none-{name.replace('/', '-')}-seed{seed}.json"


def test_what_is_there_is_not_computed_again(toy, capsys):
    assert toy_run("--only", "fcn/*") == 0 and toy.calls == ["fcn/R 0", "fcn/E 0"]
    assert toy_run() == 0 and toy.calls == ["fcn/R 0", "fcn/E 0", "cnn/R 0", "cnn/E 0"]
    shown = capsys.readouterr()
    assert shown.out == "table of 2\n2 of 2 cells in runs/experiments\ntable of 4\n4 of 4 cells in runs/experiments\n"
    assert "toy, smoke: 4 cells of none data, 2 of them in runs/experiments\n3/4 cnn/R, seed 0\n" in shown.err
    assert shown.err.startswith("smoke shows that everything runs")
    assert toy_run() == 0 and len(toy.calls) == 4


def test_again_replaces_what_was_asked_for_and_nothing_else(toy):
    toy_run()
    path_of("cnn/R").write_text("damaged")
    before = path_of("cnn/E").read_bytes()
    store.half_done(path_of("cnn/R")).write_text("an old checkpoint")
    assert toy_run("--only", "cnn/R", "--again") == 0 and toy.calls[4:] == ["cnn/R 0"] and not toy.resumed
    assert store.read(path_of("cnn/R"))["cell"] == "cnn/R" and path_of("cnn/E").read_bytes() == before
    assert len(os.listdir(run.OUT)) == 4


def test_seeds_are_counted_from_the_first_and_each_is_a_file(toy):
    assert toy_run("--seed", "3", "--seeds", "2", "--only", "fcn/R") == 0
    assert toy.calls == ["fcn/R 3", "fcn/R 4"]
    assert path_of("fcn/R", 3).exists() and path_of("fcn/R", 4).exists()


def test_patterns_may_come_from_an_iterator_and_hold_for_every_seed(toy):
    report = run.run("toy", only=iter(["cnn/?"]), seeds=2, note=str, say=str)
    assert [result["seed"] for result in report["results"]] == [0, 0, 1, 1] and not report["missing"]


def test_a_cell_that_diverges_leaves_the_others_going_on_and_is_status_1(toy, capsys):
    def compute(name, seed):
        if name == "fcn/E":
            raise DivergedError("the loss is nan in epoch 1, batch 2")
        return {"result": {}}

    toy.compute = compute
    assert toy_run("--json", "-") == 1
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    why = {"fcn/E, seed 0": "the loss is nan in epoch 1, batch 2"}
    assert report["failed"] == why and report["missing"] == list(why) and len(report["results"]) == 3
    assert "FAILED: fcn/E, seed 0: the loss is nan in epoch 1, batch 2\n3 of 4 cells" in shown.err
    assert "another process" not in shown.err
    assert "cnn/R, seed 0\n  done in 0 s; 1 left, about 0 s\n" in shown.err  # cnn/E; what has failed is not waited for


@pytest.mark.parametrize("at", (1, 3))
def test_ctrl_c_keeps_what_was_done_and_the_same_command_goes_on(toy, capsys, at):
    def compute(name, seed):
        if len(toy.calls) == at:
            raise KeyboardInterrupt
        return {"result": {}}

    toy.compute = compute
    assert toy_run() == 130
    assert capsys.readouterr().err.endswith("stn-ref experiment: interrupted; the same command continues from there\n")
    assert len(os.listdir(run.OUT)) == at - 1
    assert toy_run() == 0 and len(toy.calls) == 5


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(toy, capsys, monkeypatch):
    fsync, free = os.fsync, iter(range(4))  # two a result: the file and its folder

    def full(descriptor):
        if next(free, None) is None:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert toy_run() == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == (
        "stn-ref experiment: error: [Errno 28] cannot write: No space left on device: "
        "'runs/experiments/toy-smoke-none-cnn-R-seed0.json'"
    )
    assert sorted(os.listdir(run.OUT)) == ["toy-smoke-none-fcn-E-seed0.json", "toy-smoke-none-fcn-R-seed0.json"]
    assert toy_run() == 0 and toy.calls[3:] == ["cnn/R 0", "cnn/E 0"]


def test_cells_that_another_process_is_at_are_left_to_it(toy, capsys):
    run.OUT.mkdir(parents=True)
    with files.claimed(path_of("fcn/E")), files.claimed(path_of("cnn/R")):
        assert toy_run("--json", "r.json") == 0
    assert toy.calls == ["fcn/R 0", "cnn/E 0"]
    assert "2 left to another process that works in runs/experiments\n2 of 4" in capsys.readouterr().out
    with open("r.json") as file:
        assert json.load(file)["missing"] == ["fcn/E, seed 0", "cnn/R, seed 0"]


@pytest.mark.parametrize("again", ((), ("--again",)))
@pytest.mark.parametrize("while_at", ("fcn/R", "cnn/R"))
def test_what_another_process_finishes_meanwhile_is_taken_from_it(toy, again, while_at):
    toy_run()
    theirs = path_of("cnn/E").read_text().replace("1.5", "7.25")
    if not again:
        path_of("cnn/E").unlink(), path_of(while_at).unlink()

    def compute(name, seed):
        if name == while_at:
            path_of("cnn/E").unlink(missing_ok=True)
            path_of("cnn/E").write_text(theirs)
            store.half_done(path_of("cnn/E")).touch()  # and is killed
        return {"result": {}}

    toy.compute, toy.calls[:] = compute, []
    report = run.run("toy", again=bool(again), note=str, say=str)
    assert "cnn/E 0" not in toy.calls
    assert [r["result"]["test_error_percent"] for r in report["results"] if r["cell"] == "cnn/E"] == [7.25]
    assert len(report["results"]) == 4 and not report["missing"]
    assert not store.half_done(path_of("cnn/E")).exists()


def test_what_is_left_is_said_after_each_cell(toy, capsys, monkeypatch):
    toy.compute = lambda name, seed: {"result": {"test_error_percent": 0.5}}
    timed = Cell.run
    monkeypatch.setattr(Cell, "run", lambda *args, **options: timed(*args, **options) | {"seconds": 60.0})
    toy_run()
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("  ")]
    assert lines == [
        "  test error 0.50 % in 60 s; 3 left, about 3 min",
        "  test error 0.50 % in 60 s; 2 left, about 2 min",
        "  test error 0.50 % in 60 s; 1 left, about 60 s",
        "  test error 0.50 % in 60 s",
    ]


def test_without_a_name_the_experiments_are_listed(toy, capsys):
    assert main(["experiment"]) == 0
    assert capsys.readouterr().out.startswith("toy          a toy\ntable1       Table 1: ")


def test_the_list_of_cells_says_which_are_there(toy, capsys):
    toy_run("--only", "fcn/E")
    capsys.readouterr()
    assert toy_run("--list", "--seeds", "1", "--json", "list.json") == 0
    assert capsys.readouterr().out == "".join(
        f"{name}  seed 0  {'there' if name == 'fcn/E' else '-'}\n" for name in NAMES
    )
    with open("list.json") as file:
        assert [row["there"] for row in json.load(file)["cells"]] == [False, True, False, False]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("text", "toy-smoke-none-cnn-R-seed0.json is damaged or not a file of results"),
        ("another cell", "toy-smoke-none-cnn-R-seed0.json is of another cell: its cell is 'fcn/R', not 'cnn/R'"),
        ("configuration", "toy-smoke-none-fcn-R-seed0.json is of another configuration: its lr is 0.1, not 0.2"),
        ("folder", "toy-smoke-none-cnn-R-seed0.json is a directory"),
    ],
)
def test_a_bad_result_is_one_line_before_anything_is_computed(toy, capsys, damage, message):
    toy_run("--only", "*/R")
    if damage == "text":
        path_of("cnn/R").write_text("{")
    elif damage == "another cell":
        path_of("cnn/R").write_bytes(path_of("fcn/R").read_bytes())
    elif damage == "configuration":
        toy.configuration = {"lr": 0.2}
    else:
        path_of("cnn/R").unlink(), path_of("cnn/R").mkdir()
    kept = path_of("fcn/R").read_bytes()
    capsys.readouterr(), toy.calls.clear()
    assert toy_run() == 2 and toy.calls == []
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and error.startswith("stn-ref experiment: error: ")
    assert path_of("fcn/R").read_bytes() == kept


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "experiment must be one of 'toy', 'table1'; got 'nonsense'"),
        (["toy", "--seeds", "0"], "seeds must be at least 1; got 0"),
        (["toy", "--seed", "-1"], "seed must be at least 0; got -1"),
        (["toy", "--only", "fcn/R", "resnet/R"], "no cell is named 'resnet/R'; --list shows all 4, such as fcn/R"),
        (["toy", "--data", "somewhere"], "this experiment draws its own images: leave --data out"),
        (["toy", "--out", "file"], "file is not a directory; it is where the results should go"),
        (["toy", "--out", "file/below"], "file/below"),
        (["toy", "--json", "no/such/place.json"], "no/such/place.json"),
        (["table1", "--scale", "small"], "data/mnist does not exist: `stn-ref data fetch mnist` puts the data there"),
        (["table1", "--data", "no/such/place"], "no/such/place"),
        (["table1", "--data", "empty"], "empty"),
        (["table1", "--data", "html"], "html/train-images-idx3-ubyte.gz"),
    ],
)
def test_bad_input_is_one_clear_line_and_status_2(toy, capsys, tmp_path, arguments, message):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "html").mkdir()
    for part in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            (tmp_path / "html" / f"{part}-{kind}-ubyte.gz").write_text("<html>404 not found</html>")
    assert main(["experiment", *arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err and "Traceback" not in shown.err and not shown.out
    assert shown.err.startswith("stn-ref experiment: error: ") and shown.err.count("\n") == 1
    assert not toy.calls


@pytest.mark.parametrize("name", ("pooling", "overhead", "regularisers"))
@pytest.mark.parametrize("data", ((), ("--data", "no/such/place")))
def test_a_scale_that_an_experiment_does_not_have_is_said_before_data_are_asked_for(capsys, tmp_path, name, data):
    assert main(["experiment", name, "--scale", "paper", "--out", str(tmp_path), *data]) == 2
    error = capsys.readouterr().err
    assert f"error: {name} has no scale 'paper': " in error and error.count("\n") == 1


def test_an_unknown_scale_is_status_2(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["experiment", "table1", "--scale", "huge"])
    assert capsys.readouterr().err.count("\n") == 1
