"""Settings: ``hookhub.toml`` and ``HOOKHUB_*`` become one typed object.

``models`` says what there is, ``checks`` what single values must look like, ``load`` reads the
file and the environment, and ``problems`` tells a person what is wrong, and where.
"""

from hookhub.config.checks import (
    check_bind,
    check_database_url,
    check_network,
    check_plugin_name,
    check_public_url,
    parse_bind,
)
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
    "check_bind",
    "check_database_url",
    "check_network",
    "check_plugin_name",
    "check_public_url",
    "load_settings",
    "parse_bind",
]
