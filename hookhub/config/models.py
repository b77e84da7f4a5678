"""The settings as typed tables. All times are seconds, all sizes bytes."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from hookhub.config.checks import (
    check_bind,
    check_bypassed,
    check_database_url,
    check_network,
    check_origin,
    check_plugin_name,
    check_proxy,
    check_public_url,
    check_trusted_proxy,
)
from hookhub.contracts.errors import ConfigError
from hookhub.contracts.events import field_errors
from hookhub.secretbox import KEY_MIN

Network = Annotated[str, AfterValidator(check_network)]
Bypassed = Annotated[str, AfterValidator(check_bypassed)]
AllowedOrigin = Annotated[str, AfterValidator(check_origin)]
TrustedProxy = Annotated[str, AfterValidator(check_trusted_proxy)]
PluginName = Annotated[str, AfterValidator(check_plugin_name)]
Seconds = Annotated[float, Field(ge=0)]
SecretKey = Annotated[str, Field(min_length=KEY_MIN)]


DRAIN_BEHIND_PROXY = 5.0
"""``[server] drain_delay`` where ``public_url`` says that a proxy stands before the hub."""


TableT = TypeVar("TableT", bound="Table")


class Table(BaseModel):
    """Base of the tables: an unknown key is an error."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        # A wrong value may be a secret that slipped into the wrong key.
        hide_input_in_errors=True,
    )


class ServerSettings(Table):
    """``[server]``: where the hub listens."""

    bind: Annotated[str, AfterValidator(check_bind)] = Field(
        default="127.0.0.1:8080", description="Address and port, or unix:/path"
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes that share the port and the work; more than one need PostgreSQL",
    )
    name: str = Field(
        default="",
        max_length=100,
        description="What this hub is called among several; not set, the machine's name",
    )
    public_url: Annotated[str, AfterValidator(check_public_url)] | None = Field(
        default=None, description="How browsers reach the hub, if not by bind"
    )
    trusted_proxies: list[TrustedProxy] = Field(
        default_factory=list,
        description="Networks (CIDR) of proxies whose X-Forwarded-For is believed; 'unix' for "
        "those that connect by a Unix socket",
    )
    max_body: int = Field(
        default=8 * 1024 * 1024, ge=1024, description="Largest request body, bytes"
    )
    drain_delay: float | None = Field(
        default=None,
        ge=0,
        description="Seconds that requests are still taken after SIGTERM, while the hub says that "
        "it is not ready; not set, it is 5 with public_url, and 0 without",
    )
    graceful_timeout: float = Field(
        default=30.0, ge=0, description="Seconds that a stop may take before the process ends"
    )
    certfile: str | None = Field(default=None, description="TLS certificate chain (PEM)")
    keyfile: str | None = Field(default=None, description="TLS private key (PEM)")

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.certfile is None) != (self.keyfile is None):
            given, missing = ("certfile", "keyfile") if self.certfile else ("keyfile", "certfile")
            raise ValueError(f"has {given} but no {missing}; TLS needs both")
        return self

    def drain(self) -> float:
        """Seconds from SIGTERM to the stop: ``drain_delay``, or what suits the surroundings."""
        if self.drain_delay is not None:
            return self.drain_delay
        return DRAIN_BEHIND_PROXY if self.public_url is not None else 0.0


class DatabaseSettings(Table):
    """``[database]``: where everything is kept."""

    url: Annotated[str, AfterValidator(check_database_url)] = Field(
        default="sqlite:///hookhub.db", description="sqlite:///FILE or postgresql://…", repr=False
    )
    readers: int = Field(default=4, ge=1, le=64, description="Reading connections")
    timeout: float = Field(
        default=10.0, gt=0, description="Seconds to wait for a lock or a connection"
    )
    max_waiting: int = Field(
        default=64 * 1024 * 1024,
        ge=1,
        description="Bytes of events that may wait to be written; beyond them the answer is 503",
    )


