"""`stn-ref check`, as somebody with a sampler of their own runs it."""

import json
import subprocess
import sys

import pytest

from stn_ref.cli import main
from stn_ref.conformance.claims import CLAIMS
from stn_ref.conformance.peers import PEERS

MINE = """
import os, stn_ref

print("noise")

def good(U, grid, *, mode="bilinear", padding_mode="zeros", align_corners=False):
    options = dict(mode=mode, padding_mode=padding_mode, align_corners=align_corners)
    return stn_ref.grid_sample(U, grid, **options, backend="vectorised")

def backward(U, grid, gV, **options):
    return stn_ref.grid_sample_backward(U, grid, gV, **options, backend="vectorised")

def swapped(U, grid, **options):
    return good(U, grid[..., ::-1].copy(), **options)

def dies(U, grid, **options):
    os._exit(3)

def refuses(U, grid, **options):
    raise NotImplementedError("nothing here")
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mysampler.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)


def test_a_right_sampler_in_the_current_directory_passes(mine, capsys):
    assert main(["check", "mysampler:good", "--only", "identity", "x-before-y"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"ok           identity: {CLAIMS['identity'].says}\nok           x-before-y: ")
    assert shown.endswith("\n2 claims: 2 satisfied\n")


def test_a_wrong_one_fails_and_is_told_what_it_means_and_who_else_did_it(mine, capsys):
    assert main(["check", "./mysampler.py:swapped", "--only", "x-before-y"]) == 1
    line, detail, means, seen, total = capsys.readouterr().out.splitlines()
    claim = CLAIMS["x-before-y"]
    assert line == f"VIOLATED     x-before-y: {claim.says}"
    assert "expected 6, got 9" in detail
    assert means.strip() == f"It may mean: {claim.failure}" and seen.strip() == f"Seen in: {claim.known}"
    assert total == "1 claim: 1 violated"


def test_gradients_are_judged_too_and_the_numbers_are_json(mine, capsys):
    only = ["--only", "identity", "--only", "equation-6"]
    assert main(["check", "mysampler:good", "--backward", "mysampler:backward", *only, "--json", "-"]) == 0
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    assert report["command"] == "check" and report["passed"] and report["counts"] == {"satisfied": 2}
    assert [verdict["claim"] for verdict in report["verdicts"]] == ["identity", "equation-6"]
    assert "ok           equation-6" in shown.err


def test_a_sampler_that_ends_the_process_has_crashed(mine, capsys):
    assert main(["check", "mysampler:dies", "--only", "identity"]) == 1
    assert "CRASH        identity" in capsys.readouterr().out


def test_to_offer_nothing_is_not_to_pass(mine, capsys):
    assert main(["check", "mysampler:refuses", "--only", "identity", "x-before-y"]) == 1
    assert "2 claims: 2 not offered" in capsys.readouterr().out


def test_claims_about_functions_that_are_not_given_are_counted_and_not_run(monkeypatch, capsys):
    from stn_ref.conformance import report

    ran = []
    monkeypatch.setattr(report, "run", lambda spec, *, only, time_limit, note: ran.extend(only) or [])
    main(["check", "a:b", "--backward", "a:c"])
    assert ran == [name for name, claim in CLAIMS.items() if claim.subject != "tps"]
    assert f"not run, because no tps was given: {len(CLAIMS) - len(ran)} more" in capsys.readouterr().out
    ran.clear()
    main(["check", "--tps", "a:d"])
    assert ran == [name for name, claim in CLAIMS.items() if claim.subject == "tps"]


def test_list_names_every_claim_once(capsys):
    assert main(["check", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" (")[0] for line in lines] == list(CLAIMS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "write `check --list` or `check --peers` or `check MODULE:FUNCTION` or `check --tps "),
        (["math:sin", "--peers"], "leave MODULE:FUNCTION out of `check --peers`, or write `check MODULE:FUNCTION`"),
        (["--list", "--peers"], "leave --peers out of `check --list`, or write `check --peers`"),
        (["math"], "'module:function' or 'path/to/file.py:function'; got 'math'"),
        (["no_such_module:f"], "no_such_module cannot be imported: ModuleNotFoundError"),
        (["./nowhere.py:f"], "nowhere.py"),
        (["math:no_such_function"], "math has no function 'no_such_function'"),
        (["math:sin", "--only", "no-such-claim"], "claim must be one of 'offers-bilinear-with-zeros'"),
        (["--peers", "--only", "no-such-claim"], "claim must be one of"),
        (["math:sin", "--time-limit", "-1"], "time_limit must lie in"),
        (
            ["math:sin", "--markdown", "x.md"],
            "leave --markdown out of `check MODULE:FUNCTION`, or write `check --p",
        ),
        (
            ["--backward", "math:sin"],
            "write `check --list` or `check --peers` or `check MODULE:FUNCTION` or `check --tps ",
        ),
    ],
)
def test_bad_input_is_one_clear_line_and_status_2(arguments, message, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["check", *arguments]) == 2
    shown = capfd.readouterr()
    assert message in shown.err and shown.err.count("\n") == 1 and shown.out == ""
    assert shown.err.startswith("stn-ref check: error: ")


def test_an_adapter_without_its_library_says_so_once(monkeypatch, capsys):
    monkeypatch.setattr(type(PEERS["jax"]), "installed", lambda peer: False)
    assert main(["check", "stn_ref.conformance.peers:jax"]) == 2
    assert "stn_ref.conformance.peers:jax needs jax: pip install jax" in capsys.readouterr().err


def test_the_command_as_it_is_typed(mine):
    command = [sys.executable, "-m", "stn_ref", "check", "mysampler:good", "--only", "identity", "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.endswith("1 claim: 1 satisfied\n"), done.stderr
    assert "noise" not in done.stdout  # what the sampler prints is not among the results
