"""What is written by hand must be readable: SQLite takes any text for a time, and both take any text for a document.

A row that the service cannot read harms its tenant for as long as it stands, and rows of versions stand for good. Rows
from before stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from string import Template

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

DOCUMENTS = {
    "tenant_config_versions": "config",
    "tenant_rule_versions": "rules",
    "tenant_manifest_versions": "manifest",
}
TIMES = {
    "tenants": ("created_at",),
    **dict.fromkeys(DOCUMENTS, ("created_at",)),
    "tenant_configs_current": ("updated_at",),
    "tenant_rules_current": ("updated_at",),
    "tenant_manifests_current": ("updated_at",),
    "tenant_revisions": ("occurred_at",),
    "tenant_revision_labels": ("created_at",),
    "tenant_quarantined_versions": ("created_at",),
    "tenant_api_keys": ("created_at", "revoked_at"),
    "audit_log": ("occurred_at",),
}

# As CURRENT_TIMESTAMP gives it, with up to six digits behind the second. SQLite rounds what it is given to write it in
# another form, so only whole seconds are compared; a day that does not exist becomes another one when it counts.
TIME = Template("""
create trigger ${table}_${column}_${event} before ${when} on ${table}
when new.${column} is not null and (
  typeof(new.${column}) <> 'text'
  or strftime('%Y-%m-%d %H:%M:%S', substr(new.${column}, 1, 19), '+0 days') is not substr(new.${column}, 1, 19)
  or (length(new.${column}) > 19 and substr(new.${column}, 20) not glob '.[0-9]*')
  or substr(new.${column}, 21) glob '*[^0-9]*'
  or length(new.${column}) > 26
)
begin select raise(abort, '${column} is a time in UTC, such as CURRENT_TIMESTAMP gives'); end
""")

DOCUMENT = Template("""
create trigger ${table}_readable before insert on ${table} when not json_valid(new.${body})
begin select raise(abort, '${body} is not JSON'); end
""")

# What is not JSON fails to be cast, and the message says where.
DOCUMENT_POSTGRESQL = Template("""
create function ${table}_readable() returns trigger language plpgsql as $$body$$
begin
  perform new.${body}::json;
  return new;
end
$$body$$
""")

HEX, DASHED = "[0-9a-f]", (8, 4, 4, 4, 12)
TENANT = f"""
create trigger tenants_uuid before insert on tenants
when new.id not glob '{"-".join(HEX * digits for digits in DASHED)}'
begin select raise(abort, 'id is a UUID in lower-case letters'); end
"""

OF_SURFACE = Template("""
create trigger tenant_manifests_current_surface_${event} before ${event} on tenant_manifests_current
when exists (
  select 1 from tenant_manifest_versions
  where tenant_id = new.tenant_id and id = new.manifest_version_id and surface <> new.surface
)
begin select raise(abort, 'manifest_version_id is a version of another surface'); end
""")

OF_SURFACE_POSTGRESQL = (
    """
create function recsys_manifest_of_surface() returns trigger language plpgsql as $body$
declare
  belongs text;
begin
  select surface into belongs from tenant_manifest_versions
    where tenant_id = new.tenant_id and id = new.manifest_version_id;
  if belongs <> new.surface then
    raise exception 'manifest_version_id is a version of surface %, not of %', belongs, new.surface
      using errcode = 'restrict_violation';
  end if;
  return new;
end
$body$
""",
    (
        "create trigger tenant_manifests_current_surface before insert or update on tenant_manifests_current "
        "for each row execute function recsys_manifest_of_surface()"
    ),
)


def upgrade() -> None:
    connection = op.get_bind()
    is_postgresql = connection.dialect.name == "postgresql"
    for statement in _postgresql() if is_postgresql else _sqlite():
        connection.exec_driver_sql(statement)


def _postgresql() -> Iterator[str]:
    for table, body in DOCUMENTS.items():
        yield DOCUMENT_POSTGRESQL.substitute(table=table, body=body)
        on_insert = f"before insert on {table} for each row execute function {table}_readable()"
        yield f"create trigger {table}_readable {on_insert}"
    yield from OF_SURFACE_POSTGRESQL


def _sqlite() -> Iterator[str]:
    for table, columns in TIMES.items():
        for column in columns:
            for event, when in (("inserted", "insert"), ("updated", f"update of {column}")):
                yield TIME.substitute(table=table, column=column, event=event, when=when)
    for table, body in DOCUMENTS.items():
        yield DOCUMENT.substitute(table=table, body=body)
    yield TENANT
    for event in ("insert", "update"):
        yield OF_SURFACE.substitute(event=event)