class AuthSettings(Table):
    """``[auth]``: tokens, and the key that secrets are kept under."""

    bootstrap_token: str | None = Field(
        default=None,
        min_length=16,
        description="An admin token that exists from the first start on",
        repr=False,
    )
    secret_key: SecretKey | None = Field(
        default=None,
        description="Signing secrets and keys are encrypted in the database under this key",
        repr=False,
    )
    old_secret_keys: list[SecretKey] = Field(
        default_factory=list,
        description="Keys that secrets may still be encrypted under",
        repr=False,
    )

    @model_validator(mode="after")
    def _no_old_without_new(self) -> Self:
        if self.old_secret_keys and self.secret_key is None:
            raise ValueError("has old_secret_keys but no secret_key; set the new one as well")
        return self

    def secret_keys(self) -> list[str]:
        """All keys, the one to encrypt with first; none: secrets are kept as they are."""
        return [] if self.secret_key is None else [self.secret_key, *self.old_secret_keys]


class EventsSettings(Table):
    """``[events]``: what producers may send."""

    max_payload: int = Field(
        default=256 * 1024, ge=1, description="Largest payload as JSON text, bytes"
    )
    max_batch: int = Field(default=10_000, ge=1, description="Most events in one batch")
    outbox_interval: float = Field(
        default=0.25, gt=0, description="Seconds between looks into the table hookhub_outbox"
    )


class EgressSettings(Table):
    """``[egress]``: what the hub may call."""

    allow: list[Network] = Field(
        default_factory=list,
        description="Networks (CIDR) that may be called although they are not public",
    )
    proxy: Annotated[str, AfterValidator(check_proxy)] | None = Field(
        default=None,
        description="http(s)://[USER:PASSWORD@]HOST:PORT of a proxy that all calls go through",
        repr=False,
    )
    no_proxy: list[Bypassed] = Field(
        default_factory=list,
        description="Names (with all below them) and networks that are called without the proxy",
    )
    proxy_resolves: bool = Field(
        default=False,
        description="Let the proxy look names up; their addresses are then its to check",
    )

    @model_validator(mode="after")
    def _nothing_without_proxy(self) -> Self:
        if self.proxy is None and (self.no_proxy or self.proxy_resolves):
            key = "no_proxy" if self.no_proxy else "proxy_resolves"
            raise ValueError(f"has {key} but no proxy; set proxy as well, or leave it out")
        return self


class DeliverySettings(Table):
    """``[delivery]``: attempts and retries."""

    retry_schedule: list[Seconds] = Field(
        default=[5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400],
        description="Seconds to wait after each failed attempt; its length limits the attempts",
    )
    jitter: float = Field(default=0.1, ge=0, le=1, description="Each wait varies by this share")
    timeout: float = Field(default=15.0, gt=0, description="Seconds for one whole attempt")
    connect_timeout: float = Field(
        default=5.0, gt=0, description="Seconds to connect, TLS included"
    )
    concurrency: int = Field(default=1_000, ge=1, description="Attempts in flight at once")
    endpoint_concurrency: int = Field(
        default=20, ge=1, description="Attempts in flight at once to one endpoint"
    )
    warn_after: float = Field(
        default=86_400.0,
        ge=0,
        description="Seconds of nothing but failures until the event <sink>.failing",
    )
    disable_after: float = Field(
        default=5 * 86_400.0,
        ge=0,
        description="Seconds of nothing but failures until an endpoint is disabled",
    )
    max_response: int = Field(
        default=16 * 1024, ge=0, description="Bytes kept of a receiver's answer"
    )


