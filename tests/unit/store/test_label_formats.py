import contextlib
import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.labels import Entity, EntityKind, Label, Role
from hydrophone.domain.script import Network, address_from_script
from hydrophone.store.label_formats import (
    FORMATS,
    OWN_COLUMNS,
    WRITERS,
    ParsedLabels,
    Terms,
    UnknownFormError,
    parse_labels,
    read_trusted,
)

# The example of BIP 173, on two networks, and a second script that is easy to tell from it.
ADDRESS = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
TEST_ADDRESS = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"
SCRIPT = bytes.fromhex("0014751e76e8199196d454941c45d1b3a323f1433bd6")
OTHER_ADDRESS = "1111111111111111111114oLvT2"
OTHER_SCRIPT = bytes.fromhex("76a914000000000000000000000000000000000000000088ac")
TERMS = Terms(Network.MAINNET, source="a set")

PACK = f"""\
title: A pack
creator: somebody
confidence: service_data
category: exchange
source: https://example.org/reserves
lastmod: 2022-11-16
is_cluster_definer: true
actor: binance
tags:
- address: '{ADDRESS}'
  currency: BTC
  label: binance reserve wallets BTC
- address: '0xbe0eb53f46cd790cd13851d5eff43d12404d33e8'
  currency: ETH
  label: binance reserve wallets ETH
- address: {OTHER_ADDRESS}
  currency: BTC
  actor: kraken
  label: Kraken Cold Wallet 3
  confidence: heuristic
  lastmod: '2021-01-02 13:01:40.729563'
  concepts: [exchange, hot_wallet]
"""


def parse(text: str, terms: Terms = TERMS) -> ParsedLabels:
    return parse_labels(text, terms)


# TagPacks


def test_a_tag_inherits_what_the_header_says_and_may_say_otherwise() -> None:
    parsed = parse(PACK)
    assert parsed.rejected == ()
    assert [(row.line, row.reason) for row in parsed.skipped] == [(13, "a tag of currency ETH")]
    first, second = parsed.labels
    assert first == Label(
        SCRIPT,
        Entity("binance", EntityKind.EXCHANGE),
        Role.UNKNOWN,
        source="a set",
        confidence=0.5,
        as_of=date(2022, 11, 16),
        citation="binance reserve wallets BTC: https://example.org/reserves",
        source_url="https://example.org/reserves",
    )
    assert second.entity == Entity("Kraken", EntityKind.EXCHANGE)
    assert (second.role, second.confidence, second.as_of) == (Role.HOT, 0.1, date(2021, 1, 2))


@pytest.mark.parametrize(
    ("tag", "kind"),
    [
        ("category: exchange", EntityKind.EXCHANGE),
        ("category: wallet_service", EntityKind.CUSTODIAN),
        ("category: payment_processor", EntityKind.PAYMENT),
        ("category: miner", EntityKind.POOL),
        ("category: mixing_service", EntityKind.MIXER),
        ("category: gambling", EntityKind.GAMBLING),
        ("category: organization\n  label: US Government (seizure)", EntityKind.GOVERNMENT),
        ("abuse: scam", EntityKind.SCAM),
        ("abuse: service_hack\n  category: exchange", EntityKind.SCAM),
        ("category: user\n  concepts:\n  - sanction", EntityKind.SANCTIONED),
        ("concepts: [coinjoin]", EntityKind.MIXER),
    ],
)
def test_category_concept_and_abuse_give_the_kind(tag: str, kind: EntityKind) -> None:
    label = "" if "label" in tag else "\n  label: Somebody"
    [found] = parse(f"tags:\n- address: {ADDRESS}\n  {tag}{label}\n").labels
    assert found.entity.kind is kind


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("category: user", "category user"),
        ("category: donation", "category donation"),
        ("label: Bob", "category none"),
        ("category: organization", "category organization"),
        ("category: exchange\n  network: LTC", "network LTC"),
    ],
)
def test_what_is_no_organisation_or_no_bitcoin_is_skipped(tag: str, reason: str) -> None:
    parsed = parse(f"tags:\n- address: {ADDRESS}\n  {tag}\n  label: Somebody\n".replace("label: Bob\n  ", ""))
    assert (parsed.labels, parsed.rejected) == ((), ())
    assert reason in parsed.skipped[0].reason


def test_a_tag_of_a_transaction_is_skipped() -> None:
    parsed = parse("category: exchange\ntags:\n- tx_hash: 00\n  label: x\n")
    assert [row.reason for row in parsed.skipped] == ["a tag of a transaction"]


