"""Settings: ``hookhub.toml`` and ``HOOKHUB_*`` become one typed object.

``models`` says what there is, ``checks`` what single values must look like, ``load`` reads the
file and the environment, and ``problems`` tells a person what is wrong, and where.
"""

from hookhub.config.checks import parse_bind
from hookhub.config.load import DEFAULT_FILE, load_settings
from hookhub.config.models import (
    AuthSettings,
    DatabaseSettings,
    DeliverySettings,
    EgressSettings,
    EventsSettings,
    LiveSettings,
    LogSettings,
    PluginsSettings,
    RetentionSettings,
    ServerSettings,
    Settings,
    Table,
)

__all__ = [
    "DEFAULT_FILE",
    "AuthSettings",
    "DatabaseSettings",
    "DeliverySettings",
    "EgressSettings",
    "EventsSettings",
    "LiveSettings",
    "LogSettings",
    "PluginsSettings",
    "RetentionSettings",
    "ServerSettings",
    "Settings",
    "Table",
    "load_settings",
    "parse_bind",
]
