"""Every setting of the service: typed, from ``RECSYS_*`` environment variables, each with a default and a line of doc.

``python -m recsys.bootstrap.settings`` prints the reference that stands in ``docs/settings.md``.
"""

from __future__ import annotations

import ipaddress
import os
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta

from recsys.domain.exposure import ExposureFormat
from recsys.domain.validation import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX = "RECSYS_"
_BAR = "\\|"
_LIMIT = re.compile(r"(?P<which>[<>]=) (?P<number>\d+)")
_S3 = re.compile(r"s3://[a-z0-9][a-z0-9.-]+(/[A-Za-z0-9][A-Za-z0-9_.-]*)*/?(?!\n)$")
SECRET = ("db", "subject_salt")

Milliseconds = Annotated[int, Meta(ge=10, le=60_000)]
Bytes = Annotated[int, Meta(ge=1_024)]
Secret = Annotated[str, Meta(min_length=16)]


class SettingsError(ValueError):
    """A setting that cannot be; the message names its variable."""


def _doc(text: str) -> Meta:
    return Meta(description=text)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How to run. Made by :meth:`from_environment`, or by hand in tests."""

    db: Annotated[str, _doc("Database: `sqlite:///path` or `postgresql://user@host/name`.")] = "sqlite:///recsys.db"
    host: Annotated[str, _doc("Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535), _doc("Port to listen on; 0 takes a free one.")] = 8080
    workers: Annotated[int, Meta(ge=1, le=256), _doc("Worker processes, one per core at most.")] = 1
    dev_auth: Annotated[bool, _doc("Trust `X-Dev-User-Id` headers instead of keys; only on a loopback address.")] = (
        False
    )
    poll_ms: Annotated[
        Milliseconds, _doc("How often a replica asks the database for changes while it does not hear of them.")
    ] = 100
    max_body_bytes: Annotated[Bytes, _doc("Largest body of a request, bulk loads aside.")] = 1_048_576
    max_load_bytes: Annotated[Bytes, _doc("Largest body of a bulk load.")] = 1_073_741_824
    spool_bytes: Annotated[Bytes, _doc("How much of a bulk load is kept in memory before it goes to a file.")] = (
        4_194_304
    )
    backlog: Annotated[int, Meta(ge=1, le=65_535), _doc("Connections that may wait to be accepted.")] = 2_048
    keep_alive_s: Annotated[int, Meta(ge=1, le=3_600), _doc("Seconds after which an idle connection is closed.")] = 30
    fast_http: Annotated[
        bool,
        _doc("Answer hot requests without a task each ([why](adr/0010-hot-protocol.md)); `false`: as all others."),
    ] = True
    shutdown_s: Annotated[int, Meta(ge=0, le=3_600), _doc("Seconds that running requests get to end at shutdown.")] = 10
    drain_s: Annotated[
        int,
        Meta(ge=0, le=3_600),
        _doc(
            "How many of these seconds a worker that ends goes on to answer on open connections, with "
            "`Connection: close`, before it cuts off the silent ones."
        ),
    ] = 2
    ready_s: Annotated[
        int,
        Meta(ge=1, le=86_400),
        _doc("Seconds that a new worker gets at a reload to load everything; then the old ones stay."),
    ] = 120
    hung_s: Annotated[
        int, Meta(ge=1, le=86_400), _doc("Seconds without a sign of life after which a worker is killed and replaced.")
    ] = 30
    trusted_proxies: Annotated[
        str, _doc("Comma-separated addresses of proxies whose `X-Forwarded-For` is believed.")
    ] = "127.0.0.1"
    exposure_format: Annotated[
        ExposureFormat,
        _doc("What is logged of every answer, see [events](events.md)."),
    ] = "service_v1"
    log_dir: Annotated[
        str | None,
        _doc(
            "Directory of exposures and events, on a local disk; default: `recsys-logs` beside the SQLite file, with "
            "PostgreSQL in the working directory."
        ),
    ] = None
    log_queue: Annotated[
        int,
        Meta(ge=1_000, le=1_000_000),
        _doc("Exposures, and as many events, that may wait in a worker; more exposures are dropped, events refused."),
    ] = 20_000
    log_file_bytes: Annotated[Bytes, _doc("Size after which a file of the log is followed by another.")] = 67_108_864
    log_retention_days: Annotated[
        int, Meta(ge=0, le=36_500), _doc("Whole days that exposures and events are kept; 0 keeps them for ever.")
    ] = 90
    log_fsync: Annotated[bool, _doc("Accept events only when they would survive a power failure.")] = False
    subject_salt: Annotated[
        Secret | None,
        _doc("Secret under which users are hashed, the same on all hosts; default: one made in the log directory."),
    ] = None
    log_level: Annotated[Literal["debug", "info", "warning", "error"], _doc("Least severe level that is logged.")] = (
        "info"
    )
    run_dir: Annotated[
        str | None, _doc("Directory for what the workers of a run share; default: a temporary one per run.")
    ] = None
    cache_dir: Annotated[
        str | None,
        _doc(
            "Directory on a local disk for compiled signals and the last known good, so that a restart is quick and "
            "can do without the database; default: `recsys-cache` beside the SQLite file, with PostgreSQL in the "
            "working directory."
        ),
    ] = None

    artifacts: Annotated[
        str | None,
        _doc(
            "Where [artifacts](artifacts.md) are: a directory, or `s3://bucket/prefix` with endpoint and credentials "
            "from the usual `AWS_…` variables; default: `recsys-artifacts` beside the SQLite file, with PostgreSQL in "
            "the working directory."
        ),
    ] = None
    artifact_max_bytes: Annotated[Bytes, _doc("Largest artifact that is stored or read.")] = 4_294_967_296

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], **overrides: object) -> Settings:
        """Read the environment; ``overrides`` (from a command line) that are not None win.

        Raises:
            SettingsError: a value that does not hold, or a variable that is nearly one of these.
        """
        types = get_type_hints(cls, include_extras=True)
        values = {name: value for name, value in overrides.items() if value is not None}
        for variable_, text in environ.items():
            if not variable_.startswith(PREFIX) or not text:
                continue
            name = variable_.removeprefix(PREFIX).lower()
            if name in types:
                values.setdefault(name, text)
            elif near := did_you_mean(name, types):
                # Others may have variables of the same prefix, but a typo must not pass for the default.
                raise SettingsError(f"{variable_}: there is no such setting. Did you mean {variable(near)}?")
        settings = cls(**{name: _convert(name, value, types[name]) for name, value in values.items()})
        settings.check()
        return settings

    def check(self) -> None:
        """Refuse settings that do not go together, or lead nowhere.

        Raises:
            SettingsError: development headers on an address that others can reach; an unknown sort of artifact store.
        """
        if self.artifacts and "://" in self.artifacts and not _S3.match(self.artifacts):
            raise SettingsError(f"{PREFIX}ARTIFACTS takes a directory or s3://bucket/prefix, not {self.artifacts!r}.")
        if self.dev_auth and not _is_loopback(self.host):
            raise SettingsError(
                f"{PREFIX}DEV_AUTH trusts whoever connects, so it only goes with a loopback {PREFIX}HOST, "
                f"not {self.host!r}."
            )

    @property
    def draining_s(self) -> int:
        """The part of ``shutdown_s`` that is spent on draining."""
        return min(self.drain_s, self.shutdown_s)

    def to_environment(self) -> dict[str, str]:
        """The variables that make these settings again, for worker processes."""
        values = msgspec.structs.asdict(self)
        return {variable(name): str(value) for name, value in values.items() if value is not None}


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def reference() -> str:
    """The settings as a Markdown page."""
    return "\n".join(
        [
            "# Settings",
            "",
            "Generated by `python -m recsys.bootstrap.settings`. Options of `recsys serve` win over the environment.",
            "",
            "| variable | type | default | what it does |",
            "|---|---|---|---|",
            *_rows(),
            "",
        ]
    )


def _rows() -> Iterator[str]:
    types = get_type_hints(Settings, include_extras=True)
    for field in msgspec.structs.fields(Settings):
        default = "" if field.default is None else f"`{str(field.default).lower()}`"
        doc = next(meta.description for meta in types[field.name].__metadata__ if getattr(meta, "description", None))
        yield f"| `{variable(field.name)}` | {_type_name(types[field.name])} | {default} | {doc} |"


def _type_name(annotated: Any) -> str:
    bare = annotated.__origin__
    if bare is bool:
        return "`true` or `false`"
    if bare is int:
        limits = [meta for meta in annotated.__metadata__ if meta.ge is not None]
        low, high = limits[0].ge, limits[0].le
        return f"whole number, {low} to {high}" if high is not None else f"whole number, at least {low}"
    if choices := [choice for choice in get_args(bare) if isinstance(choice, str)]:
        return f" {_BAR} ".join(f"`{choice}`" for choice in choices)
    return "text"


def _convert(name: str, value: object, type_: Any) -> Any:
    if isinstance(value, str) and type_.__origin__ is bool:
        value = {"1": "true", "0": "false"}.get(value, value.lower())
    try:
        return msgspec.convert(value, type_, strict=False)
    except msgspec.ValidationError as error:
        shown = "the value given" if name in SECRET else str(value)
        raise SettingsError(f"{variable(name)}: {shown} {_rule(str(error), type_)}.") from None


def _rule(error: str, type_: Any) -> str:
    """What a value must be, in words, from what msgspec says of it."""
    if limit := _LIMIT.search(error):
        bound = f"at {'most' if limit['which'] == '<=' else 'least'} {limit['number']}"
        return f"must have {bound} characters" if "length" in error else f"must be {bound}"
    return f"does not hold; it takes: {_type_name(type_).replace('`', '').replace(_BAR, 'or')}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def from_process() -> Settings:
    """The settings of this process."""
    return Settings.from_environment(os.environ)


if __name__ == "__main__":
    print(reference(), end="")  # noqa: T201 - printing is what this is run for
