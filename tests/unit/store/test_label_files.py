import csv
import io
from collections import Counter
from datetime import date
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hydrophone.domain.labels import Entity, EntityKind, Label, Role
from hydrophone.domain.script import Network, address_from_script, script_from_address
from hydrophone.errors import ConfigError
from hydrophone.store.label_files import (
    CURATED_COLUMNS,
    QUICKSTART_COLUMNS,
    LabelFile,
    build_label_book,
    load_curated,
    load_label_file,
)

# The example of BIP 173, on two networks, and a second script that is easy to tell from it.
ADDRESS = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
TEST_ADDRESS = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"
SCRIPT = bytes.fromhex("0014751e76e8199196d454941c45d1b3a323f1433bd6")
OTHER_ADDRESS = "1111111111111111111114oLvT2"
OTHER_SCRIPT = bytes.fromhex("76a914000000000000000000000000000000000000000088ac")

BINANCE = Entity("Binance", EntityKind.EXCHANGE)
QUICKSTART_HEADER = ",".join(QUICKSTART_COLUMNS)
CURATED_HEADER = ",".join(CURATED_COLUMNS)


def load(tmp_path: Path, content: str | bytes, network: Network = Network.MAINNET) -> LabelFile:
    path = tmp_path / "mine.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_label_file(path, network)


def test_a_row_of_the_quickstart_is_a_claim_on_an_exchange_by_the_file(tmp_path: Path) -> None:
    loaded = load(tmp_path, f"{QUICKSTART_HEADER}\nBinance,{ADDRESS},cold_wallet\n")
    assert loaded == LabelFile(
        path=tmp_path / "mine.csv",
        labels=(Label(SCRIPT, BINANCE, Role.COLD, source="mine.csv", confidence=0.90, as_of=None),),
        rejected=(),
    )


@pytest.mark.parametrize(
    ("word", "role"),
    [
        ("cold_wallet", Role.COLD),
        ("cold", Role.COLD),
        ("hot_wallet", Role.HOT),
        ("hot", Role.HOT),
        ("Hot Wallet", Role.HOT),
        ("deposit", Role.DEPOSIT),
        ("deposit_address", Role.DEPOSIT),
        ("Deposit-Wallet", Role.DEPOSIT),
        ("unknown", Role.UNKNOWN),
        ("warm_wallet", Role.UNKNOWN),
        ("", Role.UNKNOWN),
    ],
)
def test_the_type_gives_the_role_and_any_other_word_an_unknown_one(
    tmp_path: Path, word: str, role: Role
) -> None:
    loaded = load(tmp_path, f"{QUICKSTART_HEADER}\nBinance,{ADDRESS},{word}\n")
    assert [label.role for label in loaded.labels] == [role]
    assert loaded.rejected == ()


def test_our_own_form_states_every_field(tmp_path: Path) -> None:
    row = f'{ADDRESS},"Coinbase, Inc.",custodian,hot,0.93,2026-09-23,its list @2026-09-23; an explorer'
    loaded = load(tmp_path, f"{CURATED_HEADER}\n{row}\n")
    assert loaded.rejected == ()
    assert loaded.labels == (
        Label(
            SCRIPT,
            Entity("Coinbase, Inc.", EntityKind.CUSTODIAN),
            Role.HOT,
            source="mine.csv",
            citation="its list @2026-09-23; an explorer",
            confidence=0.93,
            as_of=date(2026, 9, 23),
        ),
    )


def test_our_own_form_may_leave_confidence_date_and_sources_empty(tmp_path: Path) -> None:
    loaded = load(tmp_path, f"{CURATED_HEADER}\n{ADDRESS},Binance,exchange,cold,,,\n")
    assert loaded.labels == (Label(SCRIPT, BINANCE, Role.COLD, "mine.csv", 0.90, None),)


