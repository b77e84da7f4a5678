"""What schemathesis cannot know of a hub. It loads this file itself: SCHEMATHESIS_HOOKS.

Environment: ``TOKEN_ID`` is the id of the token that the run has; ``RECEIVER`` the address that
webhooks are pointed to; ``LIVE_ID`` the id of a live connection that may be closed; ``DELIVERY_ID``
that of a delivery, and ``WEBHOOK_ID`` its webhook, which stays; ``ANSWERS`` a file that gets a JSON
line for each answer.
"""

from __future__ import annotations

import json
import os
import re
from functools import reduce
from operator import getitem
from typing import Any

import schemathesis
from schemathesis.openapi.checks import IgnoredAuth, RejectedPositiveData

TOKEN_ID = int(os.environ["TOKEN_ID"])
RECEIVER = os.environ["RECEIVER"]
LIVE_ID = os.environ["LIVE_ID"]
WEBHOOK_ID = int(os.environ["WEBHOOK_ID"])
DELIVERY_ID = int(os.environ["DELIVERY_ID"])
ANSWERS = os.environ["ANSWERS"]

URL_MAX = 2048
WAIT = 0.05
"""Seconds that a request may wait for an event: none comes by itself."""
ORIGIN = re.compile(r"https?://[^\x00-\x20\x7f-\xa0\\/?#@]+")

WEBHOOKS = ("/webhooks", "/webhooks/{webhook_id}")
REPLAYS = ("/replays", "/webhooks/{webhook_id}/replay")

# What a hub refuses although it fits the schema, because no JSON Schema can say it: address and
# wrong field to the reason. Everything else that fits and is refused is a finding.
NOT_IN_ANY_SCHEMA = {
    ("/tokens", "expires_at"): "must be in the future, and that moves",
    **dict.fromkeys([(path, "ca") for path in WEBHOOKS], "must decode as a certificate"),
    **dict.fromkeys([(path, "filter") for path in WEBHOOKS], "is a language of its own"),
    **dict.fromkeys([(path, "transform") for path in WEBHOOKS], "has settings of its own"),
    **dict.fromkeys([(path, "since") for path in REPLAYS], "must be a cursor of this database"),
    **dict.fromkeys([(path, "until") for path in REPLAYS], "must be after since"),
    **dict.fromkeys([(path, "events") for path in REPLAYS], "must be what the endpoint wants"),
    ("/events", "where"): "is JSON in a query, and a language of its own",
    ("/webhooks/{webhook_id}/deliveries", "offset"): "goes with no other parameter but status",
}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Spare the run's own token, its time, and keep the hub's requests on this machine."""
    if case.operation.path == "/events" and isinstance((case.query or {}).get("wait"), int | float):
        case.query["wait"] = min(case.query["wait"], WAIT)
    if "connection_id" in (case.path_parameters or {}) and case.meta.generation.mode.is_positive:
        case.path_parameters["connection_id"] = LIVE_ID
    if case.operation.path.endswith("/skip") and case.meta.generation.mode.is_positive:
        case.path_parameters["delivery_id"] = DELIVERY_ID
    webhook = str((case.path_parameters or {}).get("webhook_id"))
    if case.method == "DELETE" and webhook.isdecimal() and int(webhook) == WEBHOOK_ID:
        case.path_parameters["webhook_id"] = WEBHOOK_ID + 1
    number = str((case.path_parameters or {}).get("token_id"))
    if number.isdecimal() and int(number) == TOKEN_ID:
        case.path_parameters["token_id"] = TOKEN_ID + 1
    if case.operation.path.startswith("/webhooks") and isinstance(case.body, dict):
        url = case.body.get("url")
        if isinstance(url, str) and ORIGIN.match(url) and len(url) <= URL_MAX:
            case.body["url"] = ORIGIN.sub(RECEIVER, url, count=1)[:URL_MAX]


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Note what was answered."""
    with open(ANSWERS, "a", encoding="utf-8") as file:
        print(json.dumps([case.operation.label, response.status_code]), file=file)


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Drop refusals of valid data for one of the reasons above; keep all other failures."""
    if isinstance(failure, IgnoredAuth) and "got `429" in failure.message:
        # The run tries more wrong tokens than an address may. The response is another's.
        return False
    if not isinstance(failure, RejectedPositiveData) or response.status_code != 422:
        return True
    problem = json.loads(response.content)
    if problem["code"] == "idempotency_mismatch":
        # A key or an id that was used with another body gets 422, as documented. The hub looks
        # at it last: all the rest was found right.
        return False
    errors = problem.get("errors", [])
    return not errors or not all(_in_no_schema(error, case) for error in errors)


def _in_no_schema(error: dict[str, Any], case: Any) -> bool:
    # In a query the place begins with that word.
    name = error["loc"][1 if error["loc"][0] == "query" else 0]
    if (case.operation.path, name) in NOT_IN_ANY_SCHEMA:
        return True
    # JSON Schema takes 5.0 for an integer. In bodies that the hub reads it is one; but payloads of
    # events go on to receivers as they are, and there it breaks what expects an integer.
    if "payload" not in error["loc"] or error["msg"] != "Input should be a valid integer":
        return False
    value = reduce(getitem, error["loc"], case.body)
    return isinstance(value, float) and value.is_integer()
