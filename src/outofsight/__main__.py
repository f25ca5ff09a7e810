"""``python -m outofsight`` is the command ``outofsight``."""

import sys

from .cli import main

sys.exit(main())
