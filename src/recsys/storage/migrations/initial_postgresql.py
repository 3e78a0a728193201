"""Step 0001 on PostgreSQL: append-only tables, break-glass triggers, history views.

The three kinds of document differ in names only, so each trigger is written once and filled in per kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from string import Template

APPEND_ONLY = (
    "tenant_config_versions",
    "tenant_rule_versions",
    "tenant_manifest_versions",
    "tenant_revisions",
    "audit_log",
)

REFUSE = """
create function recsys_append_only() returns trigger language plpgsql as $body$
begin
  raise exception '% is append-only: rows are never updated, deleted or truncated', tg_table_name
    using errcode = 'restrict_violation';
end
$body$
"""

KINDS = (
    {
        "kind": "config",
        "current": "tenant_configs_current",
        "versions": "tenant_config_versions",
        "version_id": "config_version_id",
        "body": "config",
        "recorded": "config_version",
        "entity_id": "'config'",
        "config": "after.etag",
        "rules": "ledger.rules_version",
        "manifests": "manifests::text",
        "recorded_now": "ledger.config_version",
        "moved": "new.tenant_id is distinct from old.tenant_id",
        "same_pointer": "c.tenant_id = new.tenant_id",
    },
    {
        "kind": "rules",
        "current": "tenant_rules_current",
        "versions": "tenant_rule_versions",
        "version_id": "rules_version_id",
        "body": "rules",
        "recorded": "rules_version",
        "entity_id": "'rules'",
        "config": "ledger.config_version",
        "rules": "after.etag",
        "manifests": "manifests::text",
        "recorded_now": "ledger.rules_version",
        "moved": "new.tenant_id is distinct from old.tenant_id",
        "same_pointer": "c.tenant_id = new.tenant_id",
    },
    {
        "kind": "manifest",
        "current": "tenant_manifests_current",
        "versions": "tenant_manifest_versions",
        "version_id": "manifest_version_id",
        "body": "manifest",
        "recorded": "",
        "entity_id": "pointer.surface",
        "config": "ledger.config_version",
        "rules": "ledger.rules_version",
        "manifests": "jsonb_strip_nulls(manifests || jsonb_build_object(pointer.surface, after.etag))::text",
        "recorded_now": "manifests ->> pointer.surface",
        "moved": "new.tenant_id is distinct from old.tenant_id or new.surface is distinct from old.surface",
        "same_pointer": "c.tenant_id = new.tenant_id and c.surface = new.surface",
    },
)

# pg_temp is searched last: else a temporary table called audit_log would take the entry.
# The API writes its ledger row before the pointer. A pointer that disagrees with the newest ledger row was therefore
# moved by an operator's statement: record it as the API would have. SECURITY DEFINER, so that a role which may only
# update the pointers can use it. The tenant's row is locked before the ledger is read: two hands never draw the same
# revision, and the API never waits for a pointer while it holds that row, so nobody is a deadlock's victim.
BREAK_GLASS = Template("""
create function ${current}_break_glass() returns trigger language plpgsql
security definer set search_path = ${schema}, pg_temp as $$body$$
declare
  pointer ${current}%rowtype;
  ledger tenant_revisions%rowtype;
  before ${versions}%rowtype;
  after ${versions}%rowtype;
  manifests jsonb;
  actor text := 'break-glass';
