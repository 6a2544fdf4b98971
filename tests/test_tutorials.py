"""Every tutorial runs clean, draws, and its exercises tell a wrong answer from a right one."""

import re
import subprocess
import sys

import jupytext
import matplotlib.pyplot as plt
import pytest

from stn_ref.cli import main, tutorials

SCRIPTS = tutorials.scripts()
each_script = pytest.mark.parametrize("path", SCRIPTS, ids=[path.stem for path in SCRIPTS])


class Checks:
    """Records what the check_...() functions of a tutorial say, as its cells call them."""

    def __init__(self):
        self.verdicts = []

    def watch(self, names, capsys):
        for name, check in list(names.items()):
            if name.startswith("check_") and not hasattr(check, "watched"):
                names[name] = self.watched(name, check, capsys)

    def watched(self, name, check, capsys):
        def call(*answers):
            capsys.readouterr()
            right = check(*answers)
            self.verdicts.append((name, right, capsys.readouterr().out))
            return right

        call.watched = True
        return call


@each_script
def test_it_runs_clean_and_its_exercises_can_be_failed_and_solved(path, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    plt.close("all")
    names, checks, drawn = {"__name__": "__main__", "__file__": str(path)}, Checks(), set()
    with plt.rc_context({"figure.max_open_warning": 0}):
        for k, cell in enumerate(jupytext.read(path).cells):
            if cell.cell_type != "code":
                continue
            exec(compile(cell.source, f"{path.name}, cell {k}", "exec"), names)
            drawn |= set(plt.get_fignums())
            checks.watch(names, capsys)
            tags = cell.metadata.get("tags", [])
            for name, right, said in checks.verdicts:
                if "exercise" in tags:
                    assert right is False, f"{name} passes an exercise that nobody has done"
                    assert len(said) > 40, f"{name} does not explain what is wrong: {said!r}"
                if "solution" in tags:
                    assert right is True, f"{name} fails its solution: {said}"
            if checks.verdicts:
                assert "exercise" in tags or "solution" in tags, f"cell {k} checks an answer and has no tag"
                names.setdefault("_checked", []).extend((name, tags[0]) for name, *_ in checks.verdicts)
                checks.verdicts.clear()
    plt.close("all")
    checked = names.get("_checked", [])
    tried, solved = ({name for name, tag in checked if tag == kind} for kind in ("exercise", "solution"))
    assert tried == solved and 2 <= len(tried) <= 3, "two or three exercises, each with its solution"
    assert drawn, "a tutorial draws"


@each_script
def test_it_has_the_shape_of_a_tutorial(path):
    text = path.read_text(encoding="utf-8")
    assert tutorials.title(path).startswith(path.stem[:2] + " ")
    for part in ("**You will**", "**You will learn**", "**You need**", "## Predict", "## Exercises", "## Solutions"):
        assert part in text, part
    assert len(text.splitlines()) <= 320


def test_it_runs_as_a_plain_script_from_anywhere(tmp_path):
    command = [sys.executable, "-W", "error", str(tutorials.find("06"))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "you said: nothing yet" in done.stdout


def test_no_notebook_is_stale(capsys):
    assert main(["tutorials", "export", "--check"]) == 0, capsys.readouterr().out


def test_a_damaged_notebook_is_named(tmp_path, capsys):
    script = tmp_path / "01_toy.py"
    script.write_text("# # 01 Toy\n")
    (tmp_path / "notebooks").mkdir()
    for content, why in (
        ("[1]", "it must be an object; got a list"),
        ("{}", "metadata is missing"),
        ('{"metadata": {"stn_ref": 5}}', "metadata.stn_ref must be an object; got 5"),
        ("[" * 9999, "nested more than 50 levels deep"),
    ):
        tutorials.notebook(script).write_text(content)
        assert main(["tutorials", "export", "--check", str(script)]) == 2
        error = capsys.readouterr().err
        assert "01_toy.ipynb is damaged or not a notebook" in error and why in error and error.count("\n") == 1


def test_the_command_line_lists_and_copies(tmp_path, capsys):
    assert main(["tutorials", "list"]) == 0
    shown = capsys.readouterr().out
    assert all(path.stem in shown for path in SCRIPTS)
    assert main(["tutorials", "copy", str(tmp_path / "mine")]) == 0
    mine = tmp_path / "mine" / SCRIPTS[0].name
    assert mine.read_bytes() == SCRIPTS[0].read_bytes()
    mine.write_text("worked on")
    assert main(["tutorials", "copy", str(tmp_path / "mine")]) == 0
    assert mine.read_text() == "worked on"
    assert main(["tutorials", "run", "nonsense"]) == 2
    assert "tutorial must be a file FILE.py or one of" in capsys.readouterr().err
    assert main(["tutorials", "run"]) == 2
    assert "write `tutorials list` or `tutorials run NAME` or " in capsys.readouterr().err
    mine.write_text("# # 01 Mine\nraise SystemExit(7)\n")
    assert main(["tutorials", "run", str(mine)]) == 7


def test_the_map_shows_every_tutorial_and_leads_somewhere():
    page = (tutorials.FOLDER / "README.md").read_text(encoding="utf-8")
    for path in SCRIPTS:
        assert f"({path.name})" in page and f"(notebooks/{path.stem}.ipynb)" in page
    for target in re.findall(r"\]\((?!http)([^)#]+)\)|src=\"([^\"]+)\"", page):
        assert (tutorials.FOLDER / "".join(target)).exists(), target


@each_script
def test_its_notebook_is_small_enough_to_read_on_a_page(path):
    assert tutorials.notebook(path).stat().st_size < 500_000
