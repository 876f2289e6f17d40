"""Scripts, what kind they are, and the addresses that spell them.

A script is the fact; an address is one spelling of it, on one network. Labels, change and flow compare
scripts. Addresses are read where people write them and written where people read them.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import reduce
from operator import xor
from typing import Final, NamedTuple


class Network(StrEnum):
    """Which Bitcoin network: it decides how a script is spelled as an address."""

    MAINNET = "mainnet"
    TESTNET4 = "testnet4"
    SIGNET = "signet"
    REGTEST = "regtest"


class ScriptType(StrEnum):
    """What a script asks of its spender.

    **Sources**: the values are those of `scriptpubkey_type` in Esplora's REST API (electrs, src/rest.rs) and
    in mempool.space's backend (bitcoin-api.ts, translateScriptPubKeyType). Their `empty`,
    `provably_unspendable` and `nonstandard` are `unknown` here: nothing depends on them.
    """

    P2PK = "p2pk"
    P2PKH = "p2pkh"
    P2SH = "p2sh"
    V0_P2WPKH = "v0_p2wpkh"
    V0_P2WSH = "v0_p2wsh"
    V1_P2TR = "v1_p2tr"
    ANCHOR = "anchor"
    MULTISIG = "multisig"
    OP_RETURN = "op_return"
    UNKNOWN = "unknown"


class _Form(NamedTuple):
    """The form of scripts that differ in a payload of fixed length only."""

    script_type: ScriptType
    prefix: bytes
    payload_length: int
    suffix: bytes = b""

    @property
    def length(self) -> int:
        """Of a script of this form, in bytes."""
        return len(self.prefix) + self.payload_length + len(self.suffix)

    def payload(self, script: bytes) -> bytes | None:
        """Return the payload of a script of this form; None when it has another form."""
        if len(script) == self.length and script.startswith(self.prefix) and script.endswith(self.suffix):
            return script[len(self.prefix) : len(self.prefix) + self.payload_length]
        return None

    def script(self, payload: bytes) -> bytes:
        """Return the script of this form with a payload."""
        return self.prefix + payload + self.suffix


# Sources: P2PK, P2PKH: Bitcoin Core, script/solver.cpp; P2SH: BIP 16; P2WPKH, P2WSH: BIP 141; P2TR: BIP 341;
# anchor (P2A): Bitcoin Core 28.0 release notes. The commonest first.
_P2PKH: Final = _Form(ScriptType.P2PKH, bytes.fromhex("76a914"), 20, bytes.fromhex("88ac"))
_P2SH: Final = _Form(ScriptType.P2SH, bytes.fromhex("a914"), 20, bytes.fromhex("87"))
_FORMS: Final = (
    _Form(ScriptType.V0_P2WPKH, bytes.fromhex("0014"), 20),
    _Form(ScriptType.V1_P2TR, bytes.fromhex("5120"), 32),
    _P2PKH,
    _P2SH,
    _Form(ScriptType.V0_P2WSH, bytes.fromhex("0020"), 32),
    _Form(ScriptType.ANCHOR, bytes.fromhex("51024e73"), 0),
    _Form(ScriptType.P2PK, bytes.fromhex("21"), 33, bytes.fromhex("ac")),
    _Form(ScriptType.P2PK, bytes.fromhex("41"), 65, bytes.fromhex("ac")),
)

_WITNESS_TYPES: Final[Mapping[tuple[bytes, int], ScriptType]] = {
    (form.prefix, form.length): form.script_type
    for form in _FORMS
    if len(form.prefix) == 2 and not form.suffix  # noqa: PLR2004 -- version and length
}
"""Most scripts of today: their first two bytes and their length say it all."""
_FORMS_BY_LENGTH: Final[Mapping[int, tuple[_Form, ...]]] = {
    length: tuple(form for form in _FORMS if form.length == length)
    for length in {form.length for form in _FORMS}
}
"""A whale may have hundreds of inputs: their length alone leaves one form or two."""

# Sources: Bitcoin Core, script/script.h.
_OP_1: Final = 0x51
_OP_15: Final = 0x5F
_OP_RETURN: Final = b"\x6a"
_OP_CHECKMULTISIG: Final = 0xAE

_MIN_MULTISIG_LENGTH: Final = 37
"""1-of-1 with a compressed key. Sources: electrs, src/rest.rs, is_bare_multisig."""


def classify_script(script: bytes) -> ScriptType:
    """Return the type of an output script.

    It is judged by its form alone, as Esplora does: keys are not checked to be points on the curve.
    """
    witness_type = _WITNESS_TYPES.get((script[:2], len(script)))
    if witness_type is not None:
        return witness_type
    for script_type, prefix, _, suffix in _FORMS_BY_LENGTH.get(len(script), ()):
        if script.startswith(prefix) and script.endswith(suffix):
            return script_type
    if script.startswith(_OP_RETURN):
        return ScriptType.OP_RETURN
    if _is_bare_multisig(script):
        return ScriptType.MULTISIG
    return ScriptType.UNKNOWN


def _is_bare_multisig(script: bytes) -> bool:
    """Whether a script reads m, keys, n, OP_CHECKMULTISIG (electrs, is_bare_multisig)."""
    return (
        len(script) >= _MIN_MULTISIG_LENGTH
        and script[-1] == _OP_CHECKMULTISIG
        and _OP_1 <= script[0] <= script[-2] <= _OP_15
    )


# Sources: Bitcoin Core, kernel/chainparams.cpp, base58Prefixes and bech32_hrp.
_P2PKH_VERSIONS: Final[Mapping[Network, int]] = {
    Network.MAINNET: 0x00,
    Network.TESTNET4: 0x6F,
    Network.SIGNET: 0x6F,
    Network.REGTEST: 0x6F,
}
_P2SH_VERSIONS: Final[Mapping[Network, int]] = {
    Network.MAINNET: 0x05,
    Network.TESTNET4: 0xC4,
    Network.SIGNET: 0xC4,
    Network.REGTEST: 0xC4,
}
_HRPS: Final[Mapping[Network, str]] = {
    Network.MAINNET: "bc",
    Network.TESTNET4: "tb",
    Network.SIGNET: "tb",
    Network.REGTEST: "bcrt",
}
_BASE58_BEGINNINGS: Final = ("1", "3", "m", "n", "2")
"""What the versions above give. Sources: BIP 13; Bitcoin Wiki, List of address prefixes."""
_BECH32_BEGINNINGS: Final = tuple(f"{hrp}1" for hrp in dict.fromkeys(_HRPS.values()))


def address_from_script(script: bytes, network: Network) -> str | None:
    """Return the address that spells a script; None where there is none (P2PK, bare multisig, data).

    Witness programs of versions that nobody can spend yet (2 to 16) have an address, too.

    **Sources**: base58check: Bitcoin Core, base58.cpp; bech32: BIP 173; bech32m: BIP 350.
    """
    if (key_hash := _P2PKH.payload(script)) is not None:
        return _encode_base58check(bytes([_P2PKH_VERSIONS[network]]) + key_hash)
    if (script_hash := _P2SH.payload(script)) is not None:
        return _encode_base58check(bytes([_P2SH_VERSIONS[network]]) + script_hash)
    if (witness := _witness_from_script(script)) is not None:
        return _encode_witness(witness, _HRPS[network])
    return None


def script_from_address(address: str, network: Network) -> bytes:
    """Return the script that an address spells.

    Args:
        address: without surrounding spaces; bech32 may be all upper case (QR codes are).
        network: the one it must belong to. Testnet4 and signet write alike; regtest shares their base58.

    Raises:
        ValueError: it is no address of that network. The message says why; the caller knows the address.

    **Sources**: base58check: Bitcoin Core, base58.cpp; bech32: BIP 173; bech32m: BIP 350.
    """
    if address.lower().startswith(_BECH32_BEGINNINGS):
        return _script_from_bech32(address, network)
    if address.startswith(_BASE58_BEGINNINGS):
        return _script_from_base58(address, network)
    base58_beginnings = "1, 3" if network is Network.MAINNET else "m, n, 2"
    raise ValueError(
        f"expected an address of {network}, which starts with {base58_beginnings} or {_HRPS[network]}1, "
        f"found one that starts with {address[:4]!r}"
    )


def _expect_network(network: Network, found: Sequence[Network]) -> None:
    """Raise ValueError unless an address may belong to a network."""
    if network not in found:
        raise ValueError(f"expected an address of {network}, found one of {' or '.join(found)}")


# --- base58check -------------------------------------------------------------------------------------

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
"""Sources: Bitcoin Core, base58.cpp."""
_BASE58_VALUES: Final = {character: value for value, character in enumerate(_BASE58)}
_MAX_BASE58_LENGTH: Final = 35
"""Characters of 25 bytes at most (58^35 > 256^25); it also keeps the quadratic decoding from abuse."""
_VERSIONED_HASH_LENGTH: Final = 21
_BASE58_CHECKSUM_LENGTH: Final = 4


def _base58_checksum(payload: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:_BASE58_CHECKSUM_LENGTH]


def _encode_base58check(payload: bytes) -> str:
    """Return a version byte and a hash as base58 with its checksum."""
    checked = payload + _base58_checksum(payload)
    number = int.from_bytes(checked, "big")
    characters = []
    while number:
        number, value = divmod(number, len(_BASE58))
        characters.append(_BASE58[value])
    leading_zeros = len(checked) - len(checked.lstrip(b"\0"))
    return _BASE58[0] * leading_zeros + "".join(reversed(characters))


def _parse_base58check(text: str) -> bytes:
    """Return the version byte and the hash that base58 holds.

    Raises:
        ValueError: the length, a character or the checksum is wrong.
    """
    if len(text) > _MAX_BASE58_LENGTH:
        raise ValueError(f"expected at most {_MAX_BASE58_LENGTH} base58 characters, found {len(text)}")
    number = 0
    for value in _parse_characters(text, _BASE58_VALUES, "base58"):
        number = number * len(_BASE58) + value
    leading_zeros = len(text) - len(text.lstrip(_BASE58[0]))
    checked = bytes(leading_zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(checked) != _VERSIONED_HASH_LENGTH + _BASE58_CHECKSUM_LENGTH:
        raise ValueError(
            f"expected {_VERSIONED_HASH_LENGTH + _BASE58_CHECKSUM_LENGTH} bytes in base58, "
            f"found {len(checked)}: a character is missing or too many"
        )
    payload, checksum = checked[:_VERSIONED_HASH_LENGTH], checked[_VERSIONED_HASH_LENGTH:]
    if checksum != _base58_checksum(payload):
        raise ValueError("the base58 checksum does not match: a character is wrong or missing")
    return payload


def _parse_characters(text: str, values: Mapping[str, int], encoding: str) -> list[int]:
    """Return the value of each character, or raise ValueError that names the first without one."""
    try:
        return [values[character] for character in text]
    except KeyError as error:
        raise ValueError(f"{error.args[0]!r} is no character of {encoding}") from None


def _script_from_base58(address: str, network: Network) -> bytes:
    payload = _parse_base58check(address)
    version, hashed = payload[0], payload[1:]
    for form, versions in ((_P2PKH, _P2PKH_VERSIONS), (_P2SH, _P2SH_VERSIONS)):
        if found := [known for known in Network if versions[known] == version]:
            _expect_network(network, found)
            return form.script(hashed)
    raise ValueError(f"expected the version byte of an address, found {version:#04x}")


# --- bech32 and bech32m ------------------------------------------------------------------------------


class _Checksum(StrEnum):
    """Which of the two checksums a string has."""

    BECH32 = "bech32"
    BECH32M = "bech32m"


class _Bech32(NamedTuple):
    """A string with a valid checksum: its human-readable part and its data, five bits each."""

    hrp: str
    values: list[int]
    checksum: _Checksum


class _Witness(NamedTuple):
    """The content of a native segwit output. Sources: BIP 141, witness program."""

    version: int
    program: bytes

    @property
    def checksum(self) -> _Checksum:
        """Which checksum its address has. Sources: BIP 350."""
        return _Checksum.BECH32M if self.version else _Checksum.BECH32


_BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
"""Sources: BIP 173, data part."""
_BECH32_VALUES: Final = {character: value for value, character in enumerate(_BECH32)}
_MAX_BECH32_LENGTH: Final = 90
_BECH32_CHECKSUM_LENGTH: Final = 6
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
"""Sources: BIP 173, checksum."""
_CONSTANTS: Final = {_Checksum.BECH32: 1, _Checksum.BECH32M: 0x2BC830A3}
"""What the polymod of a valid string is. Sources: BIP 173, BIP 350."""
_REDUCTIONS: Final = tuple(
    reduce(xor, (term for bit, term in enumerate(_GENERATOR) if top >> bit & 1), 0) for top in range(32)
)
"""What the five bits that leave the register put back; a table, because a label file has many addresses."""

_WITNESS_VERSION_LIMIT: Final = 16
_PROGRAM_LENGTHS: Final = range(2, 41)
_V0_PROGRAM_LENGTHS: Final = (20, 32)
"""Sources: BIP 141, witness program."""
_OPCODES_OF_WITNESS_VERSION: Final = bytes([0, *range(_OP_1, _OP_1 + _WITNESS_VERSION_LIMIT)])


def _polymod(hrp: str, values: Iterable[int]) -> int:
    register = 1
    for value in (*(ord(c) >> 5 for c in hrp), 0, *(ord(c) & 31 for c in hrp), *values):
        register = (register & 0x1FFFFFF) << 5 ^ value ^ _REDUCTIONS[register >> 25]
    return register


def _encode_bech32(hrp: str, values: Sequence[int], checksum: _Checksum) -> str:
    remainder = _polymod(hrp, [*values, *[0] * _BECH32_CHECKSUM_LENGTH]) ^ _CONSTANTS[checksum]
    check_values = [remainder >> 5 * i & 31 for i in reversed(range(_BECH32_CHECKSUM_LENGTH))]
    return f"{hrp}1" + "".join(_BECH32[value] for value in (*values, *check_values))


def _parse_bech32(text: str) -> _Bech32:
    """Return what a bech32 or bech32m string says.

    Raises:
        ValueError: the length, the case, a character or the checksum is wrong.
    """
    if len(text) > _MAX_BECH32_LENGTH:
        raise ValueError(f"expected at most {_MAX_BECH32_LENGTH} bech32 characters, found {len(text)}")
    # Before any change of case: there are letters beyond ASCII whose lower case is ASCII.
    if strange := [character for character in text if not "!" <= character <= "~"]:
        raise ValueError(f"{strange[0]!r} is no character of bech32")
    if text not in (text.lower(), text.upper()):
        raise ValueError("mixed case: a bech32 address is all lower or all upper case")
    hrp, separator, data = text.lower().rpartition("1")
    if not separator or not hrp:
        raise ValueError("expected a bech32 prefix and the separator '1' before the data")
    if len(data) < _BECH32_CHECKSUM_LENGTH:
        raise ValueError(f"expected at least {_BECH32_CHECKSUM_LENGTH} bech32 characters after the last '1'")
    values = _parse_characters(data, _BECH32_VALUES, "bech32")
    remainder = _polymod(hrp, values)
    for checksum, constant in _CONSTANTS.items():
        if remainder == constant:
            return _Bech32(hrp, values[:-_BECH32_CHECKSUM_LENGTH], checksum)
    raise ValueError("the bech32 checksum does not match: a character is wrong, missing or too many")


def _script_from_bech32(address: str, network: Network) -> bytes:
    hrp, values, checksum = _parse_bech32(address)
    found = [known for known in Network if _HRPS[known] == hrp]
    if not found:
        raise ValueError(f"expected the bech32 prefix {_HRPS[network]!r}, found {hrp!r}")
    _expect_network(network, found)
    witness = _witness_from_values(values)
    if checksum is not witness.checksum:
        raise ValueError(
            f"expected the checksum of {witness.checksum} for witness version {witness.version}, "
            f"found that of {checksum}"
        )
    return bytes([_OPCODES_OF_WITNESS_VERSION[witness.version], len(witness.program)]) + witness.program


def _witness_from_values(values: Sequence[int]) -> _Witness:
    """Return the witness program that the data of an address holds.

    Raises:
        ValueError: the version, the length or the padding is not one of BIP 173.
    """
    if not values:
        raise ValueError("expected a witness version and a program, found no data")
    version, groups = values[0], values[1:]
    if version > _WITNESS_VERSION_LIMIT:
        raise ValueError(f"expected a witness version up to {_WITNESS_VERSION_LIMIT}, found {version}")
    length, padding_bits = divmod(5 * len(groups), 8)
    if length not in _PROGRAM_LENGTHS:
        raise ValueError(f"expected a witness program of 2 to 40 bytes, found {length}")
    if version == 0 and length not in _V0_PROGRAM_LENGTHS:
        raise ValueError(f"expected a program of 20 or 32 bytes for witness version 0, found {length}")
    number = reduce(lambda high, low: high << 5 | low, groups, 0)
    program, padding = number >> padding_bits, number & ((1 << padding_bits) - 1)
    if padding_bits > 4 or padding:  # noqa: PLR2004 - a group of five bits would be left out
        raise ValueError(f"expected at most 4 bits of padding, all zero, found {padding:0{padding_bits}b}")
    return _Witness(version, program.to_bytes(length, "big"))


def _encode_witness(witness: _Witness, hrp: str) -> str:
    """Return the address of a witness program."""
    padding_bits = -8 * len(witness.program) % 5
    number = int.from_bytes(witness.program, "big") << padding_bits
    group_count = (8 * len(witness.program) + padding_bits) // 5
    groups = (number >> 5 * i & 31 for i in reversed(range(group_count)))
    return _encode_bech32(hrp, [witness.version, *groups], witness.checksum)


def _witness_from_script(script: bytes) -> _Witness | None:
    """Return the witness program of a script that has an address; None for any other script."""
    if len(script) - 2 not in _PROGRAM_LENGTHS or script[1] != len(script) - 2:
        return None
    version = _OPCODES_OF_WITNESS_VERSION.find(script[0])
    if version < 0 or (version == 0 and len(script) - 2 not in _V0_PROGRAM_LENGTHS):
        return None
    return _Witness(version, script[2:])
