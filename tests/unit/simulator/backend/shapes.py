"""What JSON looks like, field by field: to compare an imitation with the original."""

import json
import re
from collections.abc import Iterable
from typing import Any

Shape = dict[str, set[str]]
"""By path: the types found there, and for objects the orders of their keys."""
_IDENTIFIER = re.compile(r"[0-9a-f]{64}")


def shape_of(documents: Iterable[str]) -> Shape:
    """Return what some JSON documents have in common, and what not."""
    shape: Shape = {}
    for document in documents:
        _add(shape, "", json.loads(document))
    return shape


def _add(shape: Shape, path: str, value: Any) -> None:  # noqa: ANN401 -- any JSON
    if isinstance(value, dict):
        keys = [_IDENTIFIER.sub("H", key) for key in value]
        shape.setdefault(path, set()).add("{" + " ".join(keys) + "}")
        for key, inner in zip(keys, value.values(), strict=True):
            _add(shape, f"{path}.{key}", inner)
    elif isinstance(value, list):
        shape.setdefault(path, set()).add("array")
        is_row = len({isinstance(item, str) for item in value}) > 1
        for position, item in enumerate(value):
            _add(shape, f"{path}[{position if is_row else ''}]", item)
    else:
        shape.setdefault(path, set()).add(_type_of(value))


def _type_of(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "string"


def _is_below_empty(path: str, shape: Shape) -> bool:
    """Whether a path leads through an array that had no item."""
    at = path.find("[")
    while at >= 0:
        items = path[: path.index("]", at) + 1]
        if path[:at] in shape and items not in shape:
            return True
        at = path.find("[", at + 1)
    return False


def deviations(original: Shape, imitation: Shape) -> list[str]:
    """Return where an imitation differs, each as a line: what only the original has, what only the other."""
    found: list[str] = []
    for path in sorted({*original, *imitation}):
        missing = sorted(original.get(path, set()) - imitation.get(path, set()))
        extra = sorted(imitation.get(path, set()) - original.get(path, set()))
        if _is_below_empty(path, original) or _is_below_empty(path, imitation):
            continue  # nothing to compare: the array was always empty there
        if path not in imitation:
            found.append(f"{path or '.'}: missing")
        elif path not in original:
            found.append(f"{path or '.'}: not in the recording, {' | '.join(extra)}")
        elif missing or extra:
            found.append(f"{path or '.'}: -{' | '.join(missing)} +{' | '.join(extra)}")
    return found
