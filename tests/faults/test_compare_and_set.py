"""64 writers in three processes on one PostgreSQL, and an operator with statements of his own: no update is lost."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.support.compare_and_set import Register, Writers, create_tenants
from tests.support.databases import PostgresTemplate
from tests.support.effort import effort
from tests.support.linearity import ANYTHING, Entry, Write, contradictions
from tests.support.server import serve
from tests.support.shell import by_hand, in_shell

TENANTS = [f"t{number}" for number in range(10)]
REGISTERS = [(tenant, document) for tenant in TENANTS for document in ("config", "rules")]
WRITERS, PROCESSES = 64, 3
OPERATIONS = effort(1_500, 20_000)
BY_HAND = effort(20, 200)


def test_no_update_is_lost_and_every_success_is_in_ledger_and_audit_log_once(
    postgres_template: PostgresTemplate, tmp_path: Path
) -> None:
    url = postgres_template.fresh()
    with contextlib.ExitStack() as running:
        servers = [running.enter_context(serve(url, tmp_path)) for _ in range(PROCESSES)]
        create_tenants(servers[0].url, TENANTS)
        writers = Writers([server.url for server in servers], REGISTERS, seed=11)
        with _operator(url, writers) as statements:
            writers.run(WRITERS, OPERATIONS)

    assert writers.odd == []
    assert writers.done == OPERATIONS
    assert len(statements) == BY_HAND, "the operator was meant to get through all along"
    won = [write for each in writers.writes.values() for write in each if write.revision is not None]
    refused = [write for each in writers.writes.values() for write in each if write.revision is None]
    assert len(won) > OPERATIONS / 10, "too few writers won to show anything"
    assert len(refused) > OPERATIONS / 100, "the writers never met"
    ledgers = _ledgers(url)
    for write in statements:
        writers.writes["t0", "config"].append(write)
    for register in REGISTERS:
        assert list(contradictions(ledgers[register], writers.writes[register], writers.reads[register])) == []
    assert sum(map(len, ledgers.values())) == len(won) + len(statements)
    _check_audit(url, len(won), len(statements))


@contextlib.contextmanager
def _operator(url: str, writers: Writers) -> Iterator[list[Write]]:
    """Move a pointer in ``psql`` again and again, to versions that have been current before."""
    done: list[Write] = []

    def work() -> None:
        while len(done) < BY_HAND:
            time.sleep(0.05)
            name, began = f"op-{len(done)}", time.monotonic()
            moved = in_shell(url, STATEMENT.format(name=name))
            if moved:
                done.append(Write(name, ANYTHING, began, time.monotonic(), int(moved[0])))

    thread = threading.Thread(target=work, name="operator", daemon=True)
    thread.start()
    yield done
    thread.join(60)


STATEMENT = """
update tenant_configs_current c
set config_version_id = v.id, updated_by_sub = '{name}', updated_at = now()
from tenants t, tenant_config_versions v
where t.external_id = 't0' and c.tenant_id = t.id and v.id = (
  select id from tenant_config_versions
  where tenant_id = t.id and id <> c.config_version_id order by random() limit 1)
returning c.revision
"""


def _ledgers(url: str) -> dict[Register, list[Entry]]:
    """The entries that moved each document, in the order of revisions; and no revision is missing or there twice."""
    rows = by_hand(
        url,
        "select t.external_id, r.revision, r.action, r.actor_type, r.actor_sub, r.reason, t.revision "
        "from tenant_revisions r join tenants t on t.id = r.tenant_id order by t.external_id, r.revision",
    )
    ledgers: dict[Register, list[Entry]] = {register: [] for register in REGISTERS}
    seen: Counter[str] = Counter()
    for tenant, revision, action, actor_type, actor, reason, _ in rows:
        seen[tenant] += 1
        assert revision == seen[tenant]
        id_ = actor if actor_type == "break-glass" else reason
        ledgers[tenant, action.partition(".")[0]].append(Entry(revision, id_))
    assert {tenant: top for tenant, *_, top in rows} == dict(seen)
    return ledgers


def _check_audit(url: str, won: int, by_operator: int) -> None:
    """One entry per success: it names its revision, and its states are what stood before and after."""
    rows = by_hand(
        url,
        "select actor_type, count(*), count(distinct (tenant_id, revision)) from audit_log "
        "where action in ('config.update', 'rules.update') group by actor_type",
    )
    counted = {actor_type: (entries, revisions) for actor_type, entries, revisions in rows}
    assert counted.pop("break-glass") == (by_operator, by_operator)
    assert list(counted.values()) == [(won, won)]
    torn = by_hand(
        url,
        "select count(*) from (select before_state, lag(after_state) over "
        "(partition by tenant_id, entity_type order by revision) as expected from audit_log "
        "where action in ('config.update', 'rules.update')) a where before_state is distinct from expected",
    )
    assert torn[0][0] == 0, "a before_state is not what the entry before it left"