@pytest.mark.parametrize(
    ("words", "confidence"),
    [
        ("ownership", 1.0),
        ("manual_transaction", 0.9),
        ("service_api", 0.7),
        ("authority_data", 0.6),
        ("web_crawl", 0.2),
        ("80", 0.8),
        ("''", 0.05),
    ],
)
def test_confidence_is_an_id_or_percent_and_nobody_vouches_for_none(words: str, confidence: float) -> None:
    [label] = parse(
        f"tags:\n- address: {ADDRESS}\n  label: A\n  category: exchange\n  confidence: {words}\n"
    ).labels
    assert label.confidence == confidence


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        (f"address: {ADDRESS[:-1]}5\n  label: A", "checksum"),
        (f"address: {TEST_ADDRESS}\n  label: A", "expected an address of mainnet"),
        (f"address: {ADDRESS}\n  label: A\n  confidence: sure", "found 'sure'"),
        (f"address: {ADDRESS}\n  label: A\n  confidence: '101'", "found '101'"),
        (f"address: {ADDRESS}\n  label: A\n  lastmod: yesterday", "expected a date"),
        (f"address: {ADDRESS}\n  label: ''", "expected a name"),
        (f"address: [{ADDRESS}]\n  label: A", "expected an address"),
    ],
)
def test_a_bad_tag_is_rejected_with_its_line(tag: str, reason: str) -> None:
    good = f"- address: {OTHER_ADDRESS}\n  label: A\n"
    parsed = parse(f"category: exchange\ntags:\n{good}- {tag}\n{good}")
    assert [label.script for label in parsed.labels] == [OTHER_SCRIPT, OTHER_SCRIPT]
    assert [row.line for row in parsed.rejected] == [5]
    assert reason in parsed.rejected[0].reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tags: &a\n- address: x\nmore: *a\n", "found an alias: line 3"),
        ("tags:\n- {a: [1\n", "expected YAML: line"),
        ("tags: 5\n", "a mapping with a list of tags"),
        ("tags:\n- !!python/object/apply:os.system ['true']\n", ""),
        ("a: " + "[" * 50 + "]" * 50 + "\ntags: []\n", "levels"),
    ],
)
def test_yaml_that_is_no_pack_makes_nothing(text: str, reason: str) -> None:
    try:
        parsed = parse(text)
    except UnknownFormError as error:
        assert reason in str(error)  # noqa: PT017 -- either end is sound
    else:
        assert parsed.labels == ()


@pytest.mark.parametrize(
    ("label", "entity", "role"),
    [
        ("Binance Cold Wallet 3", "Binance", Role.COLD),
        ("Kraken hot wallet", "Kraken", Role.HOT),
        ("OKX deposit", "OKX", Role.DEPOSIT),
        ("Coinbase 12", "Coinbase", Role.UNKNOWN),
        ("BTC.com", "BTC.com", Role.UNKNOWN),
        ("F2Pool", "F2Pool", Role.UNKNOWN),
        ("cold wallet", "cold", Role.UNKNOWN),
    ],
)
def test_a_label_gives_a_name_and_maybe_a_role(label: str, entity: str, role: Role) -> None:
    [found] = parse(f"category: exchange\ntags:\n- address: {ADDRESS}\n  label: {label}\n").labels
    assert (found.entity.name, found.role) == (entity, role)


# The other forms


def test_a_label_of_a_wallet_is_a_claim_of_the_own_wallet() -> None:
    lines = [
        {"type": "addr", "ref": ADDRESS, "label": "rent"},
        {"type": "tx", "ref": "00" * 32, "label": "paid"},
        {"type": "addr", "ref": "nonsense", "label": "x"},
        {"type": "xpub", "ref": "xpub6", "label": "x"},
        ["no object"],
        {"type": "addr", "ref": 5},
        {"type": "addr", "ref": OTHER_ADDRESS},
    ]
    parsed = parse("\n".join(map(json.dumps, lines)) + "\n{broken\n")
    assert [(label.script, label.citation) for label in parsed.labels] == [
        (SCRIPT, "rent"),
        (OTHER_SCRIPT, ""),
    ]
    assert {label.entity for label in parsed.labels} == {Entity("Own wallet", EntityKind.PRIVATE)}
    assert [row.line for row in parsed.skipped] == [2, 4]
    assert [row.line for row in parsed.rejected] == [3, 5, 6, 8]


