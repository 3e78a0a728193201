"""Every route, metric and error code that the code has stands in the documents."""

import re
from pathlib import Path

from recsys.bootstrap.settings import Settings
from recsys.bootstrap.wiring import build_service
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
