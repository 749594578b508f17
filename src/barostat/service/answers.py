"""Refusals as HTTP answers: RFC 9457 problems, whoever refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from barostat.errors import DeniedError
from barostat.service.documents import Problem
from barostat.service.doorkeeper import Refusal
from barostat.service.problems import MEDIA_TYPE, problem_of, status_problem

__all__ = ["ERRORS", "answer", "forbidden", "refused"]

ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    status: {
        "model": Problem,
        "description": "An error, as application/problem+json.",
    }
    for status in ("4XX", "5XX", 422)
}
"""How routes describe their errors."""


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a problem."""
    return Response(problem.model_dump_json(), problem.status, headers, MEDIA_TYPE)


def refused(refusal: Refusal) -> Response:
    """Answer somebody whom the doorkeeper does not let in."""
    problem = status_problem(refusal.status, refusal.detail, hint=refusal.hint)
    return answer(problem, refusal.headers)


def forbidden(detail: str, *, hint: str = "nothing was changed") -> Response:
    """Answer somebody who is known and may not do that."""
    return answer(problem_of(DeniedError(detail, hint=hint)))
