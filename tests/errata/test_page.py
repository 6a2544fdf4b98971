"""tutorials/errata.md names the tests of this folder, every one and no other."""

import re
from pathlib import Path

HERE = Path(__file__)
PAGE = HERE.parents[2] / "tutorials" / "errata.md"


def test_the_page_names_every_test_here_and_no_other():
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8")))
    files = [path for path in HERE.parent.glob("test_*.py") if path != HERE]
    here = {name for path in files for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M)}
    assert named == here
