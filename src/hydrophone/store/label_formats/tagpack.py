"""GraphSense TagPacks: YAML whose tags inherit what the header says.

Sources: graphsense/graphsense-tagpacks, and tagpack-tool 25.8.1 for fields, concepts and confidence ids.

The file is read event by event: every scalar stays a text, no tag of YAML makes an object, an alias is
refused, and each tag knows its line. `is_cluster_definer` is not honoured: a label is about one script only.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import yaml

from hydrophone.domain.entity_names import entity_key
from hydrophone.domain.labels import EntityKind, Label, Role
from hydrophone.domain.script import Network, address_from_script
from hydrophone.store.label_formats.rows import FIELDS, RawRow, UnknownFormError

_BITCOIN: Final = "BTC"
_CONTEXT: Final = "hydrophone"
"""Under this name our exports keep in `context` what a tag has no field for."""

_CONFIDENCE_LEVELS: Final = {
    "override": 100,
    "ownership": 100,
    "ledger_immanent": 100,
    "manual_transaction": 90,
    "service_api": 70,
    "forensic_investigation": 70,
    "authority_data": 60,
    "service_data": 50,
    "trusted_provider": 50,
    "forensic": 50,
    "untrusted_transaction": 40,
    "web_crawl": 20,
    "heuristic": 10,
    "unknown": 5,
}
"""Percent by id. Sources: tagpack-tool, confidence.csv."""
_UNSTATED_CONFIDENCE: Final = "unknown"
"""Older packs state none, and then nobody vouches for it."""

_KINDS: Final[Mapping[str, EntityKind]] = {
    "exchange": EntityKind.EXCHANGE,
    "wallet_service": EntityKind.CUSTODIAN,
    "hosted_wallet": EntityKind.CUSTODIAN,
    "defi_custody": EntityKind.CUSTODIAN,
    "defi_bridge": EntityKind.CUSTODIAN,
    "payment_processor": EntityKind.PAYMENT,
    "atm": EntityKind.PAYMENT,
    "mining_service": EntityKind.POOL,
    "miner": EntityKind.POOL,
    "mining_pool": EntityKind.POOL,
    "mixing_service": EntityKind.MIXER,
    "coinjoin": EntityKind.MIXER,
    "gambling": EntityKind.GAMBLING,
    "government": EntityKind.GOVERNMENT,
    "law_enforcement": EntityKind.GOVERNMENT,
    "etf": EntityKind.ETF,
    "sanction": EntityKind.SANCTIONED,
    "sanctions": EntityKind.SANCTIONED,
    "scam": EntityKind.SCAM,
    "ponzi_scheme": EntityKind.SCAM,
    "phishing": EntityKind.SCAM,
    "ransomware": EntityKind.SCAM,
    "service_hack": EntityKind.SCAM,
}
"""By category, concept or abuse. What is missing here is skipped: private persons, donors, and whatever
nobody has decided about."""
_CATEGORIES: Final = {
    EntityKind.EXCHANGE: "exchange",
    EntityKind.CUSTODIAN: "wallet_service",
    EntityKind.PAYMENT: "payment_processor",
    EntityKind.POOL: "mining_service",
    EntityKind.MIXER: "mixing_service",
    EntityKind.GAMBLING: "gambling",
}
"""For the export; any other kind is an `organization` there and keeps its kind in the context."""
_ROLE_CONCEPTS: Final = {"cold_wallet": Role.COLD, "hot_wallet": Role.HOT}
_ROLE_WORDS: Final = {"cold": Role.COLD, "hot": Role.HOT, "deposit": Role.DEPOSIT}
_ROLE_SUFFIX: Final = re.compile(
    r"[\s:,-]+(?:(?P<role>cold|hot|warm|deposit)(?:[\s-]*(?:wallets?|storage|address(?:es)?))?|wallets?)$",
    re.IGNORECASE,
)
_NUMBER_SUFFIX: Final = re.compile(r"\s+#?\d{1,4}$")

_MAX_DEPTH: Final = 8
"""# chosen: a pack is three levels deep."""


def is_tagpack(text: str) -> bool:
    """Whether a file has a list of tags at its top."""
    return re.search(r"^tags\s*:", text, re.MULTILINE) is not None


def read_tagpack(text: str) -> Iterator[RawRow]:
    """Yield the tags with what they inherit.

    Raises:
        UnknownFormError: it is no YAML, or has no list of tags.
    """
    try:
        header, tags = _read_pack(yaml.parse(text, Loader=yaml.CSafeLoader))
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        raise UnknownFormError(f"expected YAML: {line}{error.problem}") from error
    except yaml.YAMLError as error:
        raise UnknownFormError(f"expected YAML: {error}") from error
    for number, tag in tags:
        yield _row(number, {**header, **tag} if isinstance(tag, dict) else tag)


