"""The claims, in teaching order: what the paper's sampler does, one sentence and one check each."""

from stn_ref.conformance.claim import Claim, NotOffered, Violated
from stn_ref.conformance.claims import badnumbers, geometry, hygiene, kinks, modes, padding, slopes, splines

CHAPTERS = (geometry, padding, slopes, kinks, modes, hygiene, badnumbers, splines)

CLAIMS: dict[str, Claim] = {
    claim.name: claim for chapter in CHAPTERS for claim in vars(chapter).values() if isinstance(claim, Claim)
}

__all__ = ["CHAPTERS", "CLAIMS", "Claim", "NotOffered", "Violated"]
