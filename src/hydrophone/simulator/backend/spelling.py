"""How the backend spells scripts: assembly, type and address, in the style of its two sources.

With an index (Electrs) the recordings show Bitcoin Core's assembly (`0 <hash>`); without one the backend
writes its own (`OP_0 OP_PUSHBYTES_20 <hash>`) and an empty address where there is none.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from hydrophone.domain.script import Network, ScriptType, address_from_script, classify_script

MAX_CACHED_SCRIPTS: Final = 100_000
"""chosen: about 50 MB; an hour of mainnet uses as many."""


class Style(StrEnum):
    """Where the backend has transactions from: an index of all of them (Electrs), or only its node."""

    ESPLORA = "esplora"
    NONE = "none"


class _Operation(NamedTuple):
    """One step of a script.

    Attributes:
        opcode: its first byte.
        data: what it pushes; None when it pushes nothing.
    """

    opcode: int
    data: bytes | None


_MAX_DIRECT_PUSH: Final = 75
_PUSHDATA: Final = {0x4C: 1, 0x4D: 2, 0x4E: 4}
_OP_1: Final = 0x51
_OP_16: Final = 0x60
_NAMES: Final = {
    0x4F: "OP_PUSHNUM_NEG1",
    0x6A: "OP_RETURN",
    0x76: "OP_DUP",
    0x87: "OP_EQUAL",
    0x88: "OP_EQUALVERIFY",
    0xA9: "OP_HASH160",
    0xAC: "OP_CHECKSIG",
    0xAE: "OP_CHECKMULTISIG",
}
"""Only what the simulated world uses. Sources: Bitcoin Core, script/script.h."""
_MAX_NUMBER_BYTES: Final = 4
"""Pushes as short as that are written as numbers. Sources: Bitcoin Core, core_io.cpp, ScriptToAsmStr."""
_SIGHASHES: Final = {1: "ALL", 2: "NONE", 3: "SINGLE"}
_DER_SEQUENCE: Final = 0x30
_MIN_SIGNATURE_BYTES: Final = 60
"""chosen: shorter pushes are no signature of 256-bit numbers but with a chance of 2^-64."""


def _operations(script: bytes) -> Iterator[_Operation]:
    position = 0
    while position < len(script):
        opcode = script[position]
        position += 1
        if opcode == 0 or opcode > max(_PUSHDATA):
            yield _Operation(opcode, None)
            continue
        length = opcode
        if opcode > _MAX_DIRECT_PUSH:
            width = _PUSHDATA[opcode]
            length = int.from_bytes(script[position : position + width], "little")
            position += width
        yield _Operation(opcode, script[position : position + length])
        position += length


def _small_number(opcode: int) -> int | None:
    return opcode - _OP_1 + 1 if _OP_1 <= opcode <= _OP_16 else None


def _script_number(data: bytes) -> int:
    """Return a script number: little-endian, the highest bit is the sign."""
    value = int.from_bytes(data, "little")
    sign = 1 << (8 * len(data) - 1)
    return value if value < sign else -(value - sign)


def _core_asm(script: bytes, *, decode_signatures: bool = False) -> str:
    words = []
    for opcode, data in _operations(script):
        if data is not None and len(data) <= _MAX_NUMBER_BYTES:
            words.append(str(_script_number(data)))
        elif data is not None and decode_signatures and _is_signature(data):
            words.append(f"{data[:-1].hex()}[{_SIGHASHES[data[-1]]}]")
        elif data is not None:
            words.append(data.hex())
        elif opcode == 0:
            words.append("0")
        else:
            small = _small_number(opcode)
            words.append(_NAMES.get(opcode, "OP_UNKNOWN") if small is None else str(small))
    return " ".join(words)


def _is_signature(data: bytes) -> bool:
    return len(data) >= _MIN_SIGNATURE_BYTES and data[0] == _DER_SEQUENCE and data[-1] in _SIGHASHES


def _backend_asm(script: bytes) -> str:
    words = []
    for opcode, data in _operations(script):
        if data is not None and opcode <= _MAX_DIRECT_PUSH:
            words.append(f"OP_PUSHBYTES_{opcode} {data.hex()}")
        elif data is not None:
            words.append(f"OP_PUSHDATA{_PUSHDATA[opcode]} {data.hex()}")
        elif opcode == 0:
            words.append("OP_0")
        else:
            small = _small_number(opcode)
            words.append(_NAMES.get(opcode, "OP_UNKNOWN") if small is None else f"OP_PUSHNUM_{small}")
    return " ".join(words)


_TYPE_NAMES: Final = {ScriptType.UNKNOWN: "unknown"}


class Spelling:
    """Spells scripts; what was spelled lately is kept.

    Args:
        style: of the backend.
        network: decides the addresses.
    """

    def __init__(self, style: Style, network: Network) -> None:
        self.style = style
        self.network = network
        self._fragments: dict[bytes, str] = {}

    def asm(self, script: bytes) -> str:
        """Return the assembly of a locking script."""
        return _core_asm(script) if self.style is Style.ESPLORA else _backend_asm(script)

    def unlocking_asm(self, script_sig: bytes) -> str:
        """Return the assembly of a scriptSig."""
        if not script_sig:
            return ""
        if self.style is Style.ESPLORA:
            return _core_asm(script_sig, decode_signatures=True)
        return _backend_asm(script_sig)

    def address(self, script: bytes) -> str | None:
        """Return the address; None where there is none."""
        return address_from_script(script, self.network)

    def output(self, script: bytes, value_sat: int) -> str:
        """Return an output as JSON, an input's prevout alike."""
        fragment = self._fragments.get(script)
        if fragment is None:
            if len(self._fragments) >= MAX_CACHED_SCRIPTS:
                self._fragments.clear()
            fragment = self._fragments[script] = self._fragment(script)
        if self.style is Style.ESPLORA:
            return f'{fragment}"value":{value_sat}}}'
        return f'{{"value":{value_sat},{fragment}'

    def _fragment(self, script: bytes) -> str:
        """Return all of an output but its value."""
        kind = classify_script(script)
        name = _TYPE_NAMES.get(kind, str(kind))
        address = self.address(script)
        if self.style is Style.ESPLORA:
            spelled = "" if address is None else f'"scriptpubkey_address":"{address}",'
            return (
                f'{{"scriptpubkey":"{script.hex()}","scriptpubkey_asm":"{self.asm(script)}",'
                f'"scriptpubkey_type":"{name}",{spelled}'
            )
        return (
            f'"scriptpubkey":"{script.hex()}","scriptpubkey_address":"{address or ""}",'
            f'"scriptpubkey_asm":"{self.asm(script)}","scriptpubkey_type":"{name}"}}'
        )