def test_pools_are_paid_at_their_addresses() -> None:
    pools = [
        {
            "id": 1,
            "name": "AntPool",
            "addresses": [ADDRESS, TEST_ADDRESS],
            "tags": ["/x/"],
            "link": "https://x",
        },
        {"id": 2, "name": "Empty", "addresses": []},
        {"id": 3, "addresses": [OTHER_ADDRESS]},
        {"id": 4, "name": "Odd", "addresses": [5]},
    ]
    text = json.dumps(pools, indent=2)
    parsed = parse(text)
    [label] = parsed.labels
    assert (label.entity, label.confidence) == (Entity("AntPool", EntityKind.POOL), 0.85)
    assert ["testnet4 or signet" in row.reason for row in parsed.rejected] == [True, False, False]
    assert ADDRESS in text.splitlines()[parsed.rejected[0].line - 2]


def test_sanctioned_addresses_are_known_for_it_and_owned_by_nobody() -> None:
    parsed = parse(json.dumps([ADDRESS, "bad", 5], indent=1))
    assert [label.entity.kind for label in parsed.labels] == [EntityKind.SANCTIONED]
    assert [row.line for row in parsed.rejected] == [3, 3]


def test_of_binances_reserves_only_bitcoin_is_taken() -> None:
    entries = [
        {"network": "BTC", "address": ADDRESS},
        {"network": "ETH", "address": "0xbe0eb53f46cd790cd13851d5eff43d12404d33e8"},
        {"network": "BTC", "address": "0xbe0eb53f46cd790cd13851d5eff43d12404d33e8"},
        {"network": "BTC"},
    ]
    parsed = parse(json.dumps({"code": "000000", "data": entries}))
    [label] = parsed.labels
    assert (label.entity, label.confidence) == (Entity("Binance", EntityKind.EXCHANGE), 0.97)
    assert (len(parsed.skipped), len(parsed.rejected)) == (1, 2)


HTX_ROWS = (
    f"BTC,{ADDRESS},823738,2144.5,huobi,H5uV==\nBTC-TRC20,TDTo,57801596,9701.9,huobi,8fa1\nBTC,x,1,1,-,-\n"
)
HTX_TOTALS = "coin,snapshot height,balance\nBTC(ALL),-,21816.1\nBTC,823738,12040.4\n\n"
HTX_HEADER = "coin,address,snapshot height,balance,message,signature\n"


@pytest.mark.parametrize(
    ("head", "first_line"),
    [("", 1), (HTX_HEADER, 2), (HTX_TOTALS + HTX_HEADER, 6)],
    ids=["rows", "header", "totals"],
)
def test_of_htx_s_snapshot_only_bitcoin_is_taken(head: str, first_line: int) -> None:
    parsed = parse(head + HTX_ROWS)
    [label] = parsed.labels
    assert (label.script, label.entity) == (SCRIPT, Entity("HTX", EntityKind.EXCHANGE))
    assert [row.line for row in parsed.skipped] == [first_line + 1]
    assert [row.line for row in parsed.rejected] == [first_line + 2]


def test_our_own_form_may_say_all_the_rest() -> None:
    header = ",".join(OWN_COLUMNS)
    rest = "its list,https://x.org,MIT,2020-01-01,2026-01-01"
    good = f"{ADDRESS},Binance,exchange,hot,0.9,2026-09-23,x,{rest},{SCRIPT.hex()}"
    parsed = parse(
        f"{header}\n{good}\n{good[:-2]}00\n{good[:-2]}0x\n{good.replace('2026-01-01', '2019-01-01')}\n"
    )
    [label] = parsed.labels
    assert (label.source, label.source_url, label.licence) == ("its list", "https://x.org", "MIT")
    assert (label.valid_from, label.valid_to) == (date(2020, 1, 1), date(2026, 1, 1))
    reasons = [row.reason for row in parsed.rejected]
    assert ["which is" in reasons[0], "in hex" in reasons[1], "expected an end after" in reasons[2]] == [
        True
    ] * 3


# What holds for all


@pytest.mark.parametrize("odd", ["a\nb", "a\x1b[2Jb", "a\u202eb", "a\ud800b", "a \t b"])
def test_a_citation_is_one_plain_line(odd: str) -> None:
    [label] = parse(json.dumps({"type": "addr", "ref": ADDRESS, "label": odd})).labels
    assert label.citation.isprintable()
    assert label.citation.startswith("a ")
    text = "".join(WRITERS["csv"]([label], Network.MAINNET))
    assert parse(text.encode().decode()).labels == (label,)


def test_terms_say_what_a_file_leaves_out() -> None:
    terms = Terms(Network.MAINNET, "s", 0.3, date(2026, 1, 1), "https://x.org", "MIT")
    [label] = parse(json.dumps([ADDRESS]), terms).labels
    assert (label.confidence, label.as_of, label.source_url, label.licence) == (
        0.3,
        date(2026, 1, 1),
        "https://x.org",
        "MIT",
    )


