"""Whatever goes wrong is told as a problem document, and the hub's own faults tell nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from structlog.testing import capture_logs
from werkzeug import exceptions

from hookhub.contracts import errors
from hookhub.http.problems import Problem, problem_response

SUBCLASSES = [
    item
    for item in vars(errors).values()
    if isinstance(item, type) and issubclass(item, errors.HookhubError) and item.status != 500
]


async def document(error: BaseException, **request: str) -> tuple[Any, dict[str, Any]]:
    response = problem_response(error, **request)
    return response, json.loads(response.body)


@pytest.mark.parametrize("kind", SUBCLASSES)
async def test_every_error_has_its_status_and_code(kind: type[errors.HookhubError]) -> None:
    """The document says what the error's class says, as application/problem+json."""
    error = kind("It went wrong.", errors=[{"loc": ["a", 0], "msg": "is wrong"}])
    response, problem = await document(error)
    assert response.status == problem["status"] == kind.status
    assert response.content_type == "application/problem+json"
    assert problem["type"] == f"urn:hookhub:problem:{kind.code}"
    assert (problem["code"], problem["title"]) == (kind.code, kind.title)
    assert problem["detail"] == "It went wrong."
    assert problem["errors"] == [{"loc": ["a", 0], "msg": "is wrong"}]
    Problem.model_validate(problem)


async def test_members_and_headers_are_kept() -> None:
    """What an error adds goes into the document and the headers."""
    error = errors.TooManyRequests("Slow down.", members={"limit": 3}, headers={"Retry-After": "1"})
    response, problem = await document(error)
    assert problem["limit"] == 3
    assert response.headers["Retry-After"] == "1"


@pytest.mark.parametrize("name", sorted(errors.RESERVED_MEMBERS))
def test_no_member_takes_the_place_of_a_standard_one(name: str) -> None:
    """An error with such a member is refused where it is made, not silently overwritten."""
    with pytest.raises(ValueError, match=f"its own {name}; give the further member another name"):
        errors.Conflict("It is closed.", members={name: "closed"})


def test_the_reserved_members_are_those_of_the_model() -> None:
    """What every document has, and RFC 9457's ``instance``, is reserved."""
    assert {*Problem.model_fields, "instance"} == errors.RESERVED_MEMBERS


async def test_401_says_how_to_authenticate() -> None:
    """RFC 9110 §11.6.1: a 401 carries WWW-Authenticate."""
    response, _ = await document(errors.Unauthorized("No."))
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (exceptions.NotFound(), 404, "not_found"),
        (exceptions.BadRequest(), 400, "malformed_request"),
        (exceptions.RequestTimeout(), 408, "request_timeout"),
        (exceptions.RequestEntityTooLarge(), 413, "payload_too_large"),
    ],
)
async def test_errors_of_the_framework(error: Exception, status: int, code: str) -> None:
    """The framework's errors look like hookhub's."""
    response, problem = await document(error)
    assert (response.status, problem["code"]) == (status, code)


async def test_405_names_the_methods() -> None:
    """RFC 9110 §15.5.6: a 405 carries Allow."""
    response, problem = await document(exceptions.MethodNotAllowed(["POST", "GET"]), method="PUT")
    assert response.headers["Allow"] == "GET, POST"
    assert problem["detail"] == "PUT is not possible at this address; use GET, POST."


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("hunter2"),
        errors.StoreError("/secret/path hunter2"),
        errors.ConfigError("hunter2"),
        ExceptionGroup("hunter2", [ValueError("hunter2"), KeyError("hunter2")]),
        exceptions.InternalServerError("hunter2"),
    ],
)
async def test_500_tells_nothing_but_is_logged(error: Exception) -> None:
    """A bug's text stays in the log, where the number of the answer finds it."""
    with capture_logs() as logs:
        response, problem = await document(error, method="GET", path="/x")
    assert response.status == 500
    assert problem["code"] == "internal_error"
    assert "hunter2" not in json.dumps(problem)
    [line] = logs
    assert (line["event"], line["path"], line["exc_info"]) == ("http.failed", "/x", error)
    assert line["incident"] == problem["incident"]
    assert problem["incident"] in problem["detail"]


async def test_a_group_of_one_is_that_one() -> None:
    """A handler may raise through a nursery of its own, which wraps what it raises."""
    wrapped = ExceptionGroup("outer", [ExceptionGroup("inner", [errors.NotFound("None here.")])])
    response, problem = await document(wrapped)
    assert (response.status, problem["detail"]) == (404, "None here.")
