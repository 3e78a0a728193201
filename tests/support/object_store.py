"""A real HTTP server that speaks S3, in this process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from unittest import mock
from uuid import uuid4

import obstore
from moto.server import ThreadedMotoServer
from obstore.store import S3Store

BUCKET = "artifacts"


@contextlib.contextmanager
def object_store() -> Iterator[str]:
    """Run a server with an empty bucket; gives its address."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        with at(f"http://{host}:{port}"):
            make_bucket()
            yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextlib.contextmanager
def at(address: str) -> Iterator[None]:
    """The environment of somebody who uses the server at this address."""
    with mock.patch.dict(os.environ, aws_environment(address)):
        yield


def aws_environment(address: str) -> dict[str, str]:
    """The standard variables."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def make_bucket() -> None:
    """A bucket is made by a PUT to its path."""
    import httpx

    answer = httpx.put(f"{os.environ['AWS_ENDPOINT_URL']}/{BUCKET}", trust_env=False)
    assert answer.status_code == 200, answer.text


def fresh_prefix() -> str:
    """A place in the bucket that is nobody else's."""
    return f"s3://{BUCKET}/{uuid4().hex}"


def tamper(url: str, name: str, content: bytes) -> None:
    """Change what lies in a store, behind the back of whoever put it."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    obstore.put(S3Store(bucket, prefix=prefix, client_options={"allow_http": True}), name, content)
