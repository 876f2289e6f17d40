"""Writes docs/config.md from the settings table; with --check it only says whether it is up to date."""

import argparse
import sys
from pathlib import Path

from hydrophone.cli.configuration import spell
from hydrophone.config import TABLE

_HEAD = """\
# Settings

Made from the settings table by `python -m hydrophone.cli.documentation`; do not edit.

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


def main() -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    text = settings_page()
    if not arguments.check:
        arguments.file.write_text(text, encoding="utf-8")
        return 0
    if arguments.file.exists() and arguments.file.read_text(encoding="utf-8") == text:
        return 0
    print(f"{arguments.file} is not what the settings table says: run `make docs`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
