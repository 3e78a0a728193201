"""``recsys events send``: batches, what is said of rejected records, and what is refused before anything is sent."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.unit.cli.conftest import URL, Service, run

OPTIONS = ("-t", "shop", "--url", URL)


def accepting(request: httpx.Request) -> httpx.Response:
    """Accepts what has an event_id, and rejects the rest."""
    results = [
        {"event_id": each["event_id"], "status": "accepted"}
        if "event_id" in each
        else {
            "event_id": None,
            "status": "rejected",
            "faults": [{"pointer": "/evnt_id", "detail": "Unknown field.", "did_you_mean": "event_id"}],
        }
        for each in json.loads(request.content)["events"]
    ]
    rejected = sum(each["status"] == "rejected" for each in results)
    accepted = len(results) - rejected
    answer: dict[str, Any] = {"results": results, "accepted": accepted, "duplicates": 0, "rejected": rejected}
    return httpx.Response(200, json=answer)


def sent(service: Service) -> list[int]:
    return [len(json.loads(request.content)["events"]) for request in service.asked]


def test_a_file_goes_in_batches_of_a_thousand(service: Service, tmp_path: Path) -> None:
    service.on("POST /v1/events", accepting)
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(json.dumps({"event_id": f"e{n}"}) for n in range(2_500)) + "\n\n")
    done = run("events", "send", str(file), *OPTIONS)
    assert done.exit_code == 0, done.output
    assert sent(service) == [1_000, 1_000, 500]
    assert service.last("POST").headers["x-org-id"] == "shop"
    assert "lines 2,001 to 2,500: 500 accepted, 0 duplicates, 0 rejected" in done.stdout


def test_large_records_make_smaller_batches(service: Service) -> None:
    service.on("POST /v1/events", accepting)
    text = "\n".join(json.dumps({"event_id": f"e{n}", "note": "x" * 200_000}) for n in range(5))
    assert run("events", "send", "-", *OPTIONS, text=text).exit_code == 0
    assert sent(service) == [2, 2, 1]


def test_a_rejected_record_is_named_by_its_line_and_the_command_fails(service: Service) -> None:
    service.on("POST /v1/events", accepting)
    done = run("events", "send", "-", *OPTIONS, text='{"event_id": "e1"}\n\n{"evnt_id": "e2"}\n')
    assert done.exit_code == 1
    assert "line 3 /evnt_id: Unknown field. Did you mean 'event_id'?" in done.stdout
    assert "Not every record was accepted: 1 rejected." in done.stderr
    as_json = run("events", "send", "-", *OPTIONS, "--json", text='{"event_id": "e1"}')
    assert json.loads(as_json.stdout)["accepted"] == 1


@pytest.mark.parametrize(
    ("text", "said"), [("", "no event"), ("\n \n", "no event"), ('{"a": 1}\n{"a"\n', "Line 2 is not JSON")]
)
def test_what_cannot_be_sent_is_refused_before_anything_is(service: Service, text: str, said: str) -> None:
    done = run("events", "send", "-", *OPTIONS, text=text)
    assert done.exit_code == 2
    assert said in done.stderr
    assert service.asked == []


def test_a_service_that_cannot_write_is_asked_again(service: Service) -> None:
    problem = {"status": 503, "code": "RECSYS_NOT_READY", "title": "Not ready", "detail": "The log cannot be written."}
    service.on("POST /v1/events", httpx.Response(503, json=problem))
    done = run("events", "send", "-", *OPTIONS, text='{"event_id": "e1"}')
    assert done.exit_code == 1
    assert "Send the file again: nothing counts twice." in done.stderr
    assert "--db" not in done.stderr
