"""Random histories of changes, rollbacks, quarantines and break-glass moves agree with a model and can be undone.

The machine runs the use cases on a real database, and beside it a model in a few lines of Python. After every step the
two agree; at the end every earlier revision's documents and answers can be had back, byte for byte.
"""

import asyncio
import contextlib
import itertools
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, ClassVar

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from recsys.control.change_document import change_document
from recsys.control.manage_tenants import create_tenant
from recsys.control.quarantine import QuarantineRequest, lift_quarantine, quarantine_version
from recsys.control.roll_back import RollbackRequest, roll_back_document, roll_back_tenant
from recsys.domain.access import Actor
from recsys.domain.canonical import canonicalise, content_hash, parse
from recsys.domain.catalogue import Item, SurfaceRows
from recsys.domain.document import DocumentRef
from recsys.domain.errors import (
    PreconditionFailed,
    RecsysError,
    VersionMismatch,
    VersionNotFound,
    VersionQuarantined,
)
from recsys.domain.precondition import Preconditions
from recsys.domain.recommend import RecommendRequest, User
from recsys.serving.answer import recommend
from recsys.serving.snapshot import build_part, compose, read_documents
from recsys.storage.control_store import SqlControlStore
from recsys.storage.engine import Database, open_database
from recsys.storage.serving_store import SqlServingStore
from tests.support.clock import FakeClock
from tests.support.databases import PostgresTemplate, SqliteTemplate
from tests.support.shell import by_hand

CONFIG, RULES = DocumentRef("config"), DocumentRef("rules")
HOME, PDP = DocumentRef("manifest", "home"), DocumentRef("manifest", "pdp")
REFS = (CONFIG, RULES, HOME, PDP)


def canonical(value: Any) -> str:
    return canonicalise(parse(json.dumps(value).encode()))


def _manifest(surface: str, uri: str) -> dict[str, Any]:
    return {"v": 1, "tenant": "demo", "surface": surface, "current": {"popularity": uri}}


def _rule(action: str, key: str, **more: Any) -> dict[str, Any]:
    return {"action": action, "target_type": "tag", "target_key": key, **more}


TEXTS = {
    CONFIG: [canonical(value) for value in ({}, {"weights": {"pop": 2}}, {"popularity": {"half_life_days": 1}})],
    RULES: [
        canonical(value) for value in ([], [_rule("block", "even")], {"rules": [_rule("boost", "odd", boost_value=9)]})
    ],
    HOME: [canonical(_manifest("home", uri)) for uri in "abc"],
    PDP: [canonical(_manifest("pdp", uri)) for uri in "abc"],
}
SURFACE = SurfaceRows(
    surface="home",
    data_revision=0,
    items=[Item(item_id=f"i{n}", tags=["even" if n % 2 == 0 else "odd"]) for n in range(8)],
    popularity=[(f"i{n}", date(2026, 1, 1 + n % 3), float(n * 7 % 5)) for n in range(8)],
    covisits=[],
)
SIGNALS = build_part(SURFACE)
REQUEST = RecommendRequest(surface="home", k=5, user=User(user_id="u"))
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

State = dict[DocumentRef, str]


@dataclass
class Model:
    """What should be there: the state after every revision, and the answer given under it."""

    states: list[State] = field(default_factory=lambda: [{}])
    answers: dict[int, bytes] = field(default_factory=dict)
    stored: set[tuple[DocumentRef, str]] = field(default_factory=set)
    bad: set[tuple[DocumentRef, str]] = field(default_factory=set)
    audit_entries: int = 1

    @property
    def now(self) -> State:
        return self.states[-1]

    def moved_at(self, ref: DocumentRef) -> list[int]:
        """The revisions that moved a document, oldest first."""
        pairs = itertools.pairwise(self.states)
        return [at for at, (old, new) in enumerate(pairs, 1) if old.get(ref) != new.get(ref)]

    def become(self, state: State) -> None:
        changed = sum(self.now.get(ref) != state.get(ref) for ref in REFS)
        if changed:
            self.states.append(state)
            self.stored |= set(state.items())
            self.audit_entries += changed

    def leads_to_bad(self, state: State) -> bool:
        """Whether becoming this state brings something back that is under quarantine."""
        return any(self.now.get(ref) != text and (ref, text) in self.bad for ref, text in state.items())

    def mark(self, ref: DocumentRef, text: str | None) -> None:
        if text is not None and (ref, text) not in self.bad:
            self.bad.add((ref, text))
            self.audit_entries += 1

    def with_(self, ref: DocumentRef, text: str | None) -> State:
        state = {other: kept for other, kept in self.now.items() if other != ref}
        return state if text is None else {**state, ref: text}


