"""The runner outlives the samplers that it runs."""

import textwrap

import pytest

from stn_ref.conformance.run import OUTCOMES, PASSES, Verdict, run, select
from stn_ref.conformance.subject import Spec

TWO = ["identity", "equation-5"]  # judged in this order; the bad samplers misbehave on the first, and not on the second

SAMPLERS = """
    import ctypes, os, sys, time
    import numpy as np
    from stn_ref.conformance.museum import Reference

    def right(U, grid, **options):
        return Reference().forward(U, grid, **options)

    def on_identity(U, grid):  # the grid of that claim is as large as its image
        return grid.shape[1:3] == U.shape[2:]

    def segfaults(U, grid, **options):
        if on_identity(U, grid):
            ctypes.string_at(0)
        return right(U, grid, **options)

    def hangs(U, grid, **options):
        if on_identity(U, grid):
            time.sleep(1000)
        return right(U, grid, **options)

    def exits(U, grid, **options):
        if on_identity(U, grid):
            sys.exit(3)
        return right(U, grid, **options)

    def leaves(U, grid, **options):
        if on_identity(U, grid):
            os._exit(4)
        return right(U, grid, **options)

    def talks(U, grid, **options):
        print('{"claim": "identity", "outcome": "violated"}', flush=True)
        os.write(1, b"from below Python\\n")
        return right(U, grid, **options)

    not_a_function = 5
"""


@pytest.fixture
def samplers(tmp_path, monkeypatch):
    """A module in the current directory."""
    (tmp_path / "samplers.py").write_text(textwrap.dedent(SAMPLERS))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "outcome", "detail"),
    [
        ("segfaults", "crash", "crash: signal 11 (SIGSEGV)"),
        ("hangs", "timeout", "timeout after 3 s"),
        ("exits", "crash", "crash: it called sys.exit(3)"),
        ("leaves", "crash", "crash: exit status 4"),
        ("talks", "satisfied", ""),
    ],
)
def test_what_a_sampler_does_to_its_process_is_a_verdict_on_one_claim(samplers, name, outcome, detail, capfd):
    noted = []
    verdicts = run(Spec(f"samplers:{name}"), only=TWO, time_limit=3, note=noted.append)
    first, second = verdicts
    assert (first.claim, first.outcome, first.detail) == ("identity", outcome, detail)
    assert (second.claim, second.outcome) == ("equation-5", "satisfied")
    assert noted == verdicts and first.to_dict()["outcome"] == outcome and first.seconds >= 0
    shown = capfd.readouterr()
    assert shown.out == "" and ("from below Python" in shown.err) == (name == "talks")


def test_a_file_outside_the_current_directory_is_found_by_its_path(samplers, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    verdicts = run(Spec(f"{samplers}/samplers.py:right", tps=f"{samplers}/samplers.py:right"), only=TWO)
    assert [verdict.outcome for verdict in verdicts] == ["satisfied", "satisfied"]


@pytest.mark.parametrize(
    ("source", "spec", "error", "says"),
    [
        ("", Spec("no_such_module:f"), ImportError, "no_such_module cannot be imported: ModuleNotFoundError"),
        ("", Spec("no/such/file.py:f"), ImportError, "no file no/such/file.py"),
        ("", Spec("broken:f"), ValueError, "broken has no function 'f'"),
        ("f = 5", Spec("broken:f"), ValueError, "broken has no function 'f'"),
        ("1 / 0", Spec("broken:f"), ImportError, "broken cannot be imported: ZeroDivisionError: division by zero"),
        ("def", Spec("./broken.py:f"), ImportError, "broken.py cannot be imported: SyntaxError"),
        ("import sys; sys.exit(7)", Spec("broken:f"), ImportError, "broken cannot be imported: SystemExit: 7"),
        (
            "import os; os._exit(7)",
            Spec("broken:f"),
            ImportError,
            "importing broken:f ended the process: exit status 7",
        ),
    ],
)
def test_a_function_that_cannot_be_found_is_one_clear_error(source, spec, error, says, tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=says.replace("(", r"\(")):
        run(spec, only="identity")


@pytest.mark.parametrize("name", ("f", "module:", ":f", "module:f()", "module f"))
def test_a_name_that_names_no_function_is_refused_at_once(name):
    with pytest.raises(ValueError, match="a function is named 'module:function'"):
        Spec(name)
    with pytest.raises(ValueError, match="nothing to check"):
        Spec()


def test_claims_are_selected_in_teaching_order_for_any_order_of_names():
    assert [claim.name for claim in select(["equation-5", "identity"])] == TWO
    assert len(select()) > 50
    with pytest.raises(ValueError, match="claim must be one of 'offers-bilinear-with-zeros', 'identity'"):
        select(["no-such-claim"])


def test_our_own_samplers_have_names_like_any_other():
    ours = "stn_ref.conformance.ours"
    some = ["identity", "grid-gradient-is-the-slope", "tps-bends"]
    verdicts = run(Spec(f"{ours}:vectorised", f"{ours}:vectorised_backward", f"{ours}:tps"), only=some)
    verdicts += run(Spec("stn_ref:grid_sample", "stn_ref:grid_sample_backward"), only="identity")
    assert [verdict.outcome for verdict in verdicts] == ["satisfied"] * 4


def test_a_verdict_passes_if_nothing_is_wrong():
    assert Verdict("identity", "satisfied", "", 0.0).passed and Verdict("identity", "not offered", "", 0.0).passed
    assert not any(Verdict("identity", outcome, "", 0.0).passed for outcome in OUTCOMES if outcome not in PASSES)