def _row(line: int, tag: object) -> RawRow:
    if not isinstance(tag, dict):
        return RawRow(line, str(tag), problem="expected a tag with an address and a label")
    text = f"{tag.get('address', '')} {tag.get('label', '')}"
    skipped = _why_skipped(tag)
    if skipped:
        return RawRow(line, text, skipped=skipped)
    strange = [
        name for name in ("address", "label", "actor", "source") if not isinstance(_text(tag, name), str)
    ]
    if strange:
        return RawRow(line, text, problem=f"expected a text, found something else: {strange[0]}")
    ours = _own_context(tag)
    if ours is not None:
        return RawRow(line, text, {**ours, "address": _text(tag, "address")})
    confidence = _confidence(_text(tag, "confidence") or _UNSTATED_CONFIDENCE)
    if confidence is None:
        problem = f"expected a confidence such as service_data, found {_text(tag, 'confidence')!r}"
        return RawRow(line, text, problem=problem)
    entity, said_role = split_label(_text(tag, "label"))
    actor = _text(tag, "actor")
    if actor and entity_key(actor) != entity_key(entity):
        entity = actor
    role = next((_ROLE_CONCEPTS[c] for c in _concepts(tag) if c in _ROLE_CONCEPTS), said_role)
    source = _text(tag, "source")
    fields = {
        "address": _text(tag, "address"),
        "entity": entity,
        "kind": _kind(tag) or "",
        "role": role,
        "confidence": confidence,
        "as_of": _text(tag, "lastmod")[:10],
        "citation": f"{_text(tag, 'label')}: {source}" if source else _text(tag, "label"),
        "source_url": source if source.startswith(("http://", "https://")) else "",
    }
    return RawRow(line, text, fields)


def _why_skipped(tag: Mapping[str, Any]) -> str:
    if "address" not in tag:
        return "a tag of a transaction" if "tx_hash" in tag else "a tag of no address"
    for name in ("network", "currency"):
        found = tag.get(name)
        if isinstance(found, str) and found and found.upper() != _BITCOIN:
            return f"a tag of {name} {found}"
    if _own_context(tag) is None and _kind(tag) is None:
        return f"a tag of category {tag.get('category') or 'none'}: only organisations of a kind we know"
    return ""


def split_label(label: str) -> tuple[str, Role]:
    """Return the name in a label, and the role it gives: `Binance Cold Wallet 3` is Binance, cold."""
    name, role = _NUMBER_SUFFIX.sub("", label.strip()), Role.UNKNOWN
    found = _ROLE_SUFFIX.search(name)
    if found is not None and name[: found.start()].strip():
        role = _ROLE_WORDS.get((found["role"] or "").casefold(), Role.UNKNOWN)
        name = _NUMBER_SUFFIX.sub("", name[: found.start()])
    return (name, role) if entity_key(name) else (label.strip(), role)


def _kind(tag: Mapping[str, Any]) -> EntityKind | None:
    """Return the kind by what is worst: an exchange under sanctions is told as sanctioned by such a pack."""
    words = [_text(tag, "abuse"), _text(tag, "category"), *_concepts(tag)]
    kinds = [_KINDS[word.casefold()] for word in words if word.casefold() in _KINDS]
    if not kinds and "government" in _text(tag, "label").casefold():
        return EntityKind.GOVERNMENT  # there it is one organisation among others
    return kinds[0] if kinds else None


def _concepts(tag: Mapping[str, Any]) -> list[str]:
    found = tag.get("concepts", [])
    return [concept for concept in found if isinstance(concept, str)] if isinstance(found, list) else []


def _text(tag: Mapping[str, Any], name: str) -> str:
    found = tag.get(name, "")
    return found if isinstance(found, str) else ""


def _confidence(text: str) -> str | None:
    """Return a confidence in [0, 1] as text; None for an id nobody knows."""
    level = _CONFIDENCE_LEVELS.get(text.casefold())
    if level is None and text.isascii() and text.isdigit() and int(text[:4]) <= 100:  # noqa: PLR2004 -- percent
        level = int(text[:4])
    return None if level is None else str(level / 100)


