"""Claims that every correct sampler and layer satisfies; they are run against our code and against yours.

Read claim.py, subject.py and claims/, then run.py and report.py. museum/ shows which faults the claims detect, peers/
and table.py show the results of well-known samplers. gradients.py checks layers.
"""
