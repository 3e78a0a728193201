"""What `recsys status` says of a tenant: what is served, and by whom."""

from typing import Any

import httpx

from tests.unit.cli.conftest import URL, Service, run

AT_7 = {"revision": 7, "config_version": None, "rules_version": None}


def shown(service: Service, **facts: Any) -> str:
    body = {
        "external_id": "acme", "status": "active", "frozen": False, "data_revision": 1, "current": AT_7,
        "served": AT_7, "incompatible": None, "surfaces": {}, "known_good": None, "quarantined": 0,
        "last_change": None, "replicas": {"converged": True, "live": 1, "others": {}},
    }  # fmt: skip
    service.on("GET /v1/admin/tenants/acme/status", httpx.Response(200, json=body | facts))
    return run("status", "-t", "acme", "--url", URL).stdout


def test_a_document_that_cannot_be_served_promises_nothing_that_was_there_before(service: Service) -> None:
    said = shown(service, incompatible="manifest/home")
    assert "! cannot be served: manifest/home; what was served before stays, if there was any" in said


def test_silent_replicas_are_named_and_counted_beside_those_that_are_live(service: Service) -> None:
    silent = {"11111111-1111": "silent", "22222222-2222": "silent"}
    said = shown(service, replicas={"converged": False, "live": 2, "others": silent})
    assert "2 of 4 replicas are not known to serve it: 11111111 silent, 22222222 silent" in said
