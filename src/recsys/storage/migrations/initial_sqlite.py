"""Step 0001 on SQLite: append-only tables, break-glass triggers, history views.

The three kinds of document differ in names only, so each trigger is written once and filled in per kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from string import Template

APPEND_ONLY = {
    "tenant_config_versions": "id = new.id or (tenant_id = new.tenant_id and etag = new.etag)",
    "tenant_rule_versions": "id = new.id or (tenant_id = new.tenant_id and etag = new.etag)",
    "tenant_manifest_versions": "id = new.id or (tenant_id = new.tenant_id and etag = new.etag)",
    "tenant_revisions": "tenant_id = new.tenant_id and revision = new.revision",
    "audit_log": "id = new.id",
}
"""Each append-only table, and when a new row would take the place of an old one."""

# INSERT OR REPLACE deletes the row in its way without asking the delete trigger, by rowid too: hence the insert guard.
GUARDS = Template("""
create trigger ${table}_no_update before update on ${table}
begin select raise(abort, '${table} is append-only: rows are never updated'); end;
create trigger ${table}_no_delete before delete on ${table}
begin select raise(abort, '${table} is append-only: rows are never deleted'); end;
create trigger ${table}_no_replace before insert on ${table}
when exists (select 1 from ${table} where rowid = new.rowid or ${clash})
begin select raise(abort, '${table} is append-only: rows are never replaced'); end
""")

# A hand-written id below 1 or far beyond the last would block the log for good: SQLite counts on from the highest.
NUMBERS = """
create trigger audit_log_counts_on after insert on audit_log
when new.id < 1 or new.id > (select coalesce(max(id), 0) + 1 from audit_log where id <> new.id)
begin select raise(abort, 'audit_log numbers its rows itself'); end;
create trigger tenants_never_lowered before update on tenants
when new.revision < old.revision or new.data_revision < old.data_revision or new.invalidations < old.invalidations
begin select raise(abort, 'revisions are never lowered'); end;
create trigger tenants_no_delete before delete on tenants
begin select raise(abort, 'tenants are never deleted: suspend them'); end
"""

KINDS = (
    {
        "kind": "config",
        "current": "tenant_configs_current",
        "versions": "tenant_config_versions",
        "version_id": "config_version_id",
        "body": "config",
        "recorded": "config_version",
        "here": "true",
        "entity_id": "'config'",
        "config": "$etag",
        "rules": "rules_version",
        "manifests": "manifest_versions",
    },
    {
        "kind": "rules",
        "current": "tenant_rules_current",
        "versions": "tenant_rule_versions",
        "version_id": "rules_version_id",
        "body": "rules",
        "recorded": "rules_version",
        "here": "true",
        "entity_id": "'rules'",
        "config": "config_version",
        "rules": "$etag",
        "manifests": "manifest_versions",
    },
    {
        "kind": "manifest",
        "current": "tenant_manifests_current",
        "versions": "tenant_manifest_versions",
        "version_id": "manifest_version_id",
        "body": "manifest",
        "recorded": "(select value from json_each(manifest_versions) where key = $row.surface)",
        "here": "surface = $row.surface",
        "entity_id": "$row.surface",
        "config": "config_version",
        "rules": "rules_version",
        # json_patch drops a key whose new value is null, which is just what clearing means.
        "manifests": "json_patch(manifest_versions, json_object($row.surface, $etag))",
    },
)

# The API writes its ledger row before the pointer. A pointer that disagrees with the newest ledger row was therefore
# moved by an operator's statement: record it as the API would have.
BREAK_GLASS = Template("""
create trigger ${current}_owned_${name} before ${event} on ${current}
when not exists (select 1 from ${versions} where tenant_id = new.tenant_id and id = new.${version_id})
begin select raise(abort, '${version_id} is no version of this tenant'); end;
create trigger ${current}_break_glass_${name} after ${event} on ${current}
when (select ${recorded} from tenant_revisions where tenant_id = new.tenant_id order by revision desc limit 1)
     is not ${etag}
begin
  ${ledger_row};
  update tenants set revision = ${revision} where id = new.tenant_id;
  update ${current} set revision = ${revision} where tenant_id = new.tenant_id and ${here};
  ${audit_row};
end
""")

CLEARED = Template("""
create trigger ${current}_once before insert on ${current}
when exists (select 1 from ${current} where tenant_id = new.tenant_id and ${same})
begin select raise(abort, 'there is a pointer already: update it'); end;
create trigger ${current}_revision before update of revision on ${current}
when new.revision <> old.revision
  and new.revision <> (select max(revision) from tenant_revisions where tenant_id = new.tenant_id)
begin select raise(abort, 'the revision of a pointer is that of its last move'); end;
create trigger ${current}_break_glass_delete after delete on ${current}
when (select ${recorded} from tenant_revisions where tenant_id = old.tenant_id order by revision desc limit 1)
     is not null
begin
  ${ledger_row};
  update tenants set revision = ${revision} where id = old.tenant_id;
  ${audit_row};
