"""The output of `stn-ref check`: one line for each claim, and what a violation means.

Reads: run.py. Read next: peers/.
"""

from collections.abc import Callable, Iterable

from stn_ref.conformance import peers
from stn_ref.conformance.claim import SUBJECTS, Claim
from stn_ref.conformance.claims import CLAIMS
from stn_ref.conformance.run import OUTCOMES, Verdict, run, select
from stn_ref.conformance.subject import Spec

WORDS = {"satisfied": "ok"} | {outcome: outcome.upper() for outcome in OUTCOMES[1:]} | {"not offered": "not offered"}
INDENT = " " * 13


def names(spec: Spec, only: Iterable[str] | None = None) -> list[str]:
    """Return the names of the claims to run: those in `only`, by default those about the given functions."""
    return [claim.name for claim in select(only) if only is not None or getattr(spec, claim.subject) is not None]


def lines(verdict: Verdict, claim: Claim) -> str:
    """Return the line of a verdict and its detail; for a failure also its meaning and other code that had the fault."""
    told = [f"{WORDS[verdict.outcome]:<{len(INDENT)}}{claim.name}: {claim.says}"]
    if verdict.detail:
        told.append(f"{INDENT}{verdict.detail}")
    if not verdict.passed:
        told.append(f"{INDENT}It may mean: {claim.failure}")
        if claim.known:
            told.append(f"{INDENT}Seen in: {claim.known}")
    return "\n".join(told)


def counts(verdicts: list[Verdict]) -> dict[str, int]:
    """Return outcome -> number of claims that had it, without outcomes that did not occur."""
    outcomes = [verdict.outcome for verdict in verdicts]
    return {outcome: outcomes.count(outcome) for outcome in OUTCOMES if outcome in outcomes}


def passed(verdicts: list[Verdict]) -> bool:
    """Return whether no claim failed and at least one was satisfied: a sampler that offers nothing does not pass."""
    return all(verdict.passed for verdict in verdicts) and "satisfied" in counts(verdicts)


def told_counts(verdicts: list[Verdict]) -> str:
    """Return the counts as a phrase.

    >>> told_counts([Verdict("identity", "satisfied", "", 0.1), Verdict("x-before-y", "violated", "...", 0.1)])
    '2 claims: 1 satisfied, 1 violated'
    """
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts(verdicts).items())
    return f"{len(verdicts)} claim{'s' * (len(verdicts) != 1)}: {told}"


def _refuse_absent_libraries(spec: Spec) -> None:
    """Raise ImportError if `spec` names one of our adapters whose library is not installed."""
    for peer in peers.PEERS.values():
        wanted = {peer.spec(role) for role in SUBJECTS} & {getattr(spec, role) for role in SUBJECTS} - {None}
        if wanted and not peer.installed():
            raise ImportError(f"{wanted.pop()} needs {peer.library}: pip install {peer.distributions[0]}")


def check(
    spec: Spec, *, only: Iterable[str] | None = None, time_limit: float = 60.0, say: Callable[[str], None]
) -> tuple[int, dict]:
    """Run the claims against the functions that `spec` names, and report each verdict.

    Args:
        spec, time_limit: as of `run`.
        only: names of claims; None: all claims about the given functions.
        say: called with the text of each verdict as soon as it is known.

    Returns:
        (status, report): status 0 if no claim failed, else 1.

    Raises:
        ImportError, ValueError: a function cannot be found, or a claim is unknown.
    """
    wanted = names(spec, only)
    _refuse_absent_libraries(spec)
    verdicts = run(spec, only=wanted, time_limit=time_limit, note=lambda v: say(lines(v, CLAIMS[v.claim])))
    say(told_counts(verdicts))
    wrong = [verdict.claim for verdict in verdicts if not verdict.passed]
    if len(wrong) > 1:
        say(f"begin with {wrong[0]}: the claims go from simple to subtle, and the other failures may follow from it")
    for role in SUBJECTS:
        left_out = [claim for claim in select(only) if claim.subject == role and claim.name not in wanted]
        if left_out:
            say(f"not run, because no {role} was given: {len(left_out)} more")
    return (0 if passed(verdicts) else 1), {
        "passed": passed(verdicts),
        "counts": counts(verdicts),
        "verdicts": [verdict.to_dict() for verdict in verdicts],
    }


def list_claims(say: Callable[[str], None]) -> tuple[int, dict]:
    """Pass one line for each claim to `say`; return (0, the report)."""
    for claim in CLAIMS.values():
        say(f"{claim.name} ({claim.subject}): {claim.says}")
    return 0, {"claims": [claim.to_dict() for claim in CLAIMS.values()]}
