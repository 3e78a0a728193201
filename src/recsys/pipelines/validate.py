"""Validate: what the gates say of a window's events, kept for whoever wants to publish them."""

from __future__ import annotations

from datetime import date
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa

from recsys.pipelines.compute import segment_folder
from recsys.pipelines.gates import MOST_ROWS, Gate, Input, distance, judge
from recsys.pipelines.ingest import SetAsideLine, StagedFile, set_aside_of
from recsys.pipelines.place import Place, read_json, replacing, write_json, write_table
from recsys.pipelines.published_runs import ITEMS, PublishedRun
from recsys.pipelines.visits import day_of
from recsys.pipelines.window import day_number

if TYPE_CHECKING:
    from recsys.pipelines.canonicalise import Canonical
    from recsys.pipelines.compute import Inputs
    from recsys.pipelines.engine import Engine, Expression

TOP_ITEMS: Final = 20


class Validation(msgspec.Struct, frozen=True, kw_only=True):
    """The verdicts on one input, and what a report shows of it. ``drift``: against the run before, if any.

    ``window``: its first and its last day. ``fingerprint``: of the events in it, which says nothing of days without.
    """

    window: tuple[date, date]
    fingerprint: str
    gates: list[Gate]
    volume: dict[str, int]
    read: int
    late: int
    out_of_order: int
    elsewhere: int
    duplicates: int
    set_aside: dict[str, int]
    items: int
    top_items: list[tuple[str, int]]
    drift: float | None
    drifted: list[tuple[str, float, float]]

    @property
    def passed(self) -> bool:
        """Whether this may be published."""
        return all(gate.passed for gate in self.gates)


def item_counts(events: Expression) -> Expression:
    """Of selected events: item_id, count int64."""
    return events.group_by("item_id").agg(count=events.count().cast("int64"))


def day_counts(engine: Engine, events: Expression) -> Expression:
    """Of selected events: day (since 1970), count int64."""
    dated = events.mutate(day=day_of(engine, events["at"]))
    return dated.group_by("day").agg(count=dated.count().cast("int64"))


def validate(
    place: Place, inputs: Inputs, files: list[StagedFile], canonical: Canonical, before: PublishedRun
) -> Validation:
    """Judge a window beside the run ``before``, and remember the verdict."""
    items = _counts(inputs, item_counts(inputs.events), "item_id") if inputs.tables else {}
    by_day = _counts(inputs, day_counts(inputs.engine, inputs.events), "day") if inputs.tables else {}
    days = inputs.window.days()
    volume = {day.isoformat(): by_day.get(day_number(day), 0) for day in days}
    set_aside: dict[str, int] = {}
    for file in files:
        for reason, count in file.set_aside.items():
            set_aside[reason] = set_aside.get(reason, 0) + count
    found = Input(
        days=days, volume=volume, items=items, read=sum(file.events for file in files), set_aside=set_aside,
        duplicates=canonical.duplicates, examples=_examples(place, files),
        before=before.volume, items_before=before.items,
    )  # fmt: skip
    drift, drifted = distance(items, before.items) if items and before.items else (None, [])
    validation = Validation(
        window=(inputs.window.start, inputs.window.end),
        fingerprint=inputs.fingerprints["events"],
        gates=judge(found, inputs.settings.gates),
        volume=volume,
        read=found.read,
        late=sum(file.late for file in files),
        out_of_order=sum(file.out_of_order for file in files),
        elsewhere=sum(file.elsewhere for file in files),
        duplicates=canonical.duplicates,
        set_aside=dict(sorted(set_aside.items())),
        items=len(items),
        top_items=sorted(items.items(), key=lambda row: (-row[1], row[0]))[:TOP_ITEMS],
        drift=drift,
        drifted=drifted,
    )
    write_json(place.at(segment_folder(inputs.segment), "validation.json"), validation)
    write_table(place.at(segment_folder(inputs.segment), ITEMS), _table(items))
    return validation


def read_validation(place: Place, segment: str | None) -> Validation | None:
    """The last verdict."""
    return read_json(place.at(segment_folder(segment), "validation.json"), Validation)


def write_set_aside(place: Place, files: list[StagedFile]) -> None:
    """All that was set aside, in one file: by source, then duplicates."""
    names = {file.key: file.name for file in files}
    with replacing(place.at("set_aside.jsonl")) as own, own.open("wb") as out:
        for file in sorted(files, key=lambda file: file.name):
            with set_aside_of(place, file).open("rb") as lines:
                out.writelines(lines)
        with place.at("events", "duplicates.jsonl").open("rb") as lines:
            for line in lines:
                found = msgspec.json.decode(line, type=SetAsideLine)
                key, _, number = found.source.rpartition(":")
                named = msgspec.structs.replace(found, source=f"{names.get(key, key)}:{number}")
                out.write(msgspec.json.encode(named) + b"\n")


def _counts(inputs: Inputs, expression: Expression, key: str) -> dict[Any, int]:
    table = inputs.engine.fetch(expression)
    return dict(zip(table.column(key).to_pylist(), table.column("count").to_pylist(), strict=True))


def _table(items: dict[str, int]) -> pa.Table:
    names = sorted(items)
    return pa.table(
        {"item_id": pa.array(names, pa.string()), "count": pa.array([items[name] for name in names], pa.int64())}
    )


def _examples(place: Place, files: list[StagedFile]) -> list[str]:
    found: list[str] = []
    for file in files:
        if file.set_aside and len(found) < MOST_ROWS:
            with set_aside_of(place, file).open("rb") as lines:
                for line in islice(lines, MOST_ROWS):
                    entry = msgspec.json.decode(line, type=SetAsideLine)
                    found.append(f"{entry.source}: {entry.reason}: {entry.detail}")
    return found[:MOST_ROWS]