begin
  if tg_op = 'DELETE' then pointer := old; else pointer := new; end if;
  if tg_op = 'UPDATE' and (${moved}) then
    raise exception 'a pointer belongs to its document: update ${version_id} only' using errcode = 'restrict_violation';
  end if;
  if tg_op <> 'DELETE' then
    select * into after from ${versions} where tenant_id = new.tenant_id and id = new.${version_id};
    if not found then
      raise exception '${version_id} % is no version of tenant %', new.${version_id}, new.tenant_id
        using errcode = 'foreign_key_violation';
    end if;
  end if;
  perform 1 from tenants where id = pointer.tenant_id for no key update;
  select * into ledger from tenant_revisions where tenant_id = pointer.tenant_id order by revision desc limit 1;
  manifests := coalesce(ledger.manifest_versions, '{}')::jsonb;
  if tg_op = 'INSERT' and exists (select 1 from ${current} c where ${same_pointer}) then
    -- This trigger runs before ON CONFLICT is judged, so the ledger would tell of a move that is not made.
    raise exception 'there is a pointer already: update it' using errcode = 'unique_violation';
  end if;
  if (${recorded_now}) is not distinct from after.etag then
    -- Agreed; and the revision is that of the move, whatever a statement wants it to be.
    if tg_op = 'UPDATE' and new.revision is distinct from ledger.revision then
      pointer.revision := old.revision;
    end if;
    return pointer;
  end if;
  if tg_op <> 'INSERT' then
    select * into before from ${versions} where tenant_id = old.tenant_id and id = old.${version_id};
  end if;
  -- A statement that leaves both alone names nobody: the name that stands there moved it last time.
  if tg_op = 'INSERT' or (tg_op = 'UPDATE' and (new.updated_at, new.updated_by_sub)
      is distinct from (old.updated_at, old.updated_by_sub)) then
    actor := new.updated_by_sub;
  end if;
  insert into tenant_revisions
    (tenant_id, revision, occurred_at, actor_sub, actor_type, action, reason,
     config_version, rules_version, manifest_versions)
  values
    (pointer.tenant_id, coalesce(ledger.revision, 0) + 1, greatest(clock_timestamp(), ledger.occurred_at),
     actor, 'break-glass',
     '${kind}.update', 'written by hand', ${config}, ${rules}, ${manifests})
  returning * into ledger;
  update tenants set revision = ledger.revision where id = ledger.tenant_id;
  insert into audit_log
    (occurred_at, tenant_id, actor_sub, actor_type, action, entity_type, entity_id, revision,
     before_state, after_state, extra)
  values
    (ledger.occurred_at, ledger.tenant_id, ledger.actor_sub, ledger.actor_type, ledger.action, '${kind}', ${entity_id},
     ledger.revision, before.${body}, after.${body},
     jsonb_build_object('before_version', before.etag, 'after_version', after.etag, 'reason', ledger.reason,
                        'database_user', session_user)::text);
  pointer.revision := ledger.revision;
  return pointer;
end
$$body$$
""")

HISTORY = Template("""
create view tenant_${kind}_history as
select l.tenant_id, l.revision, l.occurred_at as current_from,
  lead(l.occurred_at) over (partition by l.tenant_id order by l.revision) as current_until,
  l.${recorded} as etag, v.id as ${version_id}, l.actor_sub, l.actor_type, l.action, l.reason
from (
  select *, lag(${recorded}) over (partition by tenant_id order by revision) as before_etag from tenant_revisions
) l left join ${versions} v on v.tenant_id = l.tenant_id and v.etag = l.${recorded}
where l.${recorded} is distinct from l.before_etag
""")


NEVER_LOWERED = """
create function recsys_never_lowered() returns trigger language plpgsql as $body$
begin
  if tg_op = 'DELETE' then
    raise exception 'tenants are never deleted: suspend them' using errcode = 'restrict_violation';
  end if;
  if new.revision < old.revision or new.data_revision < old.data_revision or new.invalidations < old.invalidations then
    raise exception 'revisions are never lowered' using errcode = 'restrict_violation';
  end if;
  return new;
end
$body$
"""


def statements(schema: str) -> Iterator[str]:
    """Every statement of the step, in order. ``schema``: where the tables are, quoted."""
    yield NEVER_LOWERED
    yield (
        "create trigger tenants_never_lowered before update or delete on tenants "
        "for each row execute function recsys_never_lowered()"
    )
    yield REFUSE
    for table in APPEND_ONLY:
        for name, event in (("rows", "update or delete"), ("all", "truncate")):
            scope = "each row" if name == "rows" else "each statement"
            yield (
                f"create trigger {table}_append_only_{name} before {event} on {table} "
                f"for {scope} execute function recsys_append_only()"
            )
    for kind in KINDS:
        yield BREAK_GLASS.substitute(kind, schema=schema)
        current = kind["current"]
        yield (
            f"create trigger {current}_break_glass before insert or update or delete on {current} "
            f"for each row execute function {current}_break_glass()"
        )
    for kind in KINDS[:2]:
        yield HISTORY.substitute(kind)
