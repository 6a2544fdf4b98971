"""What every sampler and every layer must satisfy, run against ours and anybody's.

Read claim.py, claims/ and subject.py, then run.py; museum/ shows what the claims catch. gradients.py is about layers.
"""
