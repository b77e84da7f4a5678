"""Tracebacks for the log say where and what, but not with which values."""

from __future__ import annotations

import sqlite3
import sys

import peewee
import psycopg
import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from hookhub.logs.tracebacks import format_exception, message_of, place_of


def rendered(error: BaseException) -> str:
    try:
        raise error
    except BaseException:
        return format_exception(sys.exc_info())


def wrapped(message: str) -> peewee.IntegrityError:
    """As peewee raises what psycopg did."""
    try:
        try:
            raise psycopg.errors.UniqueViolation(message)
        except psycopg.Error as error:
            raise peewee.IntegrityError(*error.args) from error
    except peewee.IntegrityError as error:
        return error


VIOLATION = (
    'duplicate key value violates unique constraint "endpoints_secret"\n'
    "DETAIL:  Key (secret)=(opensesame) already exists."
)


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.UniqueViolation(VIOLATION),
        wrapped(VIOLATION),
        ExceptionGroup("a nursery's", [ExceptionGroup("another's", [wrapped(VIOLATION)])]),
    ],
    ids=["psycopg", "peewee", "group"],
)
def test_rows_stay_out(error: Exception) -> None:
    """What a database quotes of the row that it refused is masked; the constraint is named."""
    for text in (rendered(error), message_of(error)):
        assert "opensesame" not in text
        assert "endpoints_secret" in text
        assert "Violation" in text or "IntegrityError" in text


@pytest.mark.parametrize(
    "message",
    [
        'invalid input syntax for type json: "opensesame"',
        "invalid input syntax for type integer: 'opensesame'\nLINE 1: SELECT 'opensesame'",
    ],
)
def test_values_of_the_first_line_stay_out(message: str) -> None:
    """PostgreSQL says what it could not read."""
    error = psycopg.errors.DataError(message)
    for text in (rendered(error), message_of(error)):
        assert "opensesame" not in text
        assert "invalid input syntax for type" in text


def test_input_stays_out() -> None:
    """pydantic's messages quote the input."""

    class Model(BaseModel):
        secret: int
        other: SecretStr

    value = {"secret": "opensesame", "other": ["opensesame"]}
    with pytest.raises(ValidationError) as caught:
        Model.model_validate(value)
    assert "opensesame" in str(caught.value)
    text = rendered(caught.value)
    assert "opensesame" not in text
    assert "unable to parse string as an integer" in text


def test_the_rest_is_a_traceback_as_python_prints_it() -> None:
    """Causes, groups and places are there."""
    error = ExceptionGroup("two", [ValueError("one"), sqlite3.OperationalError("disk is full")])
    error.__cause__ = KeyError("first")
    text = rendered(error)
    for part in ("KeyError: 'first'", "ValueError: one", "disk is full", "test_tracebacks.py"):
        assert part in text
    assert message_of(error) == "ValueError: one; OperationalError: disk is full"


def test_the_place_is_where_it_was_raised() -> None:
    """Module and line of the innermost frame; nothing for what was never raised."""
    error = ValueError("x")
    rendered(error)
    place = place_of(ExceptionGroup("of one", [error]))
    assert place is not None
    assert place.rpartition(":")[0] == __name__
    assert place_of(ValueError("y")) is None
