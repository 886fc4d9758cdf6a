"""What a call may raise."""

from __future__ import annotations

from plugrank_client.models import FieldError, Problem


class PlugrankError(Exception):
    """A call came to nothing."""


class UnreachableError(PlugrankError):
    """There was no answer in time."""


class RefusedError(PlugrankError):
    """The server answered with a problem."""

    def __init__(self, problem: Problem) -> None:
        fields = "; ".join(f"{error.field}: {error.detail}" for error in problem.errors)
        super().__init__(f"{problem.status} {problem.title}: {fields or problem.detail}")
        self.status: int = problem.status
        self.title: str = problem.title
        self.detail: str = problem.detail
        self.errors: list[FieldError] = problem.errors
