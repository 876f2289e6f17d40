"""Scripts that somebody can spend, and what spending them costs in bytes.

Keys and signatures are random bytes of the right form: nobody verifies them here. A key hash is the
beginning of the key's SHA-256 where Bitcoin takes HASH160, because not every build of Python has RIPEMD-160;
to everybody but the owner of the key it is as good a hash.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final, NamedTuple


class Unlocking(NamedTuple):
    """What an input shows to spend a coin.

    Attributes:
        script_sig: of the input.
        witness: its stack.
        redeem_script: the script behind a script hash; empty where there is none.
    """

    script_sig: bytes
    witness: tuple[bytes, ...]
    redeem_script: bytes = b""


class Form(Enum):
    """How a coin is locked. The values are the names of Esplora's `scriptpubkey_type`, made unique."""

    P2PK = "p2pk"
    P2PKH = "p2pkh"
    P2SH_P2WPKH = "p2sh-p2wpkh"
    P2SH_MULTISIG = "p2sh-multisig"
    P2WPKH = "v0_p2wpkh"
    P2WSH = "v0_p2wsh"
    P2TR = "v1_p2tr"
    MULTISIG = "multisig"
    ANCHOR = "anchor"
    OP_RETURN = "op_return"


_SIGHASH_ALL: Final = b"\x01"
# Sources: Bitcoin Core, script/script.h.
_OP_0: Final = b"\x00"
_OP_1: Final = 0x51
_OP_DUP_HASH160: Final = b"\x76\xa9"
_OP_HASH160: Final = b"\xa9"
_OP_EQUAL: Final = b"\x87"
_OP_EQUALVERIFY_CHECKSIG: Final = b"\x88\xac"
_OP_CHECKSIG: Final = b"\xac"
_OP_CHECKMULTISIG: Final = b"\xae"
_OP_RETURN: Final = b"\x6a"
_OP_PUSHDATA1: Final = b"\x4c"
_OP_PUSHDATA2: Final = b"\x4d"
_MAX_DIRECT_PUSH: Final = 75
_MAX_PUSHDATA1: Final = 255
_ANCHOR: Final = bytes.fromhex("51024e73")
"""Sources: Bitcoin Core 28.0 release notes, pay to anchor."""
_MULTISIG_NEEDED: Final = 2
_MULTISIG_KEYS: Final = 3
"""chosen: 2-of-3, the commonest of custodians."""


def push(data: bytes) -> bytes:
    """Return the script that pushes data (up to 65,535 bytes)."""
    if len(data) <= _MAX_DIRECT_PUSH:
        return bytes([len(data)]) + data
    if len(data) <= _MAX_PUSHDATA1:
        return _OP_PUSHDATA1 + bytes([len(data)]) + data
    return _OP_PUSHDATA2 + len(data).to_bytes(2, "little") + data


def _public_key(secret: bytes) -> bytes:
    """Return 33 bytes that look like a compressed key."""
    return bytes([2 + (secret[0] & 1)]) + hashlib.sha256(secret).digest()


def _hash160(data: bytes) -> bytes:
    """Return the 20 bytes that stand for HASH160; see the top of this module."""
    return hashlib.sha256(data).digest()[:20]


def _signature(rng: Random) -> bytes:
    """Return 71 bytes that look like a DER signature with a low R and its hash type.

    **Sources**: BIP 66; Bitcoin Core grinds for a low R, so that its signatures have 71 bytes.
    """
    r_and_s = rng.randbytes(64)
    return b"".join((
        b"\x30\x44\x02\x20", bytes([r_and_s[0] >> 1 | 1]), r_and_s[1:32],
        b"\x02\x20", bytes([r_and_s[32] >> 1 | 1]), r_and_s[33:], _SIGHASH_ALL,
    ))  # fmt: skip


def _multisig(secret: bytes) -> bytes:
    keys = b"".join(push(_public_key(secret + bytes([n]))) for n in range(_MULTISIG_KEYS))
    return (
        bytes([_OP_1 - 1 + _MULTISIG_NEEDED]) + keys + bytes([_OP_1 - 1 + _MULTISIG_KEYS]) + _OP_CHECKMULTISIG
    )


