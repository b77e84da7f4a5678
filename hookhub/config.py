"""Settings: ``hookhub.toml`` and ``HOOKHUB_*`` become one typed object.

All times are seconds, all sizes bytes.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Table(BaseModel):
    """Base of the tables: an unknown key is an error."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ServerSettings(Table):
    """``[server]``: where the hub listens."""

    bind: str = Field("127.0.0.1:8080", description="Address and port, or unix:/path")
    public_url: str | None = Field(None, description="How browsers reach the hub, if not by bind")
    max_body: int = Field(8 * 1024 * 1024, ge=1024, description="Largest request body, bytes")
    graceful_timeout: float = Field(
        30.0, ge=0, description="Seconds that a stop may take before the process ends"
    )
    certfile: str | None = Field(None, description="TLS certificate chain (PEM)")
    keyfile: str | None = Field(None, description="TLS private key (PEM)")


class DatabaseSettings(Table):
    """``[database]``: where everything is kept."""

    url: str = Field("sqlite:///hookhub.db", description="sqlite:///FILE or postgresql://…")
    readers: int = Field(4, ge=1, le=64, description="Reading connections")
    timeout: float = Field(10.0, gt=0, description="Seconds to wait for a lock or a connection")


class AuthSettings(Table):
    """``[auth]``: tokens."""

    bootstrap_token: str | None = Field(
        None, min_length=16, description="An admin token that exists from the first start on"
    )


class EventsSettings(Table):
    """``[events]``: what producers may send."""

    max_payload: int = Field(256 * 1024, ge=1, description="Largest payload as JSON text, bytes")
    max_batch: int = Field(10_000, ge=1, description="Most events in one batch")
    outbox_interval: float = Field(
        0.25, gt=0, description="Seconds between looks into the table hookhub_outbox"
    )


class EgressSettings(Table):
    """``[egress]``: what the hub may call."""

    allow: list[str] = Field(
        default_factory=list,
        description="Networks (CIDR) that may be called although they are not public",
    )


class DeliverySettings(Table):
    """``[delivery]``: attempts and retries."""

    retry_schedule: list[float] = Field(
        default=[5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400],
        description="Seconds to wait after each failed attempt; its length limits the attempts",
    )
    jitter: float = Field(0.1, ge=0, le=1, description="Each wait varies by this share")
    timeout: float = Field(15.0, gt=0, description="Seconds for one whole attempt")
    connect_timeout: float = Field(5.0, gt=0, description="Seconds to connect, TLS included")
    concurrency: int = Field(100, ge=1, description="Attempts in flight at once")
    max_response: int = Field(16 * 1024, ge=0, description="Bytes kept of a receiver's answer")


class LiveSettings(Table):
    """``[live]``: the live feed."""

    ring_events: int = Field(20_000, ge=1, description="Recent events kept in memory")
    ring_bytes: int = Field(64 * 1024 * 1024, ge=1, description="Bytes of them at most")
    max_connections: int = Field(10_000, ge=1, description="Live connections in all")
    max_connections_per_token: int = Field(1_000, ge=1, description="Live connections per token")
    heartbeat: float = Field(20.0, gt=0, description="Seconds between pings to live clients")
    heartbeat_timeout: float = Field(
        20.0, gt=0, description="Seconds without any sign of life after a ping until the close"
    )
    max_message: int = Field(64 * 1024, ge=125, description="Largest message from a client, bytes")
    max_lag: int = Field(
        4 * 1024 * 1024, ge=1024, description="Bytes that may wait for one slow client"
    )
    origins: list[str] = Field(
        default_factory=list,
        description="Origins of browsers that may connect, besides public_url; ['*'] for all",
    )


class LogSettings(Table):
    """``[log]``: one line for each thing that happened."""

    format: Literal["console", "json"] = Field("console", description="For people or for programs")
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="From where on")


class PluginsSettings(BaseModel):
    """``[plugins]``: which plugins, and ``[plugins.<name>]`` tables for each."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    required: list[str] = Field(
        default_factory=list, description="Plugins without which the hub must not start"
    )
    disabled: list[str] = Field(default_factory=list, description="Plugins to leave out")

    def table(self, name: str) -> dict[str, Any]:
        """The plugin's own table, as it is."""
        return dict((self.model_extra or {}).get(name, {}))


class Settings(Table):
    """All settings of a hub."""

    server: ServerSettings = Field(default_factory=ServerSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    auth: AuthSettings = Field(default_factory=AuthSettings)
    events: EventsSettings = Field(default_factory=EventsSettings)
    egress: EgressSettings = Field(default_factory=EgressSettings)
    delivery: DeliverySettings = Field(default_factory=DeliverySettings)
    live: LiveSettings = Field(default_factory=LiveSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    plugins: PluginsSettings = Field(default_factory=PluginsSettings)
