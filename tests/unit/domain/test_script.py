"""Facts of the BIPs and of Bitcoin Core's test data, and properties that hold for all scripts and texts."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hydrophone.domain.script import (
    Network,
    ScriptType,
    _encode_bech32,
    _parse_bech32,
    address_from_script,
    classify_script,
    script_from_address,
)

MAINNET, TESTNET4, SIGNET, REGTEST = Network

# Bitcoin Core, src/test/data/key_io_valid.json (addresses of each chain and kind), and release notes 28.0
# for the anchor.
SPELLINGS = [
    (MAINNET, "1FsSia9rv4NeEwvJ2GvXrX7LyxYspbN2mo", "76a914a31c06bd463e3923bc1aadbde48b16976c08071788ac"),
    (MAINNET, "36j4NfKv6Akva9amjWrLG6MuSQym1GuEmm", "a914373b819a068f32b7a6b38b6b38729647cfde01c287"),
    (TESTNET4, "mzK2FFDEhxqHcmrJw1ysqFkVyhUULo45hZ", "76a914ce28b26c57472737f5c3561a1761185bd8589a4388ac"),
    (TESTNET4, "2NC2hEhe28ULKAJkW5MjZ3jtTMJdvXmByvK", "a914ce0bba75891ff9ec60148d4bd4a09ee2dc5c933187"),
    (SIGNET, "mww4LvqtTMKvmeQvizPz2EQv26xTneWrbg", "76a914b4110ba93ac54afc14da3bdd19614774a2d55d2988ac"),
    (SIGNET, "2N1r7aC69VHeE7yQJPDLi9T1PYq4wnwvjuT", "a9145e5a35ab44b3efaea5129ba22b88ba3e2976614587"),
    (REGTEST, "n4fajahJrAuKbN7uNsKjLjQkz9Qn5ewJXQ", "76a914fdeca3b08e38af53d7c4c60e3ad208ce5066441088ac"),
    (REGTEST, "2MxFajLApXpYk4VodBSZSt7rw8y4ryABkfA", "a91436e9f191e0b75036a77f65e2eaa4752443233fbe87"),
    (MAINNET, "bc1qvyq0cc6rahyvsazfdje0twl7ez82ndmuac2lhv", "00146100fc6343edc8c874496cb2f5bbfec88ea9b77c"),
    (
        MAINNET,
        "bc1qyucykdlhp62tezs0hagqury402qwhk589q80tqs5myh3rxq34nwqhkdhv7",
        "002027304b37f70e94bc8a0fbf500e0c957a80ebda87280ef58214d92f119811acdc",
    ),
    (
        MAINNET,
        "bc1p83n3au0rjylefxq2nc2xh2y4jzz4pm6zxj4mw5pagdjjr2a9f36s6jjnnu",
        "51203c671ef1e3913f94980a9e146ba895908550ef4234abb7503d436521aba54c75",
    ),
    (MAINNET, "bc1z2rksukkjr8", "520250ed"),
    (TESTNET4, "tb1qcrh3yqn4nlleplcez2yndq2ry8h9ncg3qh7n54", "0014c0ef1202759fff90ff19128936814321ee59e111"),
    (
        TESTNET4,
        "tb1quyl9ujpgwr2chdzdnnalen48sup245vdfnh2jxhsuq3yx80rrwlq5hqfe4",
        "0020e13e5e482870d58bb44d9cfbfccea78702aad18d4ceea91af0e022431de31bbe",
    ),
    (
        TESTNET4,
        "tb1p35n52jy6xkm4wd905tdy8qtagrn73kqdz73xe4zxpvq9t3fp50aqk3s6gz",
        "51208d2745489a35b75734afa2da43817d40e7e8d80d17a26cd4460b0055c521a3fa",
    ),
    (TESTNET4, "tb1rgv5m6uvdk3kc7qsuz0c79v88ycr5w4wa", "53104329bd718db46d8f021c13f1e2b0e726"),
    (SIGNET, "tb1q3vya2h5435jkugq2few7dmktlrwq4ejmfaw7kr", "00148b09d55e958d256e200a4e5de6eecbf8dc0ae65b"),
    (
        SIGNET,
        "tb1qxkhrl2s6ttrclckldruea0e8anhrehffl8xv7t0pdyrzm08v2hyqy408nf",
        "002035ae3faa1a5ac78fe2df68f99ebf27ecee3cdd29f9cccf2de169062dbcec55c8",
    ),
    (
        SIGNET,
        "tb1pae5um27ahn8n73pgexe3kcwlp8dhswpn684h2k2w6t9a7w3eq65qephd5y",
        "5120ee69cdabddbccf3f4428c9b31b61df09db783833d1eb75594ed2cbdf3a3906a8",
    ),
    (
        SIGNET,
        "tb1rx9n9g37az8mu236e5jpxdt0m67y4fuq8rhs0ss3djnm0kscfrwvq0ntlyg",
        "532031665447dd11f7c54759a48266adfbd78954f0071de0f8422d94f6fb43091b98",
    ),
    (
        REGTEST,
        "bcrt1qdavt4j2sd7dlhqsavtnfxvzppw6k7qy97tmnu9",
        "00146f58bac9506f9bfb821d62e69330410bb56f0085",
    ),
    (
        REGTEST,
        "bcrt1qan8gntac7z7me2ejt4hpru42ad2f759fmy0m3ejvs98656znv7eqga4uhv",
        "0020ecce89afb8f0bdbcab325d6e11f2aaeb549f50a9d91fb8e64c814faa685367b2",
    ),
    (
        REGTEST,
        "bcrt1pfwxjqvtt4tcxrtdluukfmy2dv7xd2qzdfy6kajv5nwn4yam3wxkq3553uh",
        "51204b8d20316baaf061adbfe72c9d914d678cd5004d49356ec9949ba752777171ac",
    ),
    (
        REGTEST,
        "bcrt1sx6p8njlx7h9mc2agz4yg82dzne23050ncq72cneeecez2pst8mahn8xecsf8g6hzx94420",
        "6028368279cbe6f5cbbc2ba8154883a9a29e5517d1f3c03cac4f39ce3225060b3efb799cd9c412746ae2",
    ),
    (MAINNET, "bc1pfeessrawgf", "51024e73"),
    # Leading zeros: the commonest mistake of base58. All bytes zero, and ten of them.
    (MAINNET, "1111111111111111111114oLvT2", "76a914000000000000000000000000000000000000000088ac"),
    (MAINNET, "1BitcoinEaterAddressDontSendf59kuE", "76a914759d6677091e973b9e9d99f19c68fbf43e3f05f988ac"),
]

# BIP 350, "valid segwit addresses and the scriptPubKey that they translate to in hex".
BIP350_VALID = [
    (MAINNET, "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
    (
        TESTNET4,
        "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
        "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
    ),
    (
        MAINNET,
        "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
        "5128751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6",
    ),
    (MAINNET, "BC1SW50QGDZ25J", "6002751e"),
    (MAINNET, "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs", "5210751e76e8199196d454941c45d1b3a323"),
    (
        TESTNET4,
        "tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy",
        "0020000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
    ),
    (
        TESTNET4,
        "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c",
        "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
    ),
    (
        MAINNET,
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    ),
]

# BIP 173, examples and "valid segwit addresses"; those of versions 1 and up are void since BIP 350.
BIP173_VALID = [
    (MAINNET, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
    (TESTNET4, "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
    (
        MAINNET,
        "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3",
        "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
    ),
]

# BIP 350 and BIP 173, "invalid segwit addresses and the reason for their invalidity"; then our own.
INVALID = [
    (MAINNET, "tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut", "starts with 'tc1p'"),
    (
        MAINNET,
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
        "checksum of bech32m for witness version 1, found that of bech32",
    ),
    (
        TESTNET4,
        "tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf",
        "checksum of bech32m for witness version 2, found that of bech32",
    ),
    (
        MAINNET,
        "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",
        "checksum of bech32m for witness version 16, found that of bech32",
    ),
    (
        MAINNET,
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",
        "checksum of bech32 for witness version 0, found that of bech32m",
    ),
    (
        TESTNET4,
        "tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47",
        "checksum of bech32 for witness version 0, found that of bech32m",
    ),
    (
        MAINNET,
        "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
        "'o' is no character of bech32",
    ),
    (MAINNET, "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R", "up to 16, found 17"),
    (MAINNET, "bc1pw5dgrnzv", "2 to 40 bytes, found 1"),
    (
        MAINNET,
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav",
        "2 to 40 bytes, found 41",
    ),
    (MAINNET, "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P", "20 or 32 bytes for witness version 0, found 16"),
    (TESTNET4, "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq", "mixed case"),
    (
        MAINNET,
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf",
        "at most 4 bits of padding, all zero, found 00000",
    ),
    (
        TESTNET4,
        "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vpggkg4j",
        "at most 4 bits of padding, all zero, found 0001",
    ),
    (MAINNET, "bc1gmk9yu", "found no data"),
    (MAINNET, "tc1qw508d6qejxtdg4y5r3zarvary0c5xw7kg3g4ty", "starts with 'tc1q'"),
    (MAINNET, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "bech32 checksum does not match"),
    (MAINNET, "BC13W508D6QEJXTDG4Y5R3ZARVARY0C5XW7KN40WF2", "up to 16, found 17"),
    (MAINNET, "bc1rw5uspcuh", "2 to 40 bytes, found 1"),
    (
        MAINNET,
        "bc10w508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kw5rljs90",
        "2 to 40 bytes, found 41",
    ),
    (TESTNET4, "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sL5k7", "mixed case"),
    (MAINNET, "bc1zw508d6qejxtdg4y5r3zarvaryvqyzf3du", "at most 4 bits of padding, all zero, found 00000"),
    (
        TESTNET4,
        "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3pjxtptv",
        "at most 4 bits of padding, all zero, found 0001",
    ),
    # BIP 173 had these as valid: versions above 0 with the checksum of bech32.
    (
        MAINNET,
        "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7k7grplx",
        "checksum of bech32m for witness version 1, found that of bech32",
    ),
    (MAINNET, "BC1SW50QA3JX3S", "checksum of bech32m for witness version 16, found that of bech32"),
    (
        MAINNET,
        "bc1zw508d6qejxtdg4y5r3zarvaryvg6kdaj",
        "checksum of bech32m for witness version 2, found that of bech32",
    ),
    # Wrong network: named, because it is the likeliest mistake of an honest file.
    (
        MAINNET,
        "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
        "expected an address of mainnet, found one of testnet4 or signet",
    ),
    (
        SIGNET,
        "bcrt1qdavt4j2sd7dlhqsavtnfxvzppw6k7qy97tmnu9",
        "expected an address of signet, found one of regtest",
    ),
    (
        REGTEST,
        "1FsSia9rv4NeEwvJ2GvXrX7LyxYspbN2mo",
        "expected an address of regtest, found one of mainnet",
    ),
    (
        MAINNET,
        "2NC2hEhe28ULKAJkW5MjZ3jtTMJdvXmByvK",
        "expected an address of mainnet, found one of testnet4 or signet or regtest",
    ),
    # Base58.
    (MAINNET, "1FsSia9rv4NeEwvJ2GvXrX7LyxYspbN2mp", "base58 checksum does not match"),
    (MAINNET, "1FsSia9rv4NeEwvJ2GvXrX7LyxYspbN", "expected 25 bytes in base58, found 23"),
    (MAINNET, "11FsSia9rv4NeEwvJ2GvXrX7LyxYspbN2mo", "expected 25 bytes in base58, found 26"),
    (MAINNET, "1FsSia9rv4NeEwvJ2GvXrX7LyxYspbN2m0", "'0' is no character of base58"),
    (MAINNET, "1" * 36, "at most 35 base58 characters, found 36"),
    (MAINNET, "1", "expected 25 bytes in base58, found 1"),
    # A version byte that nobody of ours has, but starts like one of ours.
    (MAINNET, "3Sarqj5MB6UiVhNzYp64sm7qgjATV7X288", "version byte of an address, found 0x06"),
    (MAINNET, "5JuW2AMDYu4xVwRG9DZW18VbzQrGcd5RCgb99sS6ehJsNQXu5b9", "starts with '5JuW'"),
    (MAINNET, "0x742d35Cc6634C0532925a3b844Bc454e4438f44e", "starts with 1, 3 or bc1"),
    (SIGNET, "", "starts with m, n, 2 or tb1"),
    (MAINNET, " 1FsSia9rv4NeEwvJ2GvXrX7LyxYspbN2mo", "starts with ' 1Fs'"),
    # Bech32.
    (MAINNET, "bc1" + "q" * 88, "at most 90 bech32 characters, found 91"),
    (MAINNET, "bc1qqqqq", "at least 6 bech32 characters"),
    # The Kelvin sign is its own upper case, and its lower case is an ASCII k.
    (MAINNET, "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7\u212aV8F3T4", "'\u212a' is no character of bech32"),
    (MAINNET, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4 ", "' ' is no character of bech32"),
]

# BIP 173 and BIP 350: strings that are valid bech32 or bech32m, and no addresses.
VALID_STRINGS = {
    "bech32": [
        "A12UEL5L",
        "a12uel5l",
        "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
        "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
        "11qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqc8247j",
        "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w",
        "?1ezyfcl",
    ],
    "bech32m": [
        "A1LQFN3A",
        "a1lqfn3a",
        "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
        "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
        "11llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllludsr8",
        "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
        "?1v759aa",
    ],
}
INVALID_STRINGS = [
    ("\x201nwldj5", "no character"),
    ("\x7f1axkwrx", "no character"),
    ("\x801eym55h", "no character"),
    ("an84characterslonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1569pvx", "91"),
    ("pzry9x0s0muk", "separator"),
    ("1pzry9x0s0muk", "prefix"),
    ("x1b4n0q5v", "'b'"),
    ("li1dgmt3", "at least 6"),
    ("de1lg7wt\xff", "no character"),
    ("A1G7SGD8", "checksum"),
    ("10a06t8", "prefix"),
    ("1qzzfhee", "prefix"),
    ("\x201xj0phk", "no character"),
    ("\x7f1g6xzxy", "no character"),
    ("\x801vctc34", "no character"),
    ("an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11d6pts4", "91"),
    ("qyrz8wqd2c9m", "separator"),
    ("1qyrz8wqd2c9m", "prefix"),
    ("y1b0jsk6g", "'b'"),
    ("lt1igcx5c0", "'i'"),
    ("in1muywd", "at least 6"),
    ("mm1crxm3i", "'i'"),
    ("au1s5cgom", "'o'"),
    ("M1VUXWEZ", "checksum"),
    ("16plkw9", "prefix"),
    ("1p2gdwpf", "prefix"),
]

KEY = "02" + "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
CLASSIFIED = [
    ("21" + KEY + "ac", ScriptType.P2PK),
    ("41" + "04" + "11" * 64 + "ac", ScriptType.P2PK),
    ("76a914" + "11" * 20 + "88ac", ScriptType.P2PKH),
    ("a914" + "11" * 20 + "87", ScriptType.P2SH),
    ("0014" + "11" * 20, ScriptType.V0_P2WPKH),
    ("0020" + "11" * 32, ScriptType.V0_P2WSH),
    ("5120" + "11" * 32, ScriptType.V1_P2TR),
    ("51024e73", ScriptType.ANCHOR),
    ("51" + "21" + KEY + "51ae", ScriptType.MULTISIG),
    ("52" + ("21" + KEY) * 3 + "53ae", ScriptType.MULTISIG),
    ("51" + ("21" + KEY) * 15 + "5fae", ScriptType.MULTISIG),
    ("6a", ScriptType.OP_RETURN),
    ("6a0b68656c6c6f20776f726c64", ScriptType.OP_RETURN),
    # 2 of 1, 1 of 16, and too short for a key: nobody can spend by these rules.
    ("52" + "21" + KEY + "51ae", ScriptType.UNKNOWN),
    ("51" + ("21" + KEY) * 16 + "60ae", ScriptType.UNKNOWN),
    ("5151ae", ScriptType.UNKNOWN),
    ("", ScriptType.UNKNOWN),
    ("5220" + "11" * 32, ScriptType.UNKNOWN),
    ("0015" + "11" * 21, ScriptType.UNKNOWN),
    ("76a914" + "11" * 20 + "88", ScriptType.UNKNOWN),
    ("76a914" + "11" * 19 + "88ac", ScriptType.UNKNOWN),
    ("a914" + "11" * 20 + "88", ScriptType.UNKNOWN),
    ("0014" + "11" * 21, ScriptType.UNKNOWN),
]

hashes = st.binary(min_size=20, max_size=20)
networks = st.sampled_from(Network)
spellable_scripts = st.one_of(
    hashes.map(lambda hashed: bytes.fromhex("76a914") + hashed + bytes.fromhex("88ac")),
    hashes.map(lambda hashed: bytes.fromhex("a914") + hashed + bytes.fromhex("87")),
    hashes.map(lambda hashed: bytes.fromhex("0014") + hashed),
    st.binary(min_size=32, max_size=32).map(lambda program: bytes.fromhex("0020") + program),
    st.builds(
        lambda version, program: bytes([0x50 + version, len(program)]) + program,
        st.integers(1, 16),
        st.binary(min_size=2, max_size=40),
    ),
)


@pytest.mark.parametrize(("network", "address", "script"), SPELLINGS + BIP173_VALID)
def test_script_and_address_spell_each_other(network: Network, address: str, script: str) -> None:
    assert script_from_address(address, network).hex() == script
    assert address_from_script(bytes.fromhex(script), network) == address


@pytest.mark.parametrize(("network", "address", "script"), BIP350_VALID)
def test_valid_addresses_of_bip350_decode_and_encode_in_lower_case(
    network: Network, address: str, script: str
) -> None:
    assert script_from_address(address, network).hex() == script
    assert address_from_script(bytes.fromhex(script), network) == address.lower()


@pytest.mark.parametrize(("network", "address", "reason"), INVALID)
def test_an_invalid_address_is_refused_with_the_reason(network: Network, address: str, reason: str) -> None:
    with pytest.raises(ValueError) as refused:
        script_from_address(address, network)
    assert reason in str(refused.value)


@pytest.mark.parametrize("checksum", VALID_STRINGS)
def test_valid_strings_of_both_bips_decode_with_their_own_checksum(checksum: str) -> None:
    for text in VALID_STRINGS[checksum]:
        parsed = _parse_bech32(text)
        assert parsed.checksum == checksum
        assert _encode_bech32(*parsed) == text.lower()


@pytest.mark.parametrize(("text", "reason"), INVALID_STRINGS)
def test_invalid_strings_of_both_bips_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as refused:
        _parse_bech32(text)
    assert reason in str(refused.value)


@pytest.mark.parametrize(("script", "script_type"), CLASSIFIED)
def test_scripts_are_classified_by_their_form(script: str, script_type: ScriptType) -> None:
    assert classify_script(bytes.fromhex(script)) is script_type


@pytest.mark.parametrize(
    "script",
    [
        "21" + KEY + "ac",
        "52" + ("21" + KEY) * 3 + "53ae",
        "6a0b68656c6c6f20776f726c64",
        "",
        "0010" + "11" * 16,  # BIP 141: version 0 has 20 or 32 bytes
        "5101ff",  # a program has 2 bytes at least
        "5129" + "11" * 41,
        "5003111111",  # OP_RESERVED is no version
        "61" + "20" + "11" * 32,
        "5120" + "11" * 31,
    ],
)
@pytest.mark.parametrize("network", Network)
def test_a_script_without_an_address_form_has_none(script: str, network: Network) -> None:
    assert address_from_script(bytes.fromhex(script), network) is None


def test_test_networks_write_base58_alike_but_regtest_has_its_own_bech32() -> None:
    legacy, segwit = bytes.fromhex("a914" + "11" * 20 + "87"), bytes.fromhex("0014" + "11" * 20)
    assert len({address_from_script(legacy, network) for network in Network}) == 2
    assert len({address_from_script(segwit, network) for network in Network}) == 3


def test_a_message_tells_only_the_beginning_of_what_may_be_a_private_key() -> None:
    with pytest.raises(ValueError) as refused:
        script_from_address("5JuW2AMDYu4xVwRG9DZW18VbzQrGcd5RCgb99sS6ehJsNQXu5b9", MAINNET)
    assert "5JuW2" not in str(refused.value)


@given(spellable_scripts, networks)
def test_each_script_with_an_address_comes_back_from_it(script: bytes, network: Network) -> None:
    address = address_from_script(script, network)
    assert address is not None
    assert script_from_address(address, network) == script


@given(st.binary(max_size=80), networks)
def test_any_script_has_a_type_and_no_address_or_one_that_leads_back(script: bytes, network: Network) -> None:
    assert classify_script(script) in ScriptType
    address = address_from_script(script, network)
    assert address is None or script_from_address(address, network) == script


@given(spellable_scripts, networks, st.data())
def test_no_single_changed_character_leads_to_another_script(
    script: bytes, network: Network, data: st.DataObject
) -> None:
    address = address_from_script(script, network)
    assert address is not None
    position = data.draw(st.integers(0, len(address) - 1))
    # Mostly from the alphabets, where a change is a plausible slip; sometimes anything.
    replacement = data.draw(st.one_of(st.characters(codec="ascii"), st.characters()))
    changed = address[:position] + replacement + address[position + 1 :]
    if changed != address:
        with pytest.raises(ValueError):
            script_from_address(changed, network)


@given(
    st.one_of(
        st.text(),
        st.builds(
            "{}{}".format,
            st.sampled_from(["1", "3", "m", "n", "2", "bc1", "BC1", "tb1", "bcrt1"]),
            st.text(alphabet=st.characters(codec="ascii", categories=["Ll", "Lu", "Nd"]), max_size=100),
        ),
    ),
    networks,
)
@example("\u0130", MAINNET)
@example("bc1\ud800qqqqqq", MAINNET)
def test_any_text_decodes_to_a_script_that_spells_it_or_is_refused(text: str, network: Network) -> None:
    try:
        script = script_from_address(text, network)
    except ValueError:
        return
    assert address_from_script(script, network) in (text, text.lower())
