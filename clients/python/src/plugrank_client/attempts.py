"""Tries of a call, as many as there is time for."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

MOST = 4
# Before the second try; doubled before each further one, and spread, so that callers that were refused
# together do not come back together.
FIRST_PAUSE_S = 0.02
# With less an attempt cannot succeed.
LEAST_S = 0.001


@dataclass
class Attempt:
    """One try."""

    left: float
    """Seconds until the call must have its answer."""
    asked_pause: float = 0.0

    def wait(self, retry_after: str | None) -> None:
        """The server asked for a pause in seconds, or for none."""
        try:
            self.asked_pause = float(retry_after or 0)
        except ValueError:
            # A date, which only proxies send: the usual pause does.
            self.asked_pause = 0.0


def attempts(timeout: float) -> Iterator[Attempt]:
    """Tries within `timeout` seconds; ends where the pause before the next would use up the time."""
    deadline = time.monotonic() + timeout
    pause = FIRST_PAUSE_S
    for _ in range(MOST):
        attempt = Attempt(left=deadline - time.monotonic())
        if attempt.left < LEAST_S:
            return
        yield attempt
        wanted = max(pause * random.uniform(0.5, 1.0), attempt.asked_pause)  # noqa: S311 -- no secret
        if time.monotonic() + wanted + LEAST_S > deadline:
            return
        time.sleep(wanted)
        pause *= 2
