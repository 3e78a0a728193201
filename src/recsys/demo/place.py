"""Where the demo keeps what it built, and how it knows that it is still right."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import recsys
from recsys.demo.product import Product
from recsys.demo.showcase import DataMode, Showcase

TENANT = "demo"
_DECISIVE = (".py", ".sql", ".parquet")
_MARKER = "demo.json"


class DemoFailed(Exception):
    """The demo cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Place:
    """The folder of a built demo."""

    directory: Path

    @property
    def database(self) -> Path:
        """The SQLite database."""
        return self.directory / "recsys.db"

    @property
    def url(self) -> str:
        """The database as ``--db`` takes it."""
        return f"sqlite:///{self.database}"

    @property
    def items(self) -> Path:
        """The items as they were loaded: where the titles are."""
        return self.directory / "items.ndjson"

    @property
    def events(self) -> Path:
        """The folder of the raw events that the pipelines read."""
        return self.directory / "events"

    @property
    def work(self) -> Path:
        """Where the pipelines keep tables, results and reports."""
        return self.directory / "pipelines"

    @property
    def pipeline_settings(self) -> Path:
        """How the pipelines compute the demo's signals."""
        return self.directory / "pipelines.json"

    @property
    def bad_rules(self) -> Path:
        """The rules that empty the home page, to try it out."""
        return self.directory / "bad-rules.json"

    @property
    def logs(self) -> Path:
        """What the service writes down of what it showed and what people did."""
        return self.directory / "recsys-logs"

    def log(self, port: int) -> Path:
        """What the service on a port says while the demo runs: several may run from one folder."""
        return self.directory / f"service-{port}.log"

    def is_ours(self) -> bool:
        """Whether the folder may be replaced: it is not there, empty, or an earlier demo's."""
        return not self.directory.exists() or (
            self.directory.is_dir() and ((self.directory / _MARKER).exists() or not any(self.directory.iterdir()))
        )

    def is_current(self, mode: DataMode) -> bool:
        """Whether what is there was built, to the end, by this code from this data, and to be served in this mode."""
        marker = self._marker()
        return self.database.exists() and (marker.get("fingerprint"), marker.get("mode")) == (fingerprint(), mode)

    def mode(self) -> DataMode:
        """What it was built to be served from."""
        mode: DataMode = self._marker()["mode"]
        return mode

    def showcase(self) -> Showcase:
        """What the build found worth showing."""
        kept = self._marker()["showcase"]
        products = {
            name: Product(**{**kept[name], "tags": tuple(kept[name]["tags"])})
            for name in ("anchor", "bestseller", "in_season")
        }
        return Showcase(**{**kept, **products})

    def finish(self, showcase: Showcase, mode: DataMode) -> None:
        """Write down what was built and from what; the last thing a build does."""
        marker = {"fingerprint": fingerprint(), "mode": mode, "showcase": asdict(showcase)}
        (self.directory / _MARKER).write_text(json.dumps(marker, indent=2) + "\n", encoding="utf-8")

    def titles(self) -> dict[str, str]:
        """The title of every item."""
        with self.items.open(encoding="utf-8") as lines:
            return {item["item_id"]: item["title"] for item in map(json.loads, lines)}

    def _marker(self) -> dict[str, Any]:
        try:
            marker: dict[str, Any] = json.loads((self.directory / _MARKER).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return marker


def fingerprint() -> str:
    """A hash of everything that decides what the build makes: its data, and all code, since most of it has a part."""
    root = Path(recsys.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(file for file in root.rglob("*") if file.suffix in _DECISIVE):
        digest.update(f"{file.relative_to(root)}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
