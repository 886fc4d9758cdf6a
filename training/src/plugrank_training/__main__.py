"""Entry point of `python -m plugrank_training`."""

import sys

from plugrank_training.cli import main

sys.exit(main())