class HistoryMachine(RuleBasedStateMachine):
    """One tenant's life."""

    fresh: ClassVar[Any]

    @initialize()
    def begin(self) -> None:
        self.url: str = type(self).fresh()
        self.runner = asyncio.Runner()
        self.database: Database = open_database(self.url)
        self.clock = FakeClock()
        self.store = SqlControlStore(self.database, self.clock)
        self.actor = Actor(sub="ann", actor_type="user")
        self.tenant = self.run(create_tenant(self.store, self.clock, self.actor, "demo"))
        self.model = Model()

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    @rule(
        ref=st.sampled_from(REFS),
        n=st.integers(0, 2),
        wish=st.sampled_from(["none", "match", "revision", "new"]),
        stale=st.booleans(),
        override=st.sampled_from([None, "meant"]),
    )
    def put(self, ref: DocumentRef, n: int, wish: str, stale: bool, override: str | None) -> None:
        text = TEXTS[ref][n]
        refused = self._refusal(ref, text, wish, stale=stale)
        if refused is None and override is None and self.model.leads_to_bad({ref: text}):
            refused = VersionQuarantined
        with pytest.raises(refused) if refused else contextlib.nullcontext():
            data = json.dumps(json.loads(text), indent=n).encode()
            wished = self._wish(ref, wish, stale)
            self.run(change_document(self.store, self.actor, self.tenant.id, ref, data, wished, override))
        if not refused:
            self.model.become(self.model.with_(ref, text))

    @rule(ref=st.sampled_from(REFS), n=st.integers(0, 2))
    def back_to_version(self, ref: DocumentRef, n: int) -> None:
        text = TEXTS[ref][n]
        known = (ref, text) in self.model.stored
        self._back(ref, RollbackRequest(to=content_hash(text)), text, known=known)

    @rule(ref=st.sampled_from(REFS), data=st.data())
    def back_to_revision(self, ref: DocumentRef, data: st.DataObject) -> None:
        revision = data.draw(st.integers(0, len(self.model.states)))
        known = revision < len(self.model.states)
        text = self.model.states[revision].get(ref) if known else None
        self._back(ref, RollbackRequest(revision=revision), text, known=known)

    @rule(ref=st.sampled_from(REFS), steps=st.integers(1, 4), quarantine=st.booleans())
    def back_some_steps(self, ref: DocumentRef, steps: int, quarantine: bool) -> None:
        moves = self.model.moved_at(ref)
        known = steps <= len(moves)
        text = self.model.states[moves[-steps] - 1].get(ref) if known else None
        key = f"key-{len(self.model.states)}-{steps}-{quarantine}"
        self._back(ref, RollbackRequest(steps=steps, quarantine=quarantine), text, known=known, key=key)

    @rule(ref=st.sampled_from(REFS), n=st.integers(0, 2), lift=st.booleans())
    def mark_or_clear(self, ref: DocumentRef, n: int, lift: bool) -> None:
        text = TEXTS[ref][n]
        version = content_hash(text)
        known = (ref, text) in self.model.stored
        with contextlib.nullcontext() if known else pytest.raises(VersionNotFound):
            if lift:
                self.run(lift_quarantine(self.store, self.actor, self.tenant.id, ref, version))
            else:
                why = QuarantineRequest(reason="bad")
                self.run(quarantine_version(self.store, self.actor, self.tenant.id, ref, version, why))
        if known and lift:
            self.model.audit_entries += (ref, text) in self.model.bad
            self.model.bad.discard((ref, text))
        elif known:
            self.model.mark(ref, text)

    @rule(data=st.data())
    def all_back_to_revision(self, data: st.DataObject) -> None:
        revision = data.draw(st.integers(0, len(self.model.states) - 1))
        override = data.draw(st.sampled_from([None, "meant"]))
        self._all_back(revision, override)

    @precondition(lambda self: self.model.now)
    @rule(data=st.data(), delete=st.booleans())
    def break_the_glass(self, data: st.DataObject, delete: bool) -> None:
        ref = data.draw(st.sampled_from(sorted(self.model.now)))
        text = data.draw(st.sampled_from(sorted(text for of, text in self.model.stored if of == ref)))
        kind = {"config": ("configs", "config"), "rules": ("rules", "rule"), "manifest": ("manifests", "manifest")}
        current, versions = kind[ref.kind_name]
        here = f"where tenant_id = '{self.tenant.id}'" + (f" and surface = '{ref.surface}'" if ref.surface else "")
        if delete:
            by_hand(self.url, f"delete from tenant_{current}_current {here}")
            self.model.become(self.model.with_(ref, None))
            return
        version = f"select id from tenant_{versions}_versions where etag = '{content_hash(text)}'"
        by_hand(
            self.url,
            f"update tenant_{current}_current set {ref.kind_name}_version_id = ({version}), "
            f"updated_by_sub = 'break-glass', updated_at = now() {here}",
        )
        self.model.become(self.model.with_(ref, text))

    @invariant()
    def agrees_with_the_model(self) -> None:
        if hasattr(self, "model"):
            self.run(self._agrees())

    def teardown(self) -> None:
        if not hasattr(self, "model"):
            return
        for revision in dict.fromkeys((len(self.model.states) // 2, 0, len(self.model.states) - 1)):
            self._all_back(revision, "meant")
            self.run(self._agrees())
        self.run(self.database.close())
        self.runner.close()

    def _all_back(self, revision: int, override: str | None) -> None:
        request, anything = RollbackRequest(revision=revision), Preconditions()
        moving = roll_back_tenant(self.store, self.actor, self.tenant.id, request, anything, None, override)
        if override is None and self.model.leads_to_bad(self.model.states[revision]):
            with pytest.raises(VersionQuarantined):
                self.run(moving)
            return
        outcome = self.run(moving)
        assert outcome.changed == (self.model.now != self.model.states[revision])
        self.model.become(self.model.states[revision])

    def _back(
        self, ref: DocumentRef, request: RollbackRequest, text: str | None, *, known: bool, key: str | None = None
    ) -> None:
        bad = known and text is not None and self.model.leads_to_bad({ref: text})
        refused = VersionQuarantined if bad else None if known else VersionNotFound
        with pytest.raises(refused) if refused else contextlib.nullcontext():
            outcome = self.run(
                roll_back_document(self.store, self.actor, self.tenant.id, ref, request, Preconditions(), key)
            )
            assert outcome.changed == (self.model.now.get(ref) != text)
        if refused is None:
            left = self.model.now.get(ref)
            if request.quarantine and left != text:
                self.model.mark(ref, left)
            self.model.become(self.model.with_(ref, text))

    def _wish(self, ref: DocumentRef, wish: str, stale: bool) -> Preconditions:
        if wish == "match":
            text = self.model.now.get(ref)
            return Preconditions(if_match=frozenset({"0" * 64 if stale or text is None else content_hash(text)}))
        if wish == "revision":
            moves = self.model.moved_at(ref)
            revision = moves[-1] if ref in self.model.now else 0
            return Preconditions(if_revision=revision + 1 if stale else revision)
        return Preconditions(if_none_match=wish == "new")

    def _refusal(self, ref: DocumentRef, text: str, wish: str, *, stale: bool) -> type[RecsysError] | None:
        there = self.model.now.get(ref)
        if wish == "new" and there is not None:
            return PreconditionFailed
        if there == text or wish in ("none", "new"):
            return None
        return VersionMismatch if stale or (wish == "match" and there is None) else None

    async def _agrees(self) -> None:
        now, revision = self.model.now, len(self.model.states) - 1
        documents = await SqlServingStore(self.database).documents(self.tenant.id)
        assert documents.texts == now
        assert documents.revision == revision
        async with self.store.reading() as reader:
            entries = await reader.ledger(self.tenant.id, 1_000, None)
            assert [entry.revision for entry in entries] == list(range(revision, 0, -1))
            for entry, state in zip(entries, self.model.states[:0:-1], strict=True):
                assert {ref: entry.pointers.of(ref) for ref in state} == {
                    ref: content_hash(text) for ref, text in state.items()
                }
            assert len(await reader.audit(self.tenant.id, 1_000, None)) == self.model.audit_entries
            for ref in now:
                pointer = await reader.pointer(self.tenant.id, ref)
                assert pointer is not None
                assert pointer.revision == self.model.moved_at(ref)[-1]
            tenant = await reader.tenant(self.tenant.id)
            marked = {(each.name, each.version) for each in await reader.quarantined(self.tenant.id)}
        assert marked == {(str(ref), content_hash(text)) for ref, text in self.model.bad}
        snapshot = compose(tenant, read_documents(documents), {"home": SIGNALS}, None, data_revision=0, now=NOON)
        answer = recommend(snapshot, REQUEST, request_id="r", now=NOON, stale=False)
        items = msgspec.json.encode(answer.items)
        for state, then in zip(self.model.states, range(len(self.model.states)), strict=True):
            if state == now:
                assert self.model.answers.setdefault(then, items) == items


@pytest.fixture(scope="module")
def in_memory() -> Iterator[Path]:
    """A directory without a disk behind it where there is one: a thousand histories wait for no disk."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as directory:
        yield Path(directory)


SETTINGS = settings(deadline=None, stateful_step_count=12, suppress_health_check=list(HealthCheck), print_blob=True)


@pytest.mark.parametrize("part", range(4))
def test_a_thousand_histories_on_sqlite(in_memory: Path, part: int) -> None:
    """Four parts of 260, so that the processes of the test run share them."""
    template = SqliteTemplate(in_memory)
    machine = type("Machine", (HistoryMachine,), {"fresh": staticmethod(template.fresh)})
    run_state_machine_as_test(machine, settings=settings(SETTINGS, max_examples=260))


def test_fifty_histories_on_postgresql(postgres_template: PostgresTemplate) -> None:
    machine = type("Machine", (HistoryMachine,), {"fresh": staticmethod(postgres_template.fresh)})
    run_state_machine_as_test(machine, settings=settings(SETTINGS, max_examples=50))