@pytest.mark.parametrize(
    "content",
    [
        f"{QUICKSTART_HEADER}\nBinance,{ADDRESS},hot",
        f"\ufeff{QUICKSTART_HEADER}\nBinance,{ADDRESS},hot\n",
        f"{QUICKSTART_HEADER}\r\nBinance,{ADDRESS},hot\r\n",
        f"{QUICKSTART_HEADER}\rBinance,{ADDRESS},hot\r",
        f"\n\n{QUICKSTART_HEADER}\n\n  \t\n,,,\nBinance,{ADDRESS},hot\n\n",
        f' Exchange_Name , ADDRESS,type \n  "Binance" , "{ADDRESS}" ,\thot \n',
        f'"exchange_name","address","type"\n"Binance","{ADDRESS}","hot"\n',
        f"type,note,address,exchange_name\nhot,seen in 2024,{ADDRESS},Binance\n",
        f"exchange_name,,address,type,\nBinance,,{ADDRESS},hot,\n",
        f'{QUICKSTART_HEADER},note\nBinance,{ADDRESS},hot,"a, b"\n',
        f"{QUICKSTART_HEADER}\nBinance,{ADDRESS},hot,more,than,named\n",
        f"{QUICKSTART_HEADER}\nBinance,{ADDRESS.upper()},hot\n",
    ],
)
def test_what_spreadsheets_and_people_do_to_a_csv_changes_nothing(tmp_path: Path, content: str) -> None:
    loaded = load(tmp_path, content)
    assert loaded.rejected == ()
    assert loaded.labels == (Label(SCRIPT, BINANCE, Role.HOT, "mine.csv", 0.90),)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f"Binance,{ADDRESS[:-1]}5,hot", "bech32 checksum does not match"),
        (f"Binance,{TEST_ADDRESS},hot", "expected an address of mainnet, found one of testnet4 or signet"),
        ("Binance,0x742d35Cc6634C0532925a3b844Bc454e4438f44e,hot", "expected an address of mainnet"),
        ("Binance,,hot", "expected an address of mainnet"),
        (f",{ADDRESS},hot", "expected a name with a letter or digit, found ''"),
        (f" -?- ,{ADDRESS},hot", "expected a name with a letter or digit, found '-?-'"),
        (f"Bin\0ance,{ADDRESS},hot", r"expected a name with a letter or digit, found 'Bin\x00ance'"),
        (f"Bin\u202eance,{ADDRESS},hot", r"found 'Bin\u202eance'"),
        ("Binance", "expected 3 columns, found 1"),
        (f"Binance,{ADDRESS}", "expected 3 columns, found 2"),
        (f'"Binance,{ADDRESS},hot', "expected 3 columns, found 1"),
        (f"Binance;{ADDRESS};hot", "expected 3 columns, found 1"),
        (f"{'B' * 200_000},{ADDRESS},hot", "expected a row of at most 10000 characters"),
    ],
)
def test_a_bad_row_is_reported_with_its_line_and_the_others_are_loaded(
    tmp_path: Path, row: str, reason: str
) -> None:
    content = f"{QUICKSTART_HEADER}\nBinance,{ADDRESS},hot\n\n{row}\nKraken,{OTHER_ADDRESS},cold\n"
    loaded = load(tmp_path, content)
    assert [label.script for label in loaded.labels] == [SCRIPT, OTHER_SCRIPT]
    (rejected,) = loaded.rejected
    assert rejected.line == 4
    assert reason in rejected.reason
    assert rejected.text == row.strip()[:200]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("kind", "bank", "expected a kind of exchange, custodian, etf"),
        ("kind", "", "expected a kind of exchange"),
        ("confidence", "1.01", "expected a confidence from 0 to 1, found '1.01'"),
        ("confidence", "-0.1", "expected a confidence from 0 to 1"),
        ("confidence", "nan", "expected a confidence from 0 to 1"),
        ("confidence", "97%", "expected a confidence from 0 to 1, found '97%'"),
        ("as_of", "23.09.2026", "expected a date such as 2026-09-23, found '23.09.2026'"),
        ("as_of", "2026-02-30", "expected a date such as"),
        ("address", ADDRESS[:-1], "checksum"),
        ("entity", "", "expected a name"),
    ],
)
def test_a_bad_field_of_our_own_form_is_reported(
    tmp_path: Path, column: str, value: str, reason: str
) -> None:
    good = dict(
        zip(CURATED_COLUMNS, (ADDRESS, "Binance", "exchange", "hot", "0.9", "2026-09-23", "x"), strict=True)
    )
    loaded = load(tmp_path, f"{CURATED_HEADER}\n{','.join((good | {column: value}).values())}\n")
    assert loaded.labels == ()
    assert [reason in rejected.reason for rejected in loaded.rejected] == [True]


def test_addresses_are_read_on_the_network_we_watch(tmp_path: Path) -> None:
    content = f"{QUICKSTART_HEADER}\nBinance,{TEST_ADDRESS},hot\nBinance,{ADDRESS},hot\n"
    loaded = load(tmp_path, content, Network.SIGNET)
    assert [label.script for label in loaded.labels] == [SCRIPT]
    assert [rejected.reason for rejected in loaded.rejected] == [
        "expected an address of signet, found one of mainnet"
    ]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "found ''"),
        ("\n\n", "found ''"),
        (f"Binance,{ADDRESS},hot\n", f"found 'Binance,{ADDRESS},hot'"),
        (f"name,address,type\nBinance,{ADDRESS},hot\n", "found 'name,address,type'"),
        ("x" * 100_000, "found 'xxx"),
        (b"PK\x03\x04\x14\x00\x08\x08", "expected a first row"),
        (b"\xff\xfee\x00x\x00c\x00h\x00", "expected text in UTF-8, found the byte 0xff"),
        (f"{QUICKSTART_HEADER}\nBinance\u00e9,{ADDRESS},hot\n".encode("latin-1"), "found the byte 0xe9"),
    ],
)
def test_what_is_no_label_file_is_refused_as_a_whole(
    tmp_path: Path, content: str | bytes, found: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, content)
    message = str(refused.value)
    assert f"label file {tmp_path / 'mine.csv'}: expected " in message
    assert found in message
    assert len(message) < 700


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.csv: expected a file that can be read: No such file"):
        load_label_file(tmp_path / "nowhere.csv", Network.MAINNET)


