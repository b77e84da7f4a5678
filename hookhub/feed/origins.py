"""Which pages browsers may follow the live feed from (RFC 6454)."""

from __future__ import annotations

from urllib.parse import urlsplit

from hookhub.config import Settings

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def origins_known(settings: Settings) -> bool:
    """Whether there is anything to hold an origin against: a public URL, or a list."""
    return bool(_listed(settings))


def origin_allowed(settings: Settings, origin: str) -> bool:
    """Whether a page of this origin is one of the hub's or of ``[live] origins``."""
    listed = _listed(settings)
    return "*" in listed or normal_origin(origin) in {normal_origin(item) for item in listed}


def _listed(settings: Settings) -> list[str]:
    public = settings.server.public_url
    return [*settings.live.origins, *([] if public is None else [public])]


def normal_origin(url: str) -> str:
    """Scheme, host and port of a URL as RFC 6454 serialises them: ``https://hub.example``."""
    try:
        parts = urlsplit(url.strip().lower())
        port = parts.port
    except ValueError:
        return ""
    shown = "" if port is None or port == _DEFAULT_PORTS.get(parts.scheme) else f":{port}"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{shown}"
