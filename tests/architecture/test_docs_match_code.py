"""Every route, metric and error code that the code has stands in the documents."""

import re
from pathlib import Path

import msgspec
import pytest

from recsys.bootstrap.settings import Settings
from recsys.bootstrap.wiring import build_service
from recsys.domain.event import Event, EventLine
from recsys.domain.exposure import EvalExposure, ServiceExposure
from recsys.pipelines.gates import LIMITS
from recsys.service.app import HANDLERS
from recsys.service.call import dependencies
from recsys.service.hot import ROUTES
from recsys.service.metrics import DEFINITIONS
from recsys.service.openapi import describe

DOCS = Path(__file__).resolve().parents[2] / "docs"


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_every_metric_is_explained() -> None:
    page = read("operations.md")
    named = {name.removesuffix("_total") for name in re.findall(r"`(recsys_[a-z_]+)", page)}

    assert named == set(DEFINITIONS)


def test_every_path_stands_in_the_api_page(tmp_path: Path) -> None:
    page = read("api.md")
    service = build_service(Settings(db=f"sqlite:///{tmp_path}/unused.db"))
    documents = r"/(config|rules|manifests/\{surface\})"
    missing = []
    for path in [*describe(HANDLERS, dependencies(service))["paths"], *(route.path for route in ROUTES)]:
        shown = path.replace("{tenant_id}", "{t}").replace("{key_id}", "{id}")
        shown = re.sub(documents, "/{document}", shown)
        shown = re.sub(r"/signals/\{?\w+\}?", "/signals/", shown)
        tail = shown.partition("{document}")[2]
        if not any(spelling in page for spelling in (shown, f"…/{{document}}{tail}" if tail else shown)):
            missing.append(path)
    assert not missing


@pytest.mark.parametrize(
    ("heading", "format_"),
    [
        ("Send what people did", Event),
        ("An event: `event_v1`", EventLine),
        ("An exposure: `service_v1`", ServiceExposure),
        ("An exposure: `eval_v1`", EvalExposure),
    ],
)
def test_every_field_of_a_record_and_of_a_line_stands_in_its_table(heading: str, format_: type[msgspec.Struct]) -> None:
    table = read("events.md").partition(f"# {heading}\n")[2].partition("\n| field")[2].partition("\n\n")[0]
    first_column = "".join(row.split("|")[1] for row in table.splitlines()[2:])
    named = set(re.findall(r"`(\w+)`", first_column)) - {"schema"}

    assert named == set(format_.__struct_fields__)


def test_every_gate_stands_in_its_table_with_the_settings_that_move_it() -> None:
    table = read("pipelines.md").partition("\n| gate |")[2].partition("\n\n")[0]
    rows = [row.split(" | ") for row in table.splitlines()[2:]]
    shown = {row[0].strip("| `"): tuple(re.findall(r"`(\w+)`", row[-1])) for row in rows}

    assert shown == LIMITS
