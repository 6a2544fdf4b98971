"""The claims hold for right samplers, and their numbers do not come from ours."""

import ast
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from stn_ref.conformance import claims, ours
from stn_ref.conformance.claim import SUBJECTS, NotOffered, Violated, expect
from stn_ref.conformance.claims import CLAIMS
from stn_ref.conformance.museum import Reference
from stn_ref.conformance.museum.splines import spline
from stn_ref.conformance.run import check
from stn_ref.conformance.subject import Subject


def not_passed(subject):
    return {verdict.claim: f"{verdict.outcome}: {verdict.detail}" for verdict in check(subject) if not verdict.passed}


def test_every_claim_is_named_in_kebab_case_and_says_one_sentence():
    assert len(CLAIMS) > 50
    for name, claim in CLAIMS.items():
        assert name == claim.name and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
        assert claim.subject in SUBJECTS
        for sentence in (claim.says, claim.failure):
            assert sentence.endswith(".") and len(sentence) <= 160, name
        assert set(claim.to_dict()) == {"name", "says", "failure", "known", "subject"}


def test_the_numbers_of_the_claims_do_not_come_from_what_they_judge():
    allowed = {"numpy", "functools", "stn_ref.conformance.claim"}
    for path in Path(claims.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names = [node.module] if isinstance(node, ast.ImportFrom) else names
            assert all(name in allowed or name.startswith("stn_ref.conformance.claims") for name in names), path


def test_the_museums_reference_satisfies_every_claim():
    sampler = Reference()
    verdicts = check(Subject(sampler.forward, sampler.backward, spline))
    assert {verdict.outcome for verdict in verdicts} == {"satisfied"}, verdicts
    assert [verdict.claim for verdict in verdicts] == list(CLAIMS)


@pytest.mark.parametrize("backend", ("literal", "vectorised", "cpu"))
def test_our_backends_violate_no_claim(backend):
    assert not not_passed(Subject(getattr(ours, backend), getattr(ours, f"{backend}_backward"), ours.tps))


@pytest.mark.parity
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")
def test_pytorch_violates_only_claims_about_bad_numbers():
    import torch

    def forward(U, grid, **options):
        return torch.nn.functional.grid_sample(torch.from_numpy(U), torch.from_numpy(grid), **options).numpy()

    def backward(U, grid, gV, **options):
        U, grid = torch.from_numpy(U).requires_grad_(), torch.from_numpy(grid).requires_grad_()
        torch.nn.functional.grid_sample(U, grid, **options).backward(torch.from_numpy(gV))
        return U.grad.numpy(), grid.grad.numpy()

    crashes = {"nan-coordinate-spares-the-padded-gradient"}  # it would take this process with it
    subject = Subject(forward, backward)
    verdicts = check(subject, [claim for name, claim in CLAIMS.items() if name not in crashes])
    wrong = {verdict.claim for verdict in verdicts if not verdict.passed}
    assert wrong == {"nan-coordinate-gives-nan", "infinite-coordinate-is-outside"}


def plain(U, grid):
    """A sampler without options, as many are."""
    return Reference().forward(U, grid)


def one_option(U, grid, *, align_corners=True):
    return Reference().forward(U, grid, align_corners=align_corners)


def only_corners(U, grid, *, align_corners):
    if not align_corners:
        raise ValueError("align_corners must be True")
    return Reference().forward(U, grid, align_corners=True)


def keywords(U, grid, **options):
    return plain(U, grid, **options)


@pytest.mark.parametrize("sampler", (plain, one_option, only_corners))
def test_a_sampler_with_few_options_is_judged_by_those(sampler):
    verdicts = {verdict.claim: verdict for verdict in check(Subject(sampler))}
    assert all(verdict.passed for verdict in verdicts.values()), verdicts
    assert verdicts["equation-5"].outcome == "satisfied"
    assert verdicts["border-repeats-the-edge"].outcome == "not offered"
    offers_true = sampler is not plain
    assert (verdicts["align-corners-true-reaches-the-centres"].outcome == "satisfied") == offers_true
    offers_false = sampler is not only_corners
    assert (verdicts["align-corners-false-reaches-the-edges"].outcome == "satisfied") == offers_false


def test_a_refused_value_is_not_offered_and_names_the_reason():
    def no_border(U, grid, *, mode="bilinear", padding_mode="zeros", align_corners=False):
        if padding_mode == "border":
            raise ValueError("what is a border?")
        return Reference().forward(U, grid, mode=mode, padding_mode=padding_mode, align_corners=align_corners)

    verdict = next(verdict for verdict in check(Subject(no_border)) if verdict.claim == "border-repeats-the-edge")
    assert verdict.outcome == "not offered" and "what is a border?" in verdict.detail


def test_a_verdict_names_the_options_in_which_the_claim_broke():
    def dark_border(U, grid, *, mode="bilinear", padding_mode="zeros", align_corners=False):
        return Reference().forward(U, grid, mode=mode, align_corners=align_corners)

    verdict = check(Subject(dark_border), [CLAIMS["border-repeats-the-edge"]])[0]
    assert verdict.outcome == "violated"
    assert verdict.detail.endswith("[mode=bilinear, padding_mode=border, align_corners=False]")


def test_with_reflection_black_far_away_is_not_a_value_of_the_image():
    def black(U, grid, *, mode="bilinear", padding_mode="zeros", align_corners=False):
        V = Reference().forward(U, grid, mode=mode, padding_mode=padding_mode, align_corners=align_corners)
        far = (np.abs(grid) > 1e4).any(-1)[:, None]
        return np.where(far & (padding_mode == "reflection"), 0, V)

    names = ("huge-coordinate-is-outside", "infinite-coordinate-is-outside")
    verdicts = check(Subject(black), [CLAIMS[name] for name in names])
    assert [verdict.outcome for verdict in verdicts] == ["violated", "violated"]


def test_a_sampler_that_refuses_everything_is_an_error_not_an_abstention():
    def sulks(U, grid, *, mode="bilinear", padding_mode="zeros", align_corners=False):
        raise ValueError("no")

    def breaks(U, grid, **options):
        raise KeyError("mode")

    for sampler in (sulks, breaks, keywords):
        verdict = check(Subject(sampler), [CLAIMS["offers-bilinear-with-zeros"]])[0]
        assert verdict.outcome == "error", verdict


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda U, grid: None, "V must be a NumPy array; got NoneType"),
        (lambda U, grid: [[1.0]], "V must be a NumPy array; got list"),
        (lambda U, grid: U, r"V must have shape \(1, 1, 1, 1\); got \(1, 1, 4, 8\)"),
        (lambda U, grid: np.zeros((1, 1, 1, 1), int), "V must hold floating-point numbers; got int64"),
    ],
)
def test_a_result_that_is_not_an_image_is_a_violation_with_a_clear_message(answer, says):
    with pytest.raises(Violated, match=says):
        CLAIMS["offers-bilinear-with-zeros"].check(Subject(answer))


def test_a_backward_that_returns_one_array_is_a_violation():
    subject = Subject(Reference().forward, lambda U, grid, gV: grid)
    with pytest.raises(Violated, match=r"backward must return \(gU, ggrid\); got ndarray"):
        CLAIMS["gradient-is-per-normalised-unit"].check(subject)


def test_without_a_backward_its_claims_are_not_offered():
    with pytest.raises(NotOffered, match="no backward was given"):
        CLAIMS["gradient-is-per-normalised-unit"].check(Subject(Reference().forward))


def test_a_violation_shows_the_worst_number():
    with pytest.raises(Violated, match=r"V at \(1,\): expected 2, got 5; 2 of 3 are wrong"):
        expect("V", [1.0, 5.0, 2.5], [1, 2, 3])
    with pytest.raises(Violated, match=r"V along y at \(3, 0.5\) pixels: expected 0, got 5; 1 of 4 are wrong"):
        expect("V", [[0.0, 0.0], [0.0, 5.0]], 0, points=[(1, 2), (3, 0.5)])
    with pytest.raises(Violated, match="V: expected nan, got 1"):
        expect("V", 1.0, np.nan)
    expect("V", [np.nan, np.inf, 1.0], [np.nan, np.inf, 1.0])