def _own_context(tag: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the fields of a claim that our own export wrote; None when another wrote the tag."""
    try:
        ours = json.loads(_text(tag, "context") or "null")
    except (ValueError, RecursionError):
        return None
    ours = ours.get(_CONTEXT) if isinstance(ours, dict) else None
    if not isinstance(ours, dict):
        return None
    return {name: text for name, text in ours.items() if name in FIELDS and isinstance(text, str)}


def _read_pack(events: Iterator[Any]) -> tuple[dict[str, Any], list[tuple[int, object]]]:
    """Return the header and the tags with their lines."""
    for event in events:
        if isinstance(event, yaml.MappingStartEvent):
            break
        if not isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
            raise UnknownFormError("expected a TagPack: a mapping with a list of tags")
    header: dict[str, Any] = {}
    tags: list[tuple[int, object]] | None = None
    for event in events:
        if isinstance(event, yaml.MappingEndEvent):
            break
        key = _read(event, events)
        value = next(events)
        if key == "tags" and isinstance(value, yaml.SequenceStartEvent):
            tags = [] if tags is None else tags
            for start in events:
                if isinstance(start, yaml.SequenceEndEvent):
                    break
                tags.append((start.start_mark.line + 1, _read(start, events)))
        else:
            header[str(key)] = _read(value, events)
    if tags is None:
        raise UnknownFormError("expected a TagPack: a mapping with a list of tags")
    return header, tags


def _read(event: Any, events: Iterator[Any], depth: int = 0) -> Any:  # noqa: ANN401 -- YAML of a stranger
    """Return the value that begins with an event: texts, lists and dicts of them."""
    if depth > _MAX_DEPTH:
        raise UnknownFormError(
            f"expected at most {_MAX_DEPTH} levels, found more: line {event.start_mark.line + 1}"
        )
    if isinstance(event, yaml.ScalarEvent):
        return "" if event.value in ("null", "~") and event.implicit[0] else event.value
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        for inner in events:
            if isinstance(inner, yaml.SequenceEndEvent):
                break
            items.append(_read(inner, events, depth + 1))
        return items
    if isinstance(event, yaml.MappingStartEvent):
        found = {}
        for inner in events:
            if isinstance(inner, yaml.MappingEndEvent):
                break
            key = _read(inner, events, depth + 1)
            found[str(key)] = _read(next(events), events, depth + 1)
        return found
    raise UnknownFormError(f"expected plain YAML, found an alias: line {event.start_mark.line + 1}")


def write_tagpack(labels: Iterable[Label], network: Network) -> Iterator[str]:
    """Yield the lines of a TagPack with a tag for each claim on a script that has an address.

    A TagPack has ids for confidence, and no licence, deposits or end: the exact claim is in `context`. It is
    made to be given away, so the operator's own wallet is left out.
    """
    header = {
        "title": "Hydrophone labels",
        "creator": "hydrophone",
        "currency": _BITCOIN,
        "network": _BITCOIN,
    }
    yield yaml.safe_dump(header, sort_keys=False)
    empty = True
    for label in labels:
        address = address_from_script(label.script, network)
        if address is None or label.entity.kind is EntityKind.PRIVATE:
            continue
        yield "tags:\n" if empty else ""
        empty = False
        yield yaml.safe_dump([_tag(label, address)], sort_keys=False, allow_unicode=True, width=10**6)
    if empty:
        yield "tags: []\n"


def _tag(label: Label, address: str) -> dict[str, object]:
    role = next((concept for concept, role in _ROLE_CONCEPTS.items() if role is label.role), None)
    words = "" if label.role is Role.UNKNOWN else f" {label.role} wallet"
    level = max(
        (item for item in _CONFIDENCE_LEVELS.items() if item[1] <= max(5, 100 * label.confidence)),
        key=lambda item: item[1],
    )
    return {
        "address": address,
        "label": f"{label.entity.name}{words}",
        "source": label.source_url or label.citation or label.source,
        "category": _CATEGORIES.get(label.entity.kind, "organization"),
        "confidence": level[0],
        **({"lastmod": label.as_of.isoformat()} if label.as_of else {}),
        **({"concepts": [role]} if role else {}),
        "context": json.dumps({_CONTEXT: _own_fields(label)}),
    }


def _own_fields(label: Label) -> dict[str, str]:
    dates = {"as_of": label.as_of, "valid_from": label.valid_from, "valid_to": label.valid_to}
    return {
        "entity": label.entity.name,
        "kind": label.entity.kind.value,
        "role": label.role.value,
        "confidence": repr(float(label.confidence)),
        "source": label.source,
        "citation": label.citation,
        "source_url": label.source_url,
        "licence": label.licence,
        **{name: day.isoformat() for name, day in dates.items() if day is not None},
    }