class LiveSettings(Table):
    """``[live]``: the live feed."""

    ring_events: int = Field(default=20_000, ge=1, description="Recent events kept in memory")
    ring_bytes: int = Field(default=64 * 1024 * 1024, ge=1, description="Bytes of them at most")
    max_connections: int = Field(default=10_000, ge=1, description="Live connections in all")
    max_connections_per_token: int = Field(
        default=1_000, ge=1, description="Live connections per token"
    )
    heartbeat: float = Field(
        default=20.0, gt=0, description="Seconds between pings to live clients"
    )
    heartbeat_timeout: float = Field(
        default=20.0,
        gt=0,
        description="Seconds without any sign of life after a ping until the close",
    )
    max_message: int = Field(
        default=64 * 1024, ge=125, description="Largest message from a client, bytes"
    )
    max_lag: int = Field(
        default=4 * 1024 * 1024, ge=1024, description="Bytes that may wait for one slow client"
    )
    origins: list[AllowedOrigin] = Field(
        default_factory=list,
        description="Origins of browsers that may connect, besides public_url; ['*'] for all",
    )


class RetentionSettings(Table):
    """``[retention]``: how long things are kept; 0 keeps them for ever."""

    events: Seconds = Field(default=30 * 86_400.0, description="Seconds that events are history")
    deliveries: Seconds = Field(
        default=30 * 86_400.0,
        description="Seconds that a delivery is kept with its attempts after its success",
    )
    failed_deliveries: Seconds = Field(
        default=90 * 86_400.0, description="Seconds that a delivery is kept after it ended failed"
    )
    idempotency_keys: Seconds = Field(
        default=7 * 86_400.0, description="Seconds that a repeat is known by its Idempotency-Key"
    )
    jobs: Seconds = Field(
        default=30 * 86_400.0, description="Seconds that a replay is shown after its end"
    )
    interval: float = Field(
        default=60.0, gt=0, description="Seconds between looks for what is too old"
    )


class LogSettings(Table):
    """``[log]``: one line for each thing that happened."""

    format: Literal["console", "json"] = Field(
        default="console", description="For people or for programs"
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="From where on"
    )


class PluginsSettings(BaseModel):
    """``[plugins]``: which plugins, and ``[plugins.<name>]`` tables for each."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, hide_input_in_errors=True)
    __pydantic_extra__: dict[str, dict[str, Any]] = Field(init=False)

    required: list[PluginName] = Field(
        default_factory=list, description="Plugins without which the hub must not start"
    )
    disabled: list[PluginName] = Field(default_factory=list, description="Plugins to leave out")

    @model_validator(mode="after")
    def _required_or_disabled(self) -> Self:
        both = sorted(set(self.required) & set(self.disabled))
        if both:
            raise ValueError(f"has {', '.join(both)} both in required and in disabled; choose")
        return self

    def tables(self) -> dict[str, dict[str, Any]]:
        """The plugins' own tables by name."""
        return dict(self.__pydantic_extra__)

    def table(self, name: str) -> dict[str, Any]:
        """The plugin's own table, as it is.

        An environment variable cannot have a dash in its name, so what is set for ``my_sink``
        is also set for ``my-sink``.
        """
        tables = self.tables()
        return {**tables.get(name, {}), **tables.get(name.replace("-", "_"), {})}

    def read(self, name: str, model: type[TableT]) -> TableT:
        """The plugin's own table, checked; descriptions of the model's fields are shown.

        Raises:
            ConfigError: names every wrong key and says what is allowed.
        """
        try:
            return model.model_validate(self.table(name))
        except ValidationError as error:
            errors = field_errors(error, "plugins", name)
        wrong = "; ".join(
            f"{'.'.join(map(str, item['loc'][2:]))}: {item['msg']}" for item in errors
        )
        allowed = "; ".join(
            f"{key} ({field.description})" for key, field in model.model_fields.items()
        )
        raise ConfigError(f"[plugins.{name}] {wrong}. It may hold: {allowed}.", errors=errors)


class Settings(Table):
    """All settings of a hub."""

    server: ServerSettings = Field(default_factory=ServerSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    auth: AuthSettings = Field(default_factory=AuthSettings)
    events: EventsSettings = Field(default_factory=EventsSettings)
    egress: EgressSettings = Field(default_factory=EgressSettings)
    delivery: DeliverySettings = Field(default_factory=DeliverySettings)
    live: LiveSettings = Field(default_factory=LiveSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    plugins: PluginsSettings = Field(default_factory=PluginsSettings, repr=False)
