"""What a tenant is served with, in a few lines."""

import httpx

from tests.unit.cli.conftest import URL, Service, run

AT_7 = {"revision": 7, "config_version": None, "rules_version": None}


def test_a_document_that_cannot_be_served_promises_nothing_that_was_there_before(service: Service) -> None:
    body = {
        "external_id": "acme", "status": "active", "frozen": False, "current": AT_7, "served": AT_7,
        "last_change": None, "data_revision": 1, "known_good": None, "quarantined": 0, "surfaces": {},
        "incompatible": "manifest/home", "replicas": {"converged": True, "live": 1, "others": {}},
    }  # fmt: skip
    service.on("GET /v1/admin/tenants/acme/status", httpx.Response(200, json=body))
    said = run("status", "-t", "acme", "--url", URL).stdout
    assert "! cannot be served: manifest/home; what was served before stays, if there was any" in said
