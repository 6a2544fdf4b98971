"""What every sampler and every layer must satisfy, run against ours and anybody's.

Read claim.py, subject.py and claims/, then run.py and report.py; museum/ shows what the claims catch, peers/ and
table.py how well-known samplers fare. gradients.py is about layers.
"""