@dataclass(slots=True, eq=False)
class Script:
    """A locking script with its owner's secret. One object for each script: compared by identity.

    Attributes:
        form: how it is locked.
        raw: scriptPubKey bytes.
        secret: what only the owner knows; empty where nobody spends.
        owner: whoever can spend it; the world decides what that is.
        role: what the owner uses it for.
    """

    form: Form
    raw: bytes
    secret: bytes = b""
    owner: object = None
    role: str = ""

    def unlock(self, rng: Random) -> Unlocking:
        """Return what an input shows to spend a coin of this script, with new signatures.

        Raises:
            ValueError: nobody can.
        """
        if self.form not in _UNLOCKINGS:
            raise ValueError(f"expected a script that somebody can spend, found {self.form.value}")
        return _UNLOCKINGS[self.form](self.secret, rng)


def make_script(form: Form, rng: Random, *, owner: object = None, role: str = "") -> Script:
    """Return a new script of a form, with a secret of its own.

    Args:
        form: not `OP_RETURN`, whose script is made of its data.
        rng: where the secret comes from.
        owner: who can spend it.
        role: what the owner uses it for.
    """
    secret = rng.randbytes(32)
    return Script(form, _LOCKS[form](secret), secret, owner, role)


def data_script(data: bytes) -> Script:
    """Return a script that carries data and that nobody can spend."""
    return Script(Form.OP_RETURN, _OP_RETURN + push(data))


def _lock_p2wpkh(secret: bytes) -> bytes:
    return b"\x00\x14" + _hash160(_public_key(secret))


def _lock_p2sh(redeem_script: bytes) -> bytes:
    return _OP_HASH160 + push(_hash160(redeem_script)) + _OP_EQUAL


_LOCKS: Final[dict[Form, Callable[[bytes], bytes]]] = {
    Form.P2PK: lambda secret: push(_public_key(secret)) + _OP_CHECKSIG,
    Form.P2PKH: lambda secret: (
        _OP_DUP_HASH160 + push(_hash160(_public_key(secret))) + _OP_EQUALVERIFY_CHECKSIG
    ),
    Form.P2SH_P2WPKH: lambda secret: _lock_p2sh(_lock_p2wpkh(secret)),
    Form.P2SH_MULTISIG: lambda secret: _lock_p2sh(_multisig(secret)),
    Form.P2WPKH: _lock_p2wpkh,
    Form.P2WSH: lambda secret: b"\x00\x20" + hashlib.sha256(_multisig(secret)).digest(),
    Form.P2TR: lambda secret: b"\x51\x20" + hashlib.sha256(b"taproot" + secret).digest(),
    Form.MULTISIG: _multisig,
    Form.ANCHOR: lambda _: _ANCHOR,
}


def _unlock_p2wpkh(secret: bytes, rng: Random) -> Unlocking:
    return Unlocking(b"", (_signature(rng), _public_key(secret)))


def _unlock_p2sh_p2wpkh(secret: bytes, rng: Random) -> Unlocking:
    redeem_script = _lock_p2wpkh(secret)
    return Unlocking(push(redeem_script), (_signature(rng), _public_key(secret)), redeem_script)


def _unlock_p2sh_multisig(secret: bytes, rng: Random) -> Unlocking:
    redeem_script = _multisig(secret)
    signatures = b"".join(push(_signature(rng)) for _ in range(_MULTISIG_NEEDED))
    return Unlocking(_OP_0 + signatures + push(redeem_script), (), redeem_script)


def _unlock_p2wsh(secret: bytes, rng: Random) -> Unlocking:
    redeem_script = _multisig(secret)
    signatures = [_signature(rng) for _ in range(_MULTISIG_NEEDED)]
    return Unlocking(b"", (b"", *signatures, redeem_script), redeem_script)


_UNLOCKINGS: Final[dict[Form, Callable[[bytes, Random], Unlocking]]] = {
    Form.P2PK: lambda _, rng: Unlocking(push(_signature(rng)), ()),
    Form.P2PKH: lambda secret, rng: Unlocking(push(_signature(rng)) + push(_public_key(secret)), ()),
    Form.P2SH_P2WPKH: _unlock_p2sh_p2wpkh,
    Form.P2SH_MULTISIG: _unlock_p2sh_multisig,
    Form.P2WPKH: _unlock_p2wpkh,
    Form.P2WSH: _unlock_p2wsh,
    Form.P2TR: lambda _, rng: Unlocking(b"", (rng.randbytes(64),)),
    Form.MULTISIG: lambda _, rng: Unlocking(
        _OP_0 + b"".join(push(_signature(rng)) for _ in range(_MULTISIG_NEEDED)), ()
    ),
    Form.ANCHOR: lambda _, __: Unlocking(b"", ()),
}
