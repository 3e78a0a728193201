"""A pytest plugin that runs the tests on a mutant: one module of the product in which a text is another.

``MUTANT`` holds the module, the old text and the new one as a JSON array. Nothing on disk is touched.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType


class _MutatingLoader(SourceFileLoader):
    def __init__(self, module: str, path: str, old: str, new: str) -> None:
        super().__init__(module, path)
        self._texts = old, new

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path).decode()
        old, new = self._texts
        if old not in source:
            raise LookupError(f"{fullname} has no text to mutate: {old!r}")
        return compile(source.replace(old, new), self.path, "exec", dont_inherit=True)


class _MutatingFinder:
    def __init__(self, module: str, old: str, new: str) -> None:
        self._module, self._texts = module, (old, new)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module to mutate, loaded with another text; nothing else."""
        if fullname != self._module:
            return None
        found = PathFinder.find_spec(fullname, path, target)
        assert found is not None
        assert found.origin is not None
        return importlib.util.spec_from_loader(fullname, _MutatingLoader(fullname, found.origin, *self._texts))


if "MUTANT" in os.environ:
    sys.meta_path.insert(0, _MutatingFinder(*json.loads(os.environ["MUTANT"])))
