import json
from pathlib import Path
from typing import Any, cast

import pytest

from hydrophone import detector
from hydrophone.detector import WhaleFlowDetector
from hydrophone.domain.labels import Entity, EntityKind, Label, LabelBook, Role
from hydrophone.domain.script import Network
from hydrophone.errors import ConfigError
from hydrophone.store.label_files import build_label_book
from tests.explained import BATCH, COINBASE, COINJOIN

BTC = 100_000_000
# Sources: BIP 173, examples: the same key as P2WPKH on mainnet and testnet.
EXCHANGE_SCRIPT = "0014751e76e8199196d454941c45d1b3a323f1433bd6"
EXCHANGE_ADDRESS = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
EXCHANGE_TEST_ADDRESS = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"
KEY_SCRIPT = "21" + "02" + "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798" + "ac"
CUSTOMER_SCRIPT = "5120" + "aa" * 32
TXID = "ab" * 32


def label(script_hex: str) -> Label:
    exchange = Entity("Binance", EntityKind.EXCHANGE)
    return Label(bytes.fromhex(script_hex), exchange, Role.HOT, "test", 0.97)


BOOK = LabelBook([label(EXCHANGE_SCRIPT), label(KEY_SCRIPT)])


def esplora(
    spent: list[tuple[str, int]], paid: list[tuple[str, int]], *, sequence: int = 0xFFFFFFFD
) -> dict[str, Any]:
    """Return a transaction as a REST answer has it."""
    return {
        "txid": TXID,
        "version": 2,
        "vin": [
            {
                "txid": "cd" * 32,
                "vout": index,
                "prevout": {"scriptpubkey": script, "value": value_sat},
                "sequence": sequence,
                "is_coinbase": False,
            }
            for index, (script, value_sat) in enumerate(spent)
        ],
        "vout": [{"scriptpubkey": script, "value": value_sat} for script, value_sat in paid],
        "size": 200,
        "weight": 800,
        "fee": 5000,
        "status": {"confirmed": False},
    }


def deposit() -> dict[str, Any]:
    return esplora([(CUSTOMER_SCRIPT, 151 * BTC)], [(EXCHANGE_SCRIPT, 150 * BTC), (CUSTOMER_SCRIPT, BTC)])


def test_a_deposit_is_described_in_full() -> None:
    result = WhaleFlowDetector(book=BOOK).classify(deposit())
    assert result is not None
    assert result["txid"] == TXID
    assert result["flow_type"] == "inflow"
    assert result["flow_subtype"] is None
    assert result["btc_value"] == 151.0
    assert result["gross_sat"] == 151 * BTC
    assert result["moved_btc"] == result["moved_sat"] / BTC == pytest.approx(150, abs=0.01)
    assert result["fee_rate"] == 25.0
    assert result["rbf_enabled"] is True
    assert result["exchange_addresses"] == [EXCHANGE_ADDRESS]
    assert result["confidence"] == result["probabilities"]["inflow"] >= 0.5
    assert sum(result["probabilities"].values()) == pytest.approx(1)
    values = result["values"]
    split = [values["inflow_sat"], values["outflow_sat"], values["internal_sat"]]
    assert sum(split) + values["interexchange_sat"] + values["unknown_sat"] == result["moved_sat"]
    [entity] = result["entities"]
    assert (entity["name"], entity["out_sat"]) == ("Binance", 0)
    assert entity["net_sat"] == entity["in_sat"] == values["inflow_sat"]
    assert result["reason"] is None


def test_a_result_is_plain_json() -> None:
    result = WhaleFlowDetector(book=BOOK).classify(deposit())
    assert json.loads(json.dumps(result)) == result


async def test_the_awaitable_says_the_same() -> None:
    whales = WhaleFlowDetector(book=BOOK)
    assert await whales.classify_transaction(deposit()) == whales.classify(deposit())


def test_keys_that_the_quickstart_adds_change_nothing() -> None:
    whales = WhaleFlowDetector(book=BOOK)
    assert whales.classify(deposit() | {"fee_rate": 1.0, "rbf": False}) == whales.classify(deposit())


