"""The faults of mutants_table.py still fit the code; `python tests/mutants.py` puts them in, by hand."""

from pathlib import Path

from mutants_table import FAULTS

PACKAGE = Path(__file__).parent.parent / "stn_ref"


def test_every_fault_fits_its_file_in_exactly_one_place():
    for fault in FAULTS:
        assert (PACKAGE / fault.file).read_text(encoding="utf-8").count(fault.old) == 1, fault
        assert fault.old != fault.new
