"""Results of experiments: on the disk, read again, and summed up; experiments write them, pages and figures show them.

Reading order: store.py (one file), kept.py (a folder of them), summary.py (several seeds).
"""

SCALES = ("smoke", "small", "paper")
