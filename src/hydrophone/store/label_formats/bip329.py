"""BIP 329: the labels of a wallet, one JSON object a line.

Sources: BIP 329. It has no entity, source or confidence: a wallet labels what is its own. So each labelled
address is a claim of the operator's own wallet, and what the wallet calls it is the citation. As an export it
is for reading in a wallet, and loses what it has no field for.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Final

from hydrophone.domain.labels import EntityKind, Label, Role
from hydrophone.domain.script import Network, address_from_script
from hydrophone.store.label_formats.csv_lines import rows_of
from hydrophone.store.label_formats.rows import RawRow

OWN_WALLET: Final = "Own wallet"
"""The entity of all of them: two labels of one wallet must not look like two owners."""
_CONFIDENCE: Final = "0.97"
"""# chosen: as an entity's own current list; nobody knows a wallet better than who has it."""
_OTHER_TYPES: Final = frozenset({"tx", "pubkey", "input", "output", "xpub", "spscan"})


def is_bip329(text: str) -> bool:
    """Whether the first line is a label of BIP 329."""
    _, row = next(rows_of(text), (1, ""))
    try:
        record = json.loads(row)
    except (ValueError, RecursionError):
        return False
    return isinstance(record, dict) and {"type", "ref"} <= record.keys()


def read_bip329(text: str) -> Iterator[RawRow]:
    """Yield the labels; those of anything but an address are skipped."""
    for line, row in rows_of(text):
        try:
            record = json.loads(row)
        except (ValueError, RecursionError) as error:
            yield RawRow(line, row, problem=f"expected a JSON object: {error}")
            continue
        yield _row(line, row, record)


def _row(line: int, row: str, record: object) -> RawRow:
    if not isinstance(record, dict):
        return RawRow(line, row, problem=f"expected a JSON object, found {type(record).__name__}")
    kind, reference, label = record.get("type"), record.get("ref"), record.get("label") or ""
    if isinstance(kind, str) and kind in _OTHER_TYPES:
        return RawRow(line, row, skipped=f"a label of type {kind}: only addresses are looked up")
    if kind != "addr" or not isinstance(reference, str) or not isinstance(label, str):
        return RawRow(line, row, problem="expected a type of BIP 329, and a text as ref and label")
    fields = {
        "address": reference,
        "entity": OWN_WALLET,
        "kind": EntityKind.PRIVATE.value,
        "confidence": _CONFIDENCE,
        "citation": label,
    }
    return RawRow(line, row, fields)


def write_bip329(labels: Iterable[Label], network: Network) -> Iterator[str]:
    """Yield a line for each claim on a script that has an address."""
    for label in labels:
        address = address_from_script(label.script, network)
        if address is not None:
            yield json.dumps({"type": "addr", "ref": address, "label": _name(label)}) + "\n"


def _name(label: Label) -> str:
    if label.entity.kind is EntityKind.PRIVATE and label.citation:
        return label.citation
    role = "" if label.role is Role.UNKNOWN else f" {label.role}"
    date = "" if label.as_of is None else f" {label.as_of}"
    return f"{label.entity.name}{role} [{label.source}{date}]"