end;
create trigger ${current}_stays before update of tenant_id${surface} on ${current}
when new.tenant_id is not old.tenant_id${surface_moved}
begin select raise(abort, 'a pointer belongs to its document: update ${version_id} only'); end
""")

LEDGER_ROW = Template("""insert into tenant_revisions
    (tenant_id, revision, occurred_at, actor_sub, actor_type, action, reason,
     config_version, rules_version, manifest_versions)
  select t.id, coalesce(l.revision, 0) + 1, max(${now}, coalesce(l.occurred_at, '')), ${actor},
    'break-glass', '${kind}.update', 'written by hand', ${config}, ${rules}, coalesce(${manifests}, '{}')
  from tenants t left join
    (select * from tenant_revisions where tenant_id = ${row}.tenant_id order by revision desc limit 1) l on true
  where t.id = ${row}.tenant_id""")

AUDIT_ROW = Template("""insert into audit_log
    (occurred_at, tenant_id, actor_sub, actor_type, action, entity_type, entity_id, revision,
     before_state, after_state, extra)
  select l.occurred_at, l.tenant_id, l.actor_sub, l.actor_type, l.action, '${kind}', ${entity_id}, l.revision,
    ${before_body}, ${after_body},
    json_object('after_version', ${after_etag}, 'before_version', ${before_etag}, 'reason', l.reason)
  from tenant_revisions l where l.tenant_id = ${row}.tenant_id order by l.revision desc limit 1""")

HISTORY = Template("""
create view tenant_${kind}_history as
select l.tenant_id, l.revision, l.occurred_at as current_from,
  lead(l.occurred_at) over (partition by l.tenant_id order by l.revision) as current_until,
  l.${recorded} as etag, v.id as ${version_id}, l.actor_sub, l.actor_type, l.action, l.reason
from (
  select *, lag(${recorded}) over (partition by tenant_id order by revision) as before_etag from tenant_revisions
) l left join ${versions} v on v.tenant_id = l.tenant_id and v.etag = l.${recorded}
where l.${recorded} is not l.before_etag
""")


def statements() -> Iterator[str]:
    """Every statement of the step, in order."""
    for table, clash in APPEND_ONLY.items():
        yield from _split(GUARDS.substitute(table=table, clash=clash))
    yield from _split(NUMBERS)
    for kind in KINDS:
        yield from _break_glass(kind)
    for kind in KINDS[:2]:
        yield HISTORY.substitute(kind)


def _break_glass(kind: dict[str, str]) -> Iterator[str]:
    for name, event in (("insert", "insert"), ("update", f"update of {kind['version_id']}")):
        filled = _filled(kind, "new", old_id="old." + kind["version_id"] if name == "update" else None)
        yield from _split(BREAK_GLASS.substitute(filled, name=name, event=event))
    surface = {
        "same": "surface = new.surface" if kind["kind"] == "manifest" else "true",
        "surface": ", surface" if kind["kind"] == "manifest" else "",
        "surface_moved": " or new.surface is not old.surface" if kind["kind"] == "manifest" else "",
    }
    yield from _split(CLEARED.substitute(_filled(kind, "old", old_id="old." + kind["version_id"]), **surface))


def _filled(kind: dict[str, str], row: str, old_id: str | None) -> dict[str, str]:
    """Every placeholder of the templates for one kind; ``row`` is the trigger's row that names the tenant."""

    def of_version(column: str, version_id: str | None) -> str:
        if version_id is None:
            return "null"
        return f"(select {column} from {kind['versions']} where tenant_id = {row}.tenant_id and id = {version_id})"

    new_id = None if row == "old" else "new." + kind["version_id"]
    actor = "'break-glass'"
    if new_id is not None:
        # A statement that leaves both alone names nobody: the name that stands there moved it last time.
        named = "new.updated_by_sub"
        unsigned = "new.updated_at is old.updated_at and new.updated_by_sub is old.updated_by_sub"
        actor = f"case when {unsigned} then {actor} else {named} end" if old_id else named
    etag = of_version("etag", new_id)
    values = {name: Template(text).safe_substitute(row=row, etag=etag) for name, text in kind.items()}
    values |= {
        "row": row,
        "etag": etag,
        "actor": actor,
        "now": "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
        "revision": f"(select max(revision) from tenant_revisions where tenant_id = {row}.tenant_id)",
        "before_etag": of_version("etag", old_id),
        "after_etag": etag,
        "before_body": of_version(kind["body"], old_id),
        "after_body": of_version(kind["body"], new_id),
    }
    ledger_row, audit_row = LEDGER_ROW.substitute(values), AUDIT_ROW.substitute(values)
    return values | {"ledger_row": ledger_row, "audit_row": audit_row}


def _split(script: str) -> Iterator[str]:
    """One statement a trigger: the driver takes them one by one."""
    yield from ("create trigger" + part.rstrip().rstrip(";") for part in script.split("create trigger")[1:])
