import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain import entity_names
from hydrophone.domain.entity_names import entity_key


@pytest.mark.parametrize(
    ("spelling", "other"),
    [
        ("Huobi", "HTX"),
        ("Huobi Global", "HTX (Huobi)"),
        ("OKEx", "OKX"),
        ("Crypto.com", "crypto com"),
        ("Crypto.com Exchange", "CRYPTO.COM"),
        ("Binance.com", "binance"),
        ("Gate.io", "Gate"),
        ("Coinbase Pro", "Coinbase"),
        ("Bitstamp.net", "bitstamp"),
    ],
)
def test_spellings_of_one_name_share_a_key(spelling: str, other: str) -> None:
    assert entity_key(spelling) == entity_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Binance", "Binance.US"),
        ("Binance", "Binance Pool"),
        ("Coinbase", "Coinbase (cbBTC reserve)"),
        ("OKX", "OKCoin"),
        ("BTC.com", "Bitcoin.com"),
        ("HTX", "HTX2"),
    ],
)
def test_names_of_two_companies_do_not(one: str, other: str) -> None:
    assert entity_key(one) != entity_key(other)


def test_no_alias_is_an_alias_of_an_alias_or_stands_for_two() -> None:
    aliases = [alias for names in entity_names._SPELLINGS.values() for alias in names]
    assert len(aliases) == len(set(aliases))
    assert not set(aliases) & set(entity_names._SPELLINGS)


@given(st.text())
def test_case_spaces_and_punctuation_do_not_count(name: str) -> None:
    assert entity_key(f" {name}!") == entity_key(name)
    assert entity_key(name.casefold()) == entity_key(name)
