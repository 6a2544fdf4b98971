"""The README keeps its word: its code runs, its links lead to the lines they name."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8") if (ROOT / "README.md").exists() else ""
LINKS = re.findall(r"\[`([^`]+)`\]\((stn_ref/[\w/.]+)#L(\d+)\)", README)
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def line_of(name: str, path: Path) -> int:
    """The line that defines `name`, or that is marked with it as a comment: [class.]name or 'Eq. (n)'."""
    wanted = rf"# {re.escape(name)}$" if name.startswith("Eq.") else rf"^\s*(def|class) {name.split('.')[-1]}\b"
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(k for k, line in enumerate(lines, 1) if re.search(wanted, line))


@pytest.mark.parametrize(("name", "path", "line"), LINKS)
def test_a_link_leads_to_the_line_that_it_names(name, path, line):
    assert int(line) == line_of(name, ROOT / path)


def test_there_are_links_and_code_blocks():
    assert len(LINKS) >= 15 and len(BLOCKS) == 2


@pytest.mark.parametrize("block", BLOCKS)
def test_a_code_block_runs_as_it_stands(block, capsys):
    exec(compile(block, "README.md", "exec"), {})
    shown = capsys.readouterr().out
    assert "loss" in shown or "pass" in shown


def test_every_file_that_is_linked_exists():
    for target in re.findall(r"\]\((?!http)([^)#]+)", README):
        assert (ROOT / target).exists(), target