@pytest.mark.parametrize("name", FORMATS)
def test_another_form_than_the_one_given_is_refused_or_bad_row_by_row(name: str) -> None:
    try:
        parsed = parse_labels("neither: fish\nnor fowl\n", TERMS, form=name)
    except UnknownFormError:
        return
    assert parsed.labels == ()
    assert len(parsed.rejected) == 2


@pytest.mark.parametrize("name", FORMATS)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_ends_in_claims_and_reports_or_is_refused(name: str, text: str) -> None:
    with contextlib.suppress(UnknownFormError):
        assert parse_labels(text, TERMS, form=name).labels == ()


_ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(ADDRESS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "addresses", "network", "address", "data", "type", "ref"]), inner
        )
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("name", ["ofac", "mining-pools", "binance", "bip329", "tagpack"])
@given(document=_ODD)
def test_any_json_ends_in_claims_and_reports_or_is_refused(name: str, document: object) -> None:
    text = json.dumps({"tags": [document]} if name == "tagpack" else document)
    try:
        parsed = parse_labels(text, TERMS, form=name)
    except UnknownFormError:
        return
    assert {label.script for label in parsed.labels} <= {SCRIPT}


def test_a_deep_document_is_refused_and_not_a_crash() -> None:
    for name in ("ofac", "mining-pools", "binance"):
        with pytest.raises(UnknownFormError):
            parse_labels("[" * 100_000, TERMS, form=name)
    assert len(parse_labels("[" * 100_000, TERMS, form="bip329").rejected) == 1


_words = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20).map(
    lambda text: f"n{text}".strip()
)
_texts = st.just("") | st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=20).map(
    str.strip
)
_days = st.none() | st.dates(date(2009, 1, 3), date(2099, 1, 1))
_scripts = st.one_of(
    st.binary(min_size=20, max_size=20).map(lambda hashed: b"\x76\xa9\x14" + hashed + b"\x88\xac"),
    st.binary(min_size=20, max_size=20).map(lambda hashed: b"\xa9\x14" + hashed + b"\x87"),
    st.binary(min_size=20, max_size=20).map(lambda program: b"\x00\x14" + program),
    st.binary(min_size=32, max_size=32).map(lambda program: b"\x51\x20" + program),
)
_labels = st.builds(
    Label,
    script=_scripts,
    entity=st.builds(Entity, name=_words, kind=st.sampled_from(EntityKind)),
    role=st.sampled_from(Role),
    source=_words,
    confidence=st.floats(0, 1),
    as_of=_days,
    citation=_texts,
    source_url=_texts,
    licence=_texts,
    valid_to=_days,
)


@pytest.mark.parametrize("name", ["csv", "tagpack"])
@given(labels=st.lists(_labels, max_size=5))
def test_what_is_written_is_read_as_it_was(name: str, labels: list[Label]) -> None:
    if name == "tagpack":  # it is made to be given away: without the own wallet
        labels = [label for label in labels if label.entity.kind is not EntityKind.PRIVATE]
    parsed = parse("".join(WRITERS[name](labels, Network.MAINNET)))
    assert (parsed.rejected, parsed.skipped) == ((), ())
    assert list(parsed.labels) == labels


@given(st.lists(_labels, max_size=5))
def test_what_is_written_to_be_trusted_is_read_as_it_was(labels: list[Label]) -> None:
    lines = list(WRITERS["csv"](labels, Network.MAINNET))
    assert list(read_trusted(lines)) == labels
    assert all(line.endswith("\n") and "\n" not in line[:-1] for line in lines)


@given(st.lists(_labels, max_size=5))
def test_a_wallet_reads_names_and_gives_back_its_own(labels: list[Label]) -> None:
    text = "".join(WRITERS["bip329"](labels, Network.MAINNET))
    records = [json.loads(line) for line in text.splitlines()]
    assert [record["ref"] for record in records] == [
        address_from_script(label.script, Network.MAINNET) for label in labels
    ]
    if labels:
        again = parse(text)
        assert [label.script for label in again.labels] == [label.script for label in labels]
        assert "".join(WRITERS["bip329"](again.labels, Network.MAINNET)) == text


def test_an_export_of_nothing_is_a_file_all_the_same() -> None:
    for name, write in WRITERS.items():
        text = "".join(write([], Network.MAINNET))
        assert parse_labels(text, TERMS, form=name).labels == ()


def test_each_row_is_counted() -> None:
    counted: list[int] = []
    parse_labels(PACK, TERMS, advance=lambda: counted.append(1))
    assert len(counted) == 3
