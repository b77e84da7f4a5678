"""Files of webhooks: what is read of them, and what is wrong with them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hookhub.contracts.errors import MalformedRequest, ValidationFailed
from hookhub_webhook.commands.import_checks import check_rows, differences, match_rows
from hookhub_webhook.commands.import_rows import ImportRow, read_rows

KNOWN = ["payment.completed", "ticket.created", "user.created"]
HOOK = {"name": "A", "url": "https://a.example/", "event_type": "user.created"}


def read(text: str, *leave_out: str) -> list[ImportRow]:
    """The rows of a file with this text."""
    return read_rows(text.encode(), leave_out)


def test_a_table_as_databases_export_it() -> None:
    """Each cell becomes the REST API's member, what only counts is left out, lines are counted."""
    rows = read(
        "\ufeffid,Name,url,event_type,secret,description,is_active,created_at,success_count\r\n"
        '7,"Shop, new",https://shop.example/,user.created,s3cret,"two\r\nlines",t,2024-01-01,12\r\n'
        "\r\n"
        '8,Bot,https://bot.example/,"ticket.*, user.created",,,f,,\r\n'
    )
    assert [(row.place, row.was) for row in rows] == [("line 2", "7"), ("line 5", "8")]
    assert rows[0].members == {
        "name": "Shop, new",
        "url": "https://shop.example/",
        "event_type": "user.created",
        "secret": "s3cret",
        "description": "two\r\nlines",
        "is_active": True,
    }
    assert rows[1].members == {
        "name": "Bot",
        "url": "https://bot.example/",
        "event_type": ["ticket.*", "user.created"],
        "is_active": False,
    }


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (json.dumps([HOOK, HOOK]), ["item 1", "item 2"]),
        (json.dumps({"items": [HOOK], "total": 1}, indent=2), ["item 1"]),
        (json.dumps(HOOK, indent=2), ["item 1"]),
        (f"{json.dumps(HOOK)}\n\n{json.dumps(HOOK)}\n", ["line 1", "line 3"]),
        ("name;url;event_type\nA;https://a.example/;user.created\n", ["line 2"]),
        ("name\turl\tevent_type\nA\thttps://a.example/\tuser.created\n", ["line 2"]),
        ("", None),
    ],
)
def test_every_form_of_file_is_told_by_its_contents(text: str, places: list[str] | None) -> None:
    """JSON arrays, answers of GET /webhooks, NDJSON, and CSV with the usual separators."""
    if places is None:
        with pytest.raises(ValidationFailed, match="first line"):
            read(text)
        return
    rows = read(text)
    assert [row.place for row in rows] == places
    assert all(row.members == HOOK for row in rows)


@pytest.mark.parametrize(
    ("cell", "value"),
    [("5", 5), ("[5, 60]", [5, 60]), ("abc", "abc"), ("", None)],
)
def test_what_is_no_text_is_read_as_json(cell: str, value: Any) -> None:
    """Numbers and lists in a cell are what they look like; what is none is for the check."""
    (row,) = read(f'name,url,retry_schedule\nA,https://a.example/,"{cell}"\n')
    assert row.members.get("retry_schedule") == value


def test_a_secret_keeps_its_spaces() -> None:
    """The spaces of a secret are part of the key that its receiver has."""
    (row,) = read('name,url,secret\n A ,https://a.example/," s "\n')
    assert (row.members["name"], row.members["secret"]) == ("A", " s ")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"name,url\n\xff,x\n", "not UTF-8"),
        (b"[1,", "It is not JSON"),
        (b'name,url\nA,"x', "line 2"),
        (b"title,address\nA,B\n", "'name' and 'url'"),
        (b"name,url,tenant\nA,B,C\n", "--leave-out tenant"),
        (b'[{"name": "A", "tenant": 1}]', "--leave-out tenant"),
    ],
)
def test_a_file_that_is_none_says_why(data: bytes, said: str) -> None:
    """Nothing is read of a file with a mistake that is everywhere; the error says what to do."""
    with pytest.raises((MalformedRequest, ValidationFailed)) as caught:
        read_rows(data)
    assert said in caught.value.detail


def test_what_nobody_knows_can_be_left_out() -> None:
    """--leave-out takes a column away."""
    (row,) = read("name,url,tenant\nA,B,C\n", "tenant")
    assert row.members == {"name": "A", "url": "B"}


def test_a_line_that_is_none_harms_no_other() -> None:
    """A broken line, or one with too many cells, is a mistake of its own."""
    rows = read(f"{json.dumps(HOOK)}\n{{\n[]\n")
    assert [len(row.errors) for row in rows] == [0, 1, 1]
    rows = read("name,url\nA,B,C\nD,E\n")
    assert "3 cells" in rows[0].errors[0]["msg"]
    assert rows[1].members == {"name": "D", "url": "E"}


