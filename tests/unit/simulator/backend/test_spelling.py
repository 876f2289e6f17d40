import pytest

from hydrophone.domain.script import Network
from hydrophone.simulator.backend.spelling import MAX_CACHED_SCRIPTS, Spelling, Style

INDEXED = Spelling(Style.ESPLORA, Network.REGTEST)
BARE = Spelling(Style.NONE, Network.REGTEST)
HASH = "14" * 20


@pytest.mark.parametrize(
    ("script", "indexed", "bare"),
    [
        (f"0014{HASH}", f"0 {HASH}", f"OP_0 OP_PUSHBYTES_20 {HASH}"),
        (f"5120{'ab' * 32}", f"1 {'ab' * 32}", f"OP_PUSHNUM_1 OP_PUSHBYTES_32 {'ab' * 32}"),
        (
            f"76a914{HASH}88ac",
            f"OP_DUP OP_HASH160 {HASH} OP_EQUALVERIFY OP_CHECKSIG",
            f"OP_DUP OP_HASH160 OP_PUSHBYTES_20 {HASH} OP_EQUALVERIFY OP_CHECKSIG",
        ),
        (f"a914{HASH}87", f"OP_HASH160 {HASH} OP_EQUAL", f"OP_HASH160 OP_PUSHBYTES_20 {HASH} OP_EQUAL"),
        ("6a0568656c6c6f", "OP_RETURN 68656c6c6f", "OP_RETURN OP_PUSHBYTES_5 68656c6c6f"),
        ("51024e73", "1 29518", "OP_PUSHNUM_1 OP_PUSHBYTES_2 4e73"),
        ("6a4c02abcd", "OP_RETURN -19883", "OP_RETURN OP_PUSHDATA1 abcd"),
    ],
)
def test_assembly_in_both_styles(script: str, indexed: str, bare: str) -> None:
    assert (INDEXED.asm(bytes.fromhex(script)), BARE.asm(bytes.fromhex(script))) == (indexed, bare)


def test_the_index_says_what_a_signature_signs() -> None:
    signature = "30" + "11" * 69 + "01"
    assert INDEXED.unlocking_asm(bytes.fromhex("47" + signature)) == f"{signature[:-2]}[ALL]"
    assert BARE.unlocking_asm(bytes.fromhex("47" + signature)) == f"OP_PUSHBYTES_71 {signature}"


def test_a_coinbase_is_spelled_as_recorded() -> None:
    assert BARE.unlocking_asm(bytes.fromhex("02c10000")) == "OP_PUSHBYTES_2 c100 OP_0"


def test_an_output_without_address_says_so_in_its_own_way() -> None:
    data = bytes.fromhex("6a0568656c6c6f")
    assert "address" not in INDEXED.output(data, 0)
    assert '"scriptpubkey_address":""' in BARE.output(data, 0)


def test_the_memory_of_scripts_is_bounded() -> None:
    spelling = Spelling(Style.NONE, Network.REGTEST)
    for number in range(MAX_CACHED_SCRIPTS + 5):
        spelling.output(number.to_bytes(4, "big"), 1)
    assert len(spelling._fragments) <= MAX_CACHED_SCRIPTS
