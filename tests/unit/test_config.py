import argparse
import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.cli.flags import add_settings, load
from hydrophone.config import (
    TABLE,
    LoadedSettings,
    Settings,
    host_in_url,
    is_loopback,
    load_settings,
    value_of,
)
from hydrophone.errors import ConfigError, ExitCode

PORT = "alerts.port"


@pytest.fixture(autouse=True)
def _nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be where neither a file nor a variable sets anything."""
    monkeypatch.chdir(tmp_path)
    for variable in os.environ:
        if variable.startswith("HYDROPHONE_") or variable in ("LOG_LEVEL", "LOG_FORMAT"):
            monkeypatch.delenv(variable)


def load_from(
    toml: str = "", environment: Mapping[str, str] | None = None, flags: Mapping[str, object] | None = None
) -> LoadedSettings:
    """Load settings from a file in the current folder and from what is given."""
    if toml:
        Path("hydrophone.toml").write_text(toml, encoding="utf-8")
    return load_settings(environment=environment or {}, flags=flags)


def refusal_of(key: str, raw: object) -> str:
    """Return what is said about a value that is refused."""
    with pytest.raises(ConfigError) as caught:
        load_from(flags={key: raw})
    return str(caught.value)


# Layers.


def test_nothing_set_gives_the_defaults_of_the_interface() -> None:
    loaded = load_from()
    settings = loaded.settings
    assert settings == Settings()
    assert loaded.origins == {}
    assert settings.whale.threshold_btc == 100
    assert (settings.alerts.port, settings.api.port, settings.simulator.port) == (8765, 8000, 8999)
    assert (settings.alerts.host, settings.api.host) == ("localhost", "localhost")
    assert settings.store.path == Path("data/mempool_predictions.db")
    assert settings.network == "mainnet"


def test_each_layer_beats_the_one_before() -> None:
    toml, variable, flag = "[alerts]\nport = 1001\n", {"HYDROPHONE_ALERTS__PORT": "1002"}, {PORT: "1003"}
    for loaded, port, origin in (
        (load_from(), 8765, None),
        (load_from(toml), 1001, "hydrophone.toml"),
        (load_from(toml, variable), 1002, "HYDROPHONE_ALERTS__PORT"),
        (load_from(toml, variable, flag), 1003, "command line"),
    ):
        assert loaded.settings.alerts.port == port
        assert loaded.origins.get(PORT) == origin


def test_layers_are_joined_key_by_key() -> None:
    loaded = load_from(
        "network = 'signet'\n[alerts]\nport = 1001\nmax_clients = 7\n",
        {"HYDROPHONE_ALERTS__PORT": "1002", "HYDROPHONE_API__PORT": "1003"},
        {"api.host": "::1"},
    )
    settings = loaded.settings
    assert (settings.alerts.port, settings.alerts.max_clients) == (1002, 7)
    assert (settings.api.host, settings.api.port) == ("::1", 1003)
    assert settings.network == "signet"
    assert set(loaded.origins) == {"network", PORT, "alerts.max_clients", "api.port", "api.host"}


def test_a_named_file_is_read_instead_of_the_usual_one(tmp_path: Path) -> None:
    Path("hydrophone.toml").write_text("[alerts]\nport = 1\n", encoding="utf-8")
    named = tmp_path / "other.toml"
    named.write_text("[alerts]\nport = 2\n", encoding="utf-8")
    loaded = load_settings(file=named, environment={})
    assert loaded.settings.alerts.port == 2
    assert loaded.origins == {PORT: str(named)}


def test_the_quickstarts_log_level_works_and_our_own_variable_beats_it() -> None:
    assert load_from(environment={"LOG_LEVEL": "debug"}).settings.log.level == "DEBUG"
    assert load_from(environment={"LOG_LEVEL": ""}).settings.log.level == "INFO"
    both = {"HYDROPHONE_LOG__LEVEL": "ERROR", "LOG_LEVEL": "DEBUG"}
    assert load_from(environment=both).settings.log.level == "ERROR"
    assert load_from("[log]\nlevel = 'WARNING'\n", {"LOG_LEVEL": "DEBUG"}).settings.log.level == "DEBUG"


def test_its_sister_sets_the_form_of_the_log() -> None:
    assert load_from(environment={"LOG_FORMAT": "json"}).settings.log.format == "json"
    both = {"HYDROPHONE_LOG__FORMAT": "human", "LOG_FORMAT": "json"}
    assert load_from(environment=both).settings.log.format == "human"
    with pytest.raises(ConfigError, match=r"log\.format \(LOG_FORMAT\)"):
        load_from(environment={"LOG_FORMAT": "xml"})


# Unknown keys.


@pytest.mark.parametrize(
    ("toml", "environment", "nearest"),
    [
        ("[whale]\nthreshhold_btc = 5\n", {}, "whale.threshold_btc"),
        ("[alert]\nport = 5\n", {}, "alerts.port"),
        ("whale = 5\n", {}, "whale.threshold_btc"),
        ("[whale.threshold]\nbtc = 5\n", {}, "whale.threshold_btc"),
        ("", {"HYDROPHONE_STORE__PAHT": "x"}, "store.path"),
        ("", {"HYDROPHONE_WHALE_THRESHOLD_BTC": "5"}, "whale.threshold_btc"),
        ("", {"HYDROPHONE_API__PROT": "5"}, "api.port"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known(
    toml: str, environment: Mapping[str, str], nearest: str
) -> None:
    with pytest.raises(ConfigError, match=rf"there is no setting .*; did you mean {nearest}\?$") as caught:
        load_from(toml, environment)
    assert caught.value.exit_code is ExitCode.CONFIGURATION
    assert str(caught.value).startswith(next(iter(environment), "hydrophone.toml"))


def test_a_key_that_is_like_no_other_is_refused_with_all_known() -> None:
    with pytest.raises(ConfigError) as caught:
        load_from(environment={"HYDROPHONE_ZZZZZZ": "1"})
    assert all(key in str(caught.value) for key in TABLE)


def test_other_variables_are_none_of_our_business() -> None:
    assert load_from(environment={"HYDROPHON_X": "1", "PATH": "/bin", "PORT": "1"}).origins == {}


# Malformed values.


@pytest.mark.parametrize("raw", ["", "x", "-1", "65536", "80.0", "1e3", 80.0, True, None, [], "9" * 5000])
def test_a_port_is_a_whole_number_that_fits(raw: object) -> None:
    assert "alerts.port (command line): expected a whole number from 0 to 65535, found" in refusal_of(
        PORT, raw
    )


@pytest.mark.parametrize(("raw", "port"), [("0", 0), (0, 0), ("65535", 65_535), (" 81 ", 81)])
def test_a_port_may_be_text_or_number(raw: object, port: int) -> None:
    assert load_from(flags={PORT: raw}).settings.alerts.port == port


@pytest.mark.parametrize("raw", ["", "whale", "0", "-5", "NaN", "inf", "21000000.00000001", True, None, []])
def test_a_threshold_is_an_amount_above_nothing(raw: object) -> None:
    assert "whale.threshold_btc (command line): expected an amount in BTC" in refusal_of(
        "whale.threshold_btc", raw
    )


def test_a_threshold_is_whole_satoshis() -> None:
    assert "whole satoshis" in refusal_of("whale.threshold_btc", "0.000000001")
    assert load_from(flags={"whale.threshold_btc": "0.00000001"}).settings.whale.threshold_btc == Decimal(
        "0.00000001"
    )


@given(value_sat=st.integers(1, 21_000_000 * 10**8))
def test_every_whole_amount_is_a_threshold_exactly(value_sat: int) -> None:
    spelled = f"{value_sat // 10**8}.{value_sat % 10**8:08}"
    parsed = TABLE["whale.threshold_btc"].parse(spelled)
    assert isinstance(parsed, Decimal)
    assert parsed * 10**8 == value_sat


@pytest.mark.parametrize(
    ("key", "raw", "expected"),
    [
        ("network", "Mainnet", "one of mainnet, testnet4, signet, regtest"),
        ("network", ["mainnet"], "one of mainnet, testnet4, signet, regtest"),
        ("log.level", "LOUD", "one of DEBUG, INFO, WARNING, ERROR"),
        ("log.format", "xml", "one of auto, human, json"),
        ("store.path", "  ", "a text"),
        ("store.path", 5, "a text"),
        ("store.path", "~nobody-of-this-name/x.db", "a path"),
        ("store.memory_limit_mb", "31", "a whole number from 32 to 4096"),
        ("store.retention_days", "20", "0 (for ever), or at least 21 days"),
        ("store.retention_days", "-1", "a whole number from 0 to 36500"),
        ("accuracy.threshold_percent", "101", "a whole number from 0 to 100"),
        ("accuracy.window_h", "0", "a whole number from 1 to 2160"),
        ("alerts.max_clients", "0", "a whole number from 1 to 1000000"),
        ("service.drain_s", "301", "a whole number from 1 to 300"),
        ("labels.paths", 5, "a list"),
        ("labels.paths", [5], "a text"),
        ("explorer.url", 5, "a text"),
        ("source.rest_url", "localhost:8999", "http://host:port or https://host"),
        ("source.rest_url", "http://", "http://host:port or https://host"),
        ("source.urls", "http://localhost:8999", "ws://host:port/..., wss://host/... or recording:FILE"),
        ("source.urls", ["ws://"], "ws://host:port/..., wss://host/... or recording:FILE"),
        ("source.urls", ["ws://localhost:abc/"], "ws://host:port/"),
        ("source.urls", ["ws://localhost:99999/"], "ws://host:port/"),
        ("source.urls", ["ws://a..b/"], "ws://host:port/"),
        ("source.urls", ["ws://a:1/,ws://b:2/"], "ws://host:port/"),
        ("source.rest_url", "http://a..b", "http://host:port"),
        ("store.path", "a\0b", "a text"),
        ("source.urls", "recording:", "ws://host:port/..., wss://host/... or recording:FILE"),
        ("source.urls", ["ws://a", "recording:b"], "websockets to try in turn, or one recording"),
        ("source.urls", ["recording:a", "recording:b"], "websockets to try in turn, or one recording"),
    ],
)
def test_a_malformed_value_is_refused_with_what_was_expected_and_found(
    key: str, raw: object, expected: str
) -> None:
    said = refusal_of(key, raw)
    assert said.startswith(f"{key} (command line): expected {expected}")
    assert said.endswith(f"found {raw!r}")


def test_a_malformed_value_says_which_file_or_variable_it_is_in() -> None:
    with pytest.raises(ConfigError, match=r"^api\.port \(hydrophone\.toml\): expected .* found 'x'$"):
        load_from("[api]\nport = 'x'\n")
    Path("hydrophone.toml").unlink()
    with pytest.raises(ConfigError, match=r"^api\.port \(HYDROPHONE_API__PORT\): expected .* found 'x'$"):
        load_from(environment={"HYDROPHONE_API__PORT": "x"})


@pytest.mark.parametrize(
    ("key", "raw", "value"),
    [
        ("source.urls", "ws://a:1/x, wss://b/y", ("ws://a:1/x", "wss://b/y")),
        ("source.urls", ["ws://a", "ws://b"], ("ws://a", "ws://b")),
        ("source.urls", "recording:some file.jsonl", ("recording:some file.jsonl",)),
        ("source.urls", "", ()),
        ("source.rest_url", "https://host/testnet/api", "https://host/testnet/api"),
        ("source.rest_url", "", None),
        ("labels.paths", "a.csv,b.csv", (Path("a.csv"), Path("b.csv"))),
        ("store.path", Path("x.db"), Path("x.db")),
        ("store.path", "~/x.db", Path.home() / "x.db"),
        ("explorer.url", "", None),
        ("log.level", "warning", "WARNING"),
        ("log.level", "warn", "WARNING"),
        ("whale.threshold_btc", 0.1, Decimal("0.1")),
    ],
)
def test_a_value_is_understood_as_it_is_written(key: str, raw: object, value: object) -> None:
    assert value_of(load_from(flags={key: raw}).settings, key) == value


# Only this machine.


@pytest.mark.parametrize("key", ["alerts.host", "api.host"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.2", "::1"])
def test_loopback_may_be_bound(key: str, host: str) -> None:
    assert value_of(load_from(flags={key: host}).settings, key) == host


@pytest.mark.parametrize("key", ["alerts.host", "api.host"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.com", "fe80::1%eth0"])
def test_others_may_be_let_in(key: str, host: str) -> None:
    assert value_of(load_from(flags={key: host}).settings, key) == host
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["*", "", 1, "a b", "local host", "http://x", "x/y", "a\r\nb"])
def test_a_host_is_a_name_or_an_address(host: object) -> None:
    assert refusal_of("api.host", host).startswith("api.host (command line): expected ")


@pytest.mark.parametrize("origin", ["null", "whales.example", "https://x/", "https://x/y", "ftp://x", "*"])
def test_an_origin_is_one_as_browsers_spell_it(origin: str) -> None:
    assert "expected an origin" in refusal_of("access.allowed_origins", [origin])


def test_hosts_are_spelled_in_urls_as_the_standard_says() -> None:
    assert host_in_url("localhost") == "localhost"
    assert host_in_url("127.0.0.1") == "127.0.0.1"
    assert host_in_url("::1") == "[::1]"


# Files.


@pytest.mark.parametrize("text", ["port = \n", "[alerts\n", "a = 1\na = 2\n"])
def test_a_file_that_is_not_toml_is_refused_with_the_place(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^hydrophone\.toml is not TOML: .*line"):
        load_from(text)


def test_a_file_that_is_not_text_is_refused() -> None:
    Path("hydrophone.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"^hydrophone\.toml is not TOML: "):
        load_from()


def test_a_named_file_must_be_there_and_be_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the settings file .*missing\.toml: No such file"):
        load_settings(file=tmp_path / "missing.toml", environment={})
    with pytest.raises(ConfigError, match=r"cannot read the settings file .*: Is a directory"):
        load_settings(file=tmp_path, environment={})


def test_a_settings_file_gets_its_types_from_toml() -> None:
    loaded = load_from(
        "[source]\nurls = ['ws://a', 'ws://b']\n[whale]\nthreshold_btc = 250\n[labels]\npaths = ['x.csv']\n"
    )
    assert loaded.settings.source.urls == ("ws://a", "ws://b")
    assert loaded.settings.whale.threshold_btc == 250
    assert loaded.settings.labels.paths == (Path("x.csv"),)


# The table.


@pytest.mark.parametrize("key", TABLE)
def test_every_setting_has_a_help_text_a_variable_and_a_flag(key: str) -> None:
    row = TABLE[key]
    assert row.text.endswith(".")
    assert row.variable == "HYDROPHONE_" + key.upper().replace(".", "__")
    raw = {
        "network": "signet",
        "source.urls": "ws://elsewhere",
        "source.rest_url": "http://elsewhere",
        "alerts.host": "127.0.0.1",
        "api.host": "127.0.0.1",
        "access.require_tokens": "true",
        "access.behind_proxy": "yes",
        "access.allowed_hosts": "whales.example",
        "access.allowed_origins": "https://whales.example",
        "log.level": "ERROR",
        "log.format": "json",
        "store.path": "elsewhere.db",
        "labels.paths": "elsewhere.csv",
        "explorer.url": "https://elsewhere/",
    }.get(key, "42")
    by_variable = load_from(environment={row.variable: raw})
    assert set(by_variable.origins) == {key}
    assert value_of(by_variable.settings, key) != row.default

    parser = argparse.ArgumentParser()
    add_settings(parser)
    flag = {"source.urls": "--source", "labels.paths": "--labels"}.get(key)
    flag = flag or "--" + key.replace(".", "-").replace("_", "-")
    by_flag = load(parser.parse_args([flag, raw]))
    assert value_of(by_flag.settings, key) == value_of(by_variable.settings, key)
    assert by_flag.origins[key] == "command line"
    assert row.text.split()[0] in parser.format_help()


@pytest.mark.parametrize("key", TABLE)
def test_every_default_is_a_value_the_setting_accepts(key: str) -> None:
    row = TABLE[key]
    assert row.parse(row.default) == row.default


def test_a_flag_for_a_list_may_be_given_more_than_once() -> None:
    parser = argparse.ArgumentParser()
    add_settings(parser)
    arguments = ["--source", "ws://a", "--source", "ws://b", "--labels", "x.csv", "--labels", "y.csv"]
    settings = load(parser.parse_args(arguments)).settings
    assert settings.source.urls == ("ws://a", "ws://b")
    assert settings.labels.paths == (Path("x.csv"), Path("y.csv"))


@pytest.mark.parametrize(("raw", "days"), [("0", 0), ("21", 21), (400, 400)])
def test_history_is_kept_for_ever_or_for_long_enough(raw: object, days: int) -> None:
    assert load_from(flags={"store.retention_days": raw}).settings.store.retention_days == days