@pytest.mark.parametrize(
    ("members", "place", "said"),
    [
        ({"url": None}, "url", "required"),
        ({"url": "ftp://a.example/"}, "url", "http"),
        ({"url": "https://user:pw@a.example/"}, "url", "user"),
        ({"event_type": None}, "event_type", "'*' is all events"),
        ({"event_type": "user.creatd"}, "event_types", "'user.created'"),
        ({"event_type": "orders.*"}, "event_types", "'orders.*'"),
        ({"secret": "whsec_short"}, "secret", "base64"),
        ({"is_active": "maybe"}, "is_active", "boolean"),
        ({"name": "x" * 256}, "name", "255"),
        ({"headers": {"Host": "x"}}, "headers", "cannot be set"),
        ({"ca": "no certificate"}, "ca", "certificate"),
    ],
)
def test_mistakes_are_named(members: dict[str, Any], place: str, said: str) -> None:
    """What the hub would refuse is found before anything is sent, with its place."""
    row = ImportRow("line 2", {k: v for k, v in (HOOK | members).items() if v is not None})
    check_rows([row], KNOWN, rename=False)
    assert [error["loc"][0] for error in row.errors] == [place]
    assert said in row.errors[0]["msg"]


def test_without_the_hubs_types_they_are_the_hubs_to_check() -> None:
    """A token that may not list the types can import all the same."""
    row = ImportRow("line 2", HOOK | {"event_type": "user.creatd"})
    check_rows([row], None, rename=False)
    assert not row.errors


def test_good_rows_come_out_as_the_hub_tells_them() -> None:
    """One list of types, each once; the URL in its normal form."""
    row = ImportRow(
        "line 2", HOOK | {"url": "HTTPS://A.Example", "event_types": ["*", "user.created"]}
    )
    check_rows([row], KNOWN, rename=False)
    assert not row.errors
    assert row.members["event_types"] == ["user.created", "*"]
    assert row.members["url"] == "https://a.example/"


def test_a_name_that_comes_again() -> None:
    """It may; with ``rename`` it gets the next free number."""
    rows = [ImportRow(f"line {number}", dict(HOOK)) for number in (2, 3, 4)]
    check_rows(rows, KNOWN, rename=False)
    assert [(row.name, row.errors) for row in rows] == [("A", [])] * 3
    rows = [ImportRow(f"line {number}", dict(HOOK)) for number in (2, 3, 4)]
    check_rows(rows, KNOWN, rename=True)
    assert [row.name for row in rows] == ["A", "A (2)", "A (3)"]


def hook(number: int, name: str, *types: str, url: str = "https://a.example/") -> dict[str, Any]:
    """A webhook as the hub shows it, as far as it is told from others by that."""
    return {"id": number, "name": name, "url": url, "event_types": list(types)}


@pytest.mark.parametrize(
    ("rows", "there", "found"),
    [
        ([("A", "*")], [hook(1, "A", "user.*", url="https://b.example/")], [1]),
        ([("A", "*")], [hook(1, "B", "*")], [None]),
        ([("A", "user.*"), ("A", "ticket.*")], [], [None, None]),
        (
            [("A", "user.*"), ("A", "ticket.*")],
            [hook(1, "A", "ticket.*"), hook(2, "A", "user.*")],
            [2, 1],
        ),
        ([("A", "user.*"), ("A", "ticket.*")], [hook(1, "A", "ticket.*")], [None, 1]),
        ([("A", "user.*")], [hook(1, "A", "*"), hook(2, "A", "user.*")], [2]),
        ([("A", "user.*")], [hook(1, "A", "*"), hook(2, "A", "ticket.*")], [None]),
        ([("A", "*"), ("A", "*")], [hook(1, "A", "*"), hook(2, "A", "*")], [1, 2]),
        (
            [("A", "*"), ("A", "*"), ("B", "*")],
            [hook(1, "A", "*"), hook(2, "B", "*")],
            [1, None, 2],
        ),
    ],
)
def test_which_webhook_a_row_is(
    rows: list[tuple[str, str]], there: list[dict[str, Any]], found: list[int | None]
) -> None:
    """By its name; where several have that, in the file or the hub, URL and types must agree."""
    read = [
        ImportRow(
            f"line {number}", {"name": name, "url": "https://a.example/", "event_types": [type]}
        )
        for number, (name, type) in enumerate(rows, 2)
    ]
    assert [item and item["id"] for item in match_rows(read, there)] == found


def test_what_cannot_be_compared() -> None:
    """A secret or a header is never shown: it counts as different if asked, or if visibly so."""
    found = {"url": "u", "has_secret": True, "headers": {"X-A": "********"}}
    wanted = {"url": "u", "secret": "s", "headers": {"X-A": "1"}}
    assert differences(wanted, found, hidden=False) == {}
    assert set(differences(wanted, found, hidden=True)) == {"secret", "headers"}
    bare = {"url": "v", "has_secret": False, "headers": {}}
    assert set(differences(wanted, bare, hidden=False)) == {"url", "secret", "headers"}
