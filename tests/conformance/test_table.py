"""The table of `stn-ref check --peers`: the page shows the verdicts, and the same verdicts give the same page."""

import json
import re

import pytest

from stn_ref.cli import main
from stn_ref.conformance import peers, table
from stn_ref.conformance.claims import CLAIMS
from stn_ref.conformance.peers import Peer
from stn_ref.conformance.run import Verdict
from stn_ref.conformance.table import Column, markdown

FIRST, SECOND = [claim.name for claim in CLAIMS.values() if claim.subject == "sampler"][:2]
SPLINE = next(claim.name for claim in CLAIMS.values() if claim.subject == "tps")


def column(title, calls=("sampler",), remark="", **outcomes):
    """Verdicts from (outcome, detail) of the claims `first`, `second` and `spline`."""
    names = {"first": FIRST, "second": SECOND, "spline": SPLINE}
    verdicts = {names[key]: Verdict(names[key], *verdict, 0.1) for key, verdict in outcomes.items()}
    return Column(title, {role: f"call_{role}" for role in calls}, verdicts, remark)


GOOD, OFF = ("satisfied", ""), ("not offered", "mode=bicubic")


def test_a_row_is_a_claim_and_a_column_a_sampler():
    page = markdown(
        [
            column("Ours 1.0", first=GOOD, second=GOOD),
            column("Theirs 2.0", remark="It is fast.", first=OFF, second=("violated", "V: expected 1, got 2")),
        ]
    )
    assert "| | Ours 1.0<br>call_sampler | Theirs 2.0<br>call_sampler |\n|---|:-:|:-:|\n" in page
    assert f"| [{FIRST}](#{FIRST}) | ✓ | – |\n| [{SECOND}](#{SECOND}) | ✓ | ✗[^1] |\n" in page
    assert "| **satisfied** | 2 of 2 | 0 of 1 |" in page
    assert page.endswith(f"\n\n[^1]: {SECOND}: V: expected 1, got 2\n")
    assert "- Theirs 2.0: It is fast." in page and "Not installed" not in page


def test_every_note_is_referenced_and_equal_findings_share_a_note():
    bad = ("violated", "expected 1")
    page = markdown(
        [
            column("A", first=bad, second=("crash", "crash: signal 11 (SIGSEGV)")),
            column("B", first=bad, second=("timeout", "timeout after 1 s")),
        ]
    )
    assert "✗[^1] | ✗[^1]" in page and "✗ crash[^2] | ✗ timeout[^3]" in page
    assert set(re.findall(r"\[\^\d+\]", page)) == set(re.findall(r"^(\[\^\d+\]):", page, re.MULTILINE))


def test_each_kind_of_function_has_a_table_of_the_samplers_that_have_it():
    both = column("Both", ("sampler", "tps"), first=GOOD, spline=GOOD)
    page = markdown([both, column("One", first=GOOD)], ["Nobody"])
    sampling, splines = page.split("## Thin-plate splines")
    assert "## Sampling" in sampling and "One" in sampling and "## Gradients" not in page
    assert "| | Both<br>call_tps |\n" in splines and "One" not in splines
    assert "Not installed, and so not judged: Nobody." in page


def test_claims_are_explained_and_their_links_lead_to_headings():
    page = markdown([column("A", first=GOOD, second=GOOD)])
    for link in re.findall(r"\]\(#([\w-]+)\)", page):
        assert f"\n### {link}\n" in page
    assert f"If not: {CLAIMS[FIRST].failure[:20]}" in page


def test_characters_special_to_markdown_are_shown():
    detail = "error: a|b *c* <d> [e](f) stn_ref _g_\nsecond line `"
    page = markdown([column("A", first=("error", detail))])
    assert r"a\|b \*c\* \<d> \[e\](f) stn_ref \_g\_ second line \`" in page
    page = markdown([column("A", first=("error", "x" * 1000))])
    assert "x" * 200 + "..." in page and "x" * 300 not in page


# The command, with a run that needs no library.


@pytest.fixture
def faked(monkeypatch):
    """Makes every verdict what `outcomes` says of (function, claim), by default satisfied."""
    outcomes = {}

    def run(spec, *, only, time_limit):
        own = (spec.sampler or spec.tps).split(":")[1]
        return [Verdict(name, *outcomes.get((own, name), GOOD), 0.1) for name in only]

    monkeypatch.setattr(table, "run", run)
    here = Peer("Here", "numpy", ("numpy",), "here", calls={"sampler": "here"})
    absent = Peer("Absent", "no_such_library", ("no-such-library",), "absent", calls={"sampler": "absent"})
    monkeypatch.setattr(peers, "PEERS", {"here": here, "absent": absent})
    return outcomes


def test_the_page_goes_to_a_file_and_is_the_same_every_time(faked, tmp_path, capsys):
    faked["here", SECOND] = ("violated", "V: expected 1, got 2")
    pages = []
    for name in ("a.md", "b.md"):
        assert main(["check", "--peers", "--markdown", str(tmp_path / name)]) == 0  # theirs is a finding
        pages.append((tmp_path / name).read_text(encoding="utf-8"))
    assert pages[0] == pages[1] and "✗[^1]" in pages[0]
    shown = capsys.readouterr()
    assert "stn_ref cpu" in shown.out and "1 violated" in shown.out
    assert "Absent: not installed (pip install no-such-library)" in shown.err


def test_a_violation_of_ours_is_a_failure(faked, capsys):
    faked["vectorised", FIRST] = ("violated", "V: expected 1, got 2")
    assert main(["check", "--peers", "--json", "-", "--only", FIRST]) == 1
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    assert not report["passed"] and report["not_installed"] == ["Absent"]
    assert report["samplers"]["vectorised"]["verdicts"][0]["outcome"] == "violated"
    assert report["samplers"]["tps"]["verdicts"] == []  # a claim about sampling is none about a spline
    assert "# Who keeps which promise" in shown.err


def test_without_a_file_the_page_is_standard_output(faked, capsys):
    assert main(["check", "--peers", "--markdown", "-"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("# Who keeps which promise\n") and "stn_ref cpu" in shown.err
    assert main(["check", "--peers"]) == 0
    assert capsys.readouterr().out == shown.out


def test_a_file_that_cannot_be_written_is_reported_before_the_work(faked, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(table, "run", None)
    assert main(["check", "--peers", "--markdown", str(tmp_path / "no" / "x.md")]) == 2
    assert "x.md" in capsys.readouterr().err