def test_a_final_sequence_signals_no_replacement() -> None:
    tx_data = esplora([(CUSTOMER_SCRIPT, 2 * BTC)], [(CUSTOMER_SCRIPT, BTC)], sequence=0xFFFFFFFF)
    result = WhaleFlowDetector(book=BOOK).classify(tx_data)
    assert result is not None
    assert result["rbf_enabled"] is False


def test_small_transactions_are_judged_as_well() -> None:
    tx_data = esplora([(EXCHANGE_SCRIPT, 2 * BTC)], [(CUSTOMER_SCRIPT, BTC)])
    result = WhaleFlowDetector(book=BOOK).classify(tx_data)
    assert result is not None
    assert (result["flow_type"], result["btc_value"]) == ("outflow", 1.0)


def test_without_prevouts_and_fee_the_answer_is_an_honest_unknown() -> None:
    tx_data = deposit()
    tx_data["vin"][0]["prevout"] = None
    del tx_data["fee"]
    result = WhaleFlowDetector(book=BOOK).classify(tx_data)
    assert result is not None
    assert result["fee_rate"] is None
    assert result["flow_type"] == "unknown"
    assert result["reason"] == "inputs unknown: the source sent no prevouts"
    assert result["moved_sat"] == result["gross_sat"]
    assert result["exchange_addresses"] == [EXCHANGE_ADDRESS]


def test_a_labelled_script_without_an_address_counts_but_is_not_listed() -> None:
    result = WhaleFlowDetector(book=BOOK).classify(
        esplora([(KEY_SCRIPT, 200 * BTC)], [(CUSTOMER_SCRIPT, 199 * BTC)])
    )
    assert result is not None
    assert (result["flow_type"], result["exchange_addresses"]) == ("outflow", [])


def test_interexchange_is_marked() -> None:
    book = LabelBook(
        [
            label(EXCHANGE_SCRIPT),
            Label(
                bytes.fromhex(CUSTOMER_SCRIPT),
                Entity("Kraken", EntityKind.EXCHANGE),
                Role.HOT,
                "test",
                0.97,
            ),
        ]
    )
    result = WhaleFlowDetector(book=book).classify(
        esplora([(EXCHANGE_SCRIPT, 200 * BTC)], [(CUSTOMER_SCRIPT, 199 * BTC)])
    )
    assert result is not None
    assert (result["flow_type"], result["flow_subtype"]) == ("internal", "interexchange")


def coinbase() -> dict[str, Any]:
    tx_data = esplora([], [(CUSTOMER_SCRIPT, 3 * BTC)])
    coin = {"txid": "00" * 32, "vout": 0xFFFFFFFF, "prevout": None, "sequence": 0, "is_coinbase": True}
    return tx_data | {"vin": [coin]}


@pytest.mark.parametrize(
    "tx_data",
    [
        pytest.param(coinbase(), id="coinbase"),
        pytest.param({}, id="empty"),
        pytest.param(deposit() | {"txid": "short"}, id="no txid"),
        pytest.param(deposit() | {"vin": "none"}, id="inputs of a wrong type"),
        pytest.param(deposit() | {"vin": []}, id="no inputs"),
        pytest.param(deposit() | {"vout": []}, id="no outputs"),
        pytest.param(deposit() | {"weight": 0}, id="no weight"),
        pytest.param(deposit() | {"vout": [{"value": -1, "scriptpubkey": ""}]}, id="negative amount"),
        pytest.param(deposit() | {"fee": float("nan")}, id="fee is no number"),
        pytest.param(deposit() | {"extra": object()}, id="not JSON"),
        pytest.param({1: {2}}, id="keys are no text"),
        pytest.param(None, id="none"),
        pytest.param("{}", id="text"),
        pytest.param([deposit()], id="list"),
    ],
)
async def test_what_cannot_be_judged_gives_none(tx_data: object) -> None:
    untyped = cast("dict[str, object]", tx_data)
    assert await WhaleFlowDetector(book=BOOK).classify_transaction(untyped) is None


