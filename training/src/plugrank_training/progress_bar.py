"""Progress of long work, for a terminal and for a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

# Between two lines of a log; a terminal's line is drawn anew much oftener.
LOG_SECONDS = 30.0


def progress_bar(over: Iterable[Any] | None = None, *, shown: bool = True, **options: Any) -> tqdm:
    """A bar that goes away when done; where standard error is no terminal, a line every half a minute.

    `TQDM_DISABLE=1` hides all bars.
    """
    interval = 0.1 if sys.stderr.isatty() else LOG_SECONDS
    # Only where asked for, so that the environment's word counts.
    hidden = {} if shown else {"disable": True}
    return tqdm(over, leave=False, mininterval=interval, **options, **hidden)
