"""Writes the files that are made from code; with --check it only says whether they are up to date."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from hydrophone.cli.configuration import spell
from hydrophone.config import TABLE
from hydrophone.wire.page_schema import encode_page_schema

_HEAD = """\
# Settings

Made from the settings table by `make docs`; do not edit.

Later beats earlier: defaults, `hydrophone.toml` in the current folder (or `--config FILE`), the environment,
flags. A list is comma-separated in the environment. Unknown keys are errors.

```toml
# hydrophone.toml
[whale]
threshold_btc = 250

[alerts]
port = 8765
```

| setting | environment | flag | default | what it does |
|---|---|---|---|---|
"""


def settings_page() -> str:
    """Return the text of docs/config.md."""
    rows = []
    for key, row in TABLE.items():
        default = spell(row.default)
        shown = "none" if default in (None, []) else f"`{default}`"
        flag = {"source.urls": "--source", "labels.paths": "--labels"}.get(key)
        flag = flag or "--" + key.replace(".", "-").replace("_", "-")
        rows.append(f"| `{key}` | `{row.variable}` | `{flag}` | {shown} | {row.text} |\n")
    return _HEAD + "".join(rows)


FILES: Final[Mapping[str, Callable[[], str]]] = {
    "docs/config.md": settings_page,
    "dashboard/openapi.json": encode_page_schema,
}
"""What is written where, seen from the top of the repository."""


def main() -> int:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    is_check = parser.parse_args().check
    stale = []
    for name, make in FILES.items():
        file, text = Path(name), make()
        if not is_check:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != text:
            stale.append(name)
    if stale:
        print(f"not what the code says: {', '.join(stale)}; run `make docs`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
