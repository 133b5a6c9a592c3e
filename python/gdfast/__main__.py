"""``python -m gdfast``, see `gdfast._cli`."""

from __future__ import annotations

import sys

from gdfast._cli.main import main

if __name__ == "__main__":
    sys.exit(main())