def test_something_that_contains_itself_gives_none() -> None:
    tx_data: dict[str, Any] = deposit()
    tx_data["again"] = tx_data
    assert WhaleFlowDetector(book=BOOK).classify(tx_data) is None


def test_something_nested_too_deeply_gives_none() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    assert WhaleFlowDetector(book=BOOK).classify(deposit() | {"vin": nested}) is None


def test_the_labels_that_ship_are_the_default_and_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Network] = []

    def build(network: Network, paths: list[Path]) -> tuple[LabelBook, tuple[()]]:
        assert list(paths) == []
        asked.append(network)
        return BOOK, ()

    monkeypatch.setattr(detector, "build_label_book", build)
    detector._default_book.cache_clear()
    try:
        for _ in range(3):
            result = WhaleFlowDetector().classify(deposit())
            assert result is not None
            assert result["flow_type"] == "inflow"
    finally:
        detector._default_book.cache_clear()
    assert asked == [Network.MAINNET]


def test_a_script_of_the_labels_that_ship_gives_direction() -> None:
    book, _ = build_label_book(Network.MAINNET, ())
    shipped = next(label for label in book if label.entity.kind is EntityKind.EXCHANGE)
    result = WhaleFlowDetector().classify(
        esplora([(shipped.script.hex(), 200 * BTC)], [(CUSTOMER_SCRIPT, 199 * BTC)])
    )
    assert result is not None
    assert result["flow_type"] == "outflow"
    assert [entity["name"] for entity in result["entities"]] == [shipped.entity.name]


def test_label_files_are_added(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"exchange_name,address,type\nMy Exchange,{EXCHANGE_ADDRESS},hot_wallet\n")
    for labels in ([path], [str(path)]):
        result = WhaleFlowDetector(labels).classify(deposit())
        assert result is not None
        assert [entity["name"] for entity in result["entities"]] == ["My Exchange"]


def test_addresses_are_spelled_as_on_their_network() -> None:
    result = WhaleFlowDetector(network="testnet4", book=BOOK).classify(deposit())
    assert result is not None
    assert result["exchange_addresses"] == [EXCHANGE_TEST_ADDRESS]


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"among mainnet, testnet4, signet, regtest, found 'main'"):
        WhaleFlowDetector(network="main")


def test_files_beside_a_book_are_refused() -> None:
    with pytest.raises(ConfigError, match="found both"):
        WhaleFlowDetector(["labels.csv"], book=BOOK)


def test_an_unusable_label_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.csv"):
        WhaleFlowDetector([tmp_path / "absent.csv"])


def test_shape_is_part_of_the_result() -> None:
    detector = WhaleFlowDetector(book=BOOK)
    shapes = []
    for document in (deposit(), COINJOIN, BATCH):
        result = detector.classify(document)
        assert result is not None
        shapes.append(result["shape"])
    assert shapes == [None, "coinjoin_whirlpool", "batch"]


def test_an_explanation_agrees_with_the_result_and_is_fit_for_json() -> None:
    detector = WhaleFlowDetector(book=BOOK)
    result, explanation = detector.classify(deposit()), detector.explain(deposit())
    assert result is not None
    assert explanation is not None
    said = cast("dict[str, Any]", result)
    same = (said.keys() & explanation.keys()) - {"entities"}
    assert {"flow_type", "flow_subtype", "probabilities", "values", "confidence", "shape"} <= same
    assert {key: explanation[key] for key in same} == {key: said[key] for key in same}
    assert json.loads(json.dumps(explanation)) == explanation
    assert explanation["whale"]["is_whale"] is True


def test_the_threshold_is_that_of_the_caller() -> None:
    explanation = WhaleFlowDetector(book=BOOK, threshold_btc="151").explain(deposit())
    assert explanation is not None
    assert explanation["whale"]["is_whale"] is False
    with pytest.raises(ConfigError, match="threshold_btc"):
        WhaleFlowDetector(threshold_btc="much")


def test_what_cannot_be_judged_has_no_explanation() -> None:
    assert WhaleFlowDetector(book=BOOK).explain(COINBASE) is None