def test_a_directory_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a file that can be read: Is a directory"):
        load_label_file(tmp_path, Network.MAINNET)


def test_a_header_alone_is_a_file_without_claims(tmp_path: Path) -> None:
    assert load(tmp_path, QUICKSTART_HEADER) == LabelFile(tmp_path / "mine.csv", (), ())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.sampled_from([QUICKSTART_HEADER, CURATED_HEADER, ""]),
    rows=st.lists(
        st.one_of(
            st.text(st.characters(exclude_categories=["Cs"])),
            st.sampled_from([f"Binance,{ADDRESS},hot", f'{ADDRESS},"Binance",exchange,hot,"0.9",,']),
        )
    ),
)
def test_any_text_ends_in_claims_and_reports_or_in_a_configuration_error(
    tmp_path: Path, header: str, rows: list[str]
) -> None:
    content = "\n".join([header, *rows])
    try:
        loaded = load(tmp_path, content)
    except ConfigError:
        return
    assert {label.script for label in loaded.labels} <= {SCRIPT}
    lines = content.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    with_text = [line for line in lines if line.strip(", \t")]
    assert len(loaded.labels) + len(loaded.rejected) == len(with_text) - 1
    assert all(lines[rejected.line - 1].strip()[:200] == rejected.text for rejected in loaded.rejected)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes_end_in_claims_or_in_a_configuration_error(tmp_path: Path, content: bytes) -> None:
    try:
        loaded = load(tmp_path, QUICKSTART_HEADER.encode() + b"\n" + content)
    except ConfigError:
        return
    assert loaded.labels == ()


def test_every_curated_row_loads_and_is_spelled_as_we_would() -> None:
    text = resources.files("hydrophone.store").joinpath("curated_labels.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    labels = load_curated(Network.MAINNET)
    assert len(rows) == len(labels) == 265
    assert [row["address"] for row in rows] == [
        address_from_script(label.script, Network.MAINNET) for label in labels
    ]


def test_every_curated_claim_has_sources_a_date_and_a_confidence_by_evidence() -> None:
    labels = load_curated(Network.MAINNET)
    assert Counter(label.confidence for label in labels) == {0.97: 153, 0.93: 69, 0.85: 43}
    assert all(label.citation and label.as_of for label in labels)


def test_the_curated_set_names_organisations_and_no_private_wallets() -> None:
    kinds = {label.entity.kind for label in load_curated(Network.MAINNET)}
    assert kinds == {
        EntityKind.EXCHANGE,
        EntityKind.CUSTODIAN,
        EntityKind.ETF,
        EntityKind.POOL,
        EntityKind.GOVERNMENT,
    }


def test_the_curated_set_disputes_no_script_and_makes_one_claim_on_each() -> None:
    book, _ = build_label_book(Network.MAINNET, [])
    assert len(book) == book.script_count == 265
    assert not [label for label in book if book.is_disputed(label.script)]


def test_the_curated_set_knows_binances_cold_wallet() -> None:
    book, _ = build_label_book(Network.MAINNET, [])
    (label,) = book.lookup(script_from_address("34xp4vRoCGJym3xR7yCVPFHoCNxv4Twseo", Network.MAINNET))
    assert (label.entity, label.role, label.confidence) == (BINANCE, Role.COLD, 0.97)
    assert label.as_of == date(2026, 9, 23)
    assert "binance-por-api @2026-09-23" in label.citation.split("; ")


@pytest.mark.parametrize("network", [Network.TESTNET4, Network.SIGNET, Network.REGTEST])
def test_there_are_no_curated_claims_on_test_networks(network: Network) -> None:
    assert load_curated(network) == ()


def test_the_book_holds_the_curated_claims_and_those_of_all_files(tmp_path: Path) -> None:
    curated, _ = build_label_book(Network.MAINNET, [])
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    paths[0].write_text(f"{QUICKSTART_HEADER}\nBinance,{ADDRESS},hot\nBinance,nonsense,hot\n")
    paths[1].write_text(f"{QUICKSTART_HEADER}\nKraken,{ADDRESS},hot\n")
    book, files = build_label_book(Network.MAINNET, paths)
    assert [file.path for file in files] == paths
    assert [len(file.rejected) for file in files] == [1, 0]
    assert len(book) == len(curated) + 2
    assert {label.source for label in book.lookup(SCRIPT)} == {"a.csv", "b.csv"}
    assert book.is_disputed(SCRIPT)
    assert book.version != curated.version


def test_a_file_named_twice_says_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{QUICKSTART_HEADER}\nBinance,{ADDRESS},hot\n")
    once, _ = build_label_book(Network.MAINNET, [path])
    twice, _ = build_label_book(Network.MAINNET, [path, path])
    assert twice.version == once.version
    assert len(twice) == len(once)
