"""Every wrong sampler is caught, by the claims that are listed for it and by no others."""

import pytest

from stn_ref.conformance.claims import CLAIMS
from stn_ref.conformance.museum import EXHIBITS, ROOMS
from stn_ref.conformance.museum.catalogue import CAUGHT_BY
from stn_ref.conformance.run import check, run
from stn_ref.conformance.subject import Spec, find


@pytest.mark.parametrize("name", EXHIBITS)
def test_exhibit_is_caught_by_exactly_the_claims_listed(name):
    exhibit = EXHIBITS[name]
    verdicts = check(exhibit.make())
    assert {verdict.claim for verdict in verdicts if not verdict.passed} == exhibit.caught_by
    assert exhibit.telltale in exhibit.caught_by
    assert all(verdict.detail for verdict in verdicts if verdict.outcome == "violated")


def test_every_claim_can_fail():
    caught = set().union(*(exhibit.caught_by for exhibit in EXHIBITS.values()))
    elsewhere = {"offers-bilinear-with-zeros"}  # test_claims.py: a sampler that refuses everything
    assert caught | elsewhere == set(CLAIMS) and not caught & elsewhere


def test_the_museum_and_its_catalogue_list_the_same_exhibits():
    assert len(EXHIBITS) >= 16 and list(EXHIBITS) == list(CAUGHT_BY)
    assert sum(len([e for e in vars(room).values() if e in EXHIBITS.values()]) for room in ROOMS) == len(EXHIBITS)


@pytest.mark.parametrize("name", EXHIBITS)
def test_exhibit_says_what_is_wrong_and_where_it_was_seen(name):
    exhibit = EXHIBITS[name]
    assert exhibit.fault.endswith(".") and exhibit.seen and exhibit.name == name
    assert exhibit.source().startswith(("class ", "def ")) and exhibit.telltale not in exhibit.source()


def test_exhibits_can_be_named_on_the_command_line():
    museum = "stn_ref.conformance.museum"
    kink, goldens = "kink-takes-the-right-slope", "golden-zeros-align-corners-true"
    verdicts = run(Spec(f"{museum}:left_kink", f"{museum}:left_kink_backward"), only=["identity", kink, goldens])
    assert [verdict.outcome for verdict in verdicts] == ["satisfied", "violated", "violated"]
    assert find(f"{museum}:silently_affine") is EXHIBITS["silently-affine"].wrong
    with pytest.raises(ValueError, match="has no function 'nothing_backward'"):
        find(f"{museum}:nothing_backward")
