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
    add_types(shape, path, value)
    if isinstance(value, dict):
        for key, inner in value.items():
            _add(shape, f"{path}.{name_of(key)}", inner)
    elif isinstance(value, list):
        row = is_row(value)
        for position, item in enumerate(value):
            _add(shape, f"{path}[{position if row else ''}]", item)


def add_types(shape: Shape, path: str, value: Any) -> None:  # noqa: ANN401 -- any JSON
    """Note what a value itself is, not what is in it."""
    if isinstance(value, dict):
        found = "{" + " ".join(map(name_of, value)) + "}"
    else:
        found = "array" if isinstance(value, list) else _type_of(value)
    shape.setdefault(path, set()).add(found)


def name_of(key: str) -> str:
    """Return a key with the hash in it, if any, left out."""
    return _IDENTIFIER.sub("H", key)


def is_row(values: list[Any]) -> bool:
    """Whether an array has a meaning for each position, and not items of one kind."""
    return len({isinstance(item, str) for item in values}) > 1


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


def kind_of_frame(client: str, text: str) -> str:
    """Return the client and the keys of a frame."""
    return f"{client}: {' '.join(json.loads(text))}"


def as_json(content_type: str, body: str) -> str:
    """Return a body as a JSON document: itself, or whether there is one."""
    return body if content_type.startswith("application/json") else json.dumps(bool(body))
