"""`python -m stn_ref` is `stn-ref`."""

import sys

from stn_ref.cli import main

if __name__ == "__main__":
    sys.exit(main())
