"""``python -m buildr_jupyter`` is ``buildr``."""

import sys

from buildr_jupyter.cli import main

sys.exit(main())
