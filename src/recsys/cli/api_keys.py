"""``recsys api-key``: keys of a tenant, or of the platform."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

import typer
from rich.text import Text

from recsys.cli import views
from recsys.cli.command import Session, register
from recsys.cli.document import tenant_path
from recsys.cli.failure import Failure
from recsys.domain.access import Role

Tenant = Annotated[
    str | None,
    typer.Option("--tenant", "-t", envvar="RECSYS_TENANT", metavar="TENANT", help="Whose keys: external id or UUID."),
]
Platform = Annotated[bool, typer.Option("--platform", help="The keys that belong to no tenant.")]


def api_key_group() -> typer.Typer:
    """The commands about keys."""
    app = typer.Typer(no_args_is_help=True, help="API keys, of a tenant (--tenant) or of the platform (--platform).")
    register(app, "create", create)
    register(app, "list", list_keys)
    register(app, "revoke", revoke)
    return app


def create(
    session: Session,
    tenant: Tenant = None,
    platform: Platform = False,
    role: Annotated[
        Role | None, typer.Option("--role", help="What the key may do (platform keys: `platform`).")
    ] = None,
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="What it is for.")] = "cli",
) -> None:
    """Make a key. It is shown this once: alone on standard output, so that it can go into a variable."""
    path = _keys_path(tenant, platform=platform)
    if role is None and not platform:
        raise typer.BadParameter("Say what the key may do: --role serving, for example.")
    response = session.api.request("POST", path, json={"name": name, "role": role or Role.PLATFORM})
    body = response.json()
    if not session.as_json:
        session.note(views.facts((field, value) for field, value in body.items() if field != "key"))
        session.note("The key, shown this once:", style="bold")
    session.answer(response, lambda answer: Text(answer["key"]))


def list_keys(session: Session, tenant: Tenant = None, platform: Platform = False) -> None:
    """List the keys, revoked ones too; a key is recognised by how it begins."""
    session.answer(session.api.get(_keys_path(tenant, platform=platform)), views.api_keys)


def revoke(
    session: Session,
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="The id that `list` shows, or a name that only one key has.")
    ],
    tenant: Tenant = None,
    platform: Platform = False,
) -> None:
    """Make a key worthless, within a second on every replica."""
    path = _keys_path(tenant, platform=platform)
    whose = "--platform" if platform or tenant is None else f"-t {shlex.quote(tenant)}"
    list_them = f"recsys api-key list {whose}"
    found = _named(session.api.get(path).json()["api_keys"], key, list_them)
    session.api.request("DELETE", f"{path}/{found['id']}")
    session.note(f"Revoked {found['id']} ({found['name']}, role {found['role']}).")


def _named(keys: list[dict[str, Any]], text: str, list_them: str) -> dict[str, Any]:
    """The key whose id, or else whose name, is ``text``; of keys with a name, revoked ones do not count.

    Raises:
        Failure: there is none, or there are several.
    """
    found = [each for each in keys if each["id"] == text]
    found = found or [each for each in keys if each["name"] == text and not each.get("revoked_at")]
    if not found:
        raise Failure(
            f"There is no key with the id, and none in force with the name {text!r}.",
            f"See which there are: {list_them}",
        )
    if len(found) > 1:
        ids = [
            f"  {each['id']}  begins with {each['hint']}, created {views.moment(each['created_at'])}" for each in found
        ]
        raise Failure(f"{len(found)} keys are named {text!r}: give the id of one.", *ids)
    return found[0]


def _keys_path(tenant: str | None, *, platform: bool) -> str:
    """With ``--platform`` a tenant from the environment does not count."""
    if platform:
        return "/v1/admin/api-keys"
    if tenant is None:
        raise typer.BadParameter("Whose keys? Give --tenant TENANT or --platform.")
    return f"{tenant_path(tenant)}/api-keys"
