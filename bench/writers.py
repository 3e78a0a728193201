"""PUTs of distinct configs, one tenant after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, cycle, islice

import msgspec

from bench.http_client import http_request
from bench.load_generator import Load, hammer
from bench.service import ADMIN, DEVELOPER

_numbers = count(1)


def puts(tenants: Sequence[str]) -> Iterator[bytes]:
    """Requests that each change the config of the next tenant to one that was never there."""
    for tenant, number in zip(cycle(tenants), _numbers, strict=False):
        body = msgspec.json.encode({"weights": {"pop": number}})
        yield http_request("PUT", f"{ADMIN}/{tenant}/config", DEVELOPER, body)


async def put_often(port: int, tenants: Sequence[str], connections: int, seconds: float) -> Load:
    """Change in a closed loop; each connection has tenants of its own."""
    own = [list(islice(tenants, number, None, connections)) for number in range(connections)]
    return await hammer(port, [puts(each) for each in own], seconds)
