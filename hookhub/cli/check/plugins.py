"""Are the plugins whole?"""

from __future__ import annotations

from collections.abc import Iterator

from hookhub.cli.check.findings import Finding
from hookhub.config import Settings
from hookhub.contracts.errors import HookhubError
from hookhub.hub import Hub


def check_plugins(settings: Settings, hub: Hub) -> Iterator[Finding]:
    """What is broken, missing or misspelt; and whether there is anything to work with."""
    reports = hub.plugins.report()
    good = [f"{item.name} {item.version}".strip() for item in reports if _works(item)]
    yield Finding("plugins", "ok" if good else "warning", ", ".join(good) or "There are none.")
    for report in reports:
        if report.error is not None:
            yield Finding(
                "plugins",
                "error" if report.name in settings.plugins.required else "warning",
                f"{report.name} is broken and left out: {report.error}",
                "'hookhub plugins --traceback' shows where it comes from.",
            )
    for notice in hub.plugins.notices():
        yield Finding("plugins", "warning", f"{notice}.")
    try:
        hub.plugins.check_required(settings.plugins.required)
    except HookhubError as error:
        yield Finding("plugins", "error", error.detail, "A hub does not start without it.")
    if not list(hub.registry):
        yield Finding(
            "plugins",
            "warning",
            "No plugin declares an event type, so no event can be sent.",
            "Install one (hookhub-users), or write one: docs, 'Writing a plugin'.",
        )


def _works(report: object) -> bool:
    return not getattr(report, "disabled", False) and getattr(report, "error", None) is None
