"""Results of experiments: store, read and summarise them. Experiments write them; pages and figures show them.

Reading order: schemas.py (the contents of a file), store.py (one file), kept.py (a folder of them), summary.py (several
seeds).
"""

SCALES = ("smoke", "small", "paper")
