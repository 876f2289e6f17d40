"""What locks fits what unlocks, and all of it has the forms that Bitcoin gives it."""

import hashlib
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.script import (
    Network,
    ScriptType,
    address_from_script,
    classify_script,
    script_from_address,
)
from hydrophone.simulator.node.scripts import Form, data_script, make_script, push

TYPES = {
    Form.P2PK: ScriptType.P2PK,
    Form.P2PKH: ScriptType.P2PKH,
    Form.P2SH_P2WPKH: ScriptType.P2SH,
    Form.P2SH_MULTISIG: ScriptType.P2SH,
    Form.P2WPKH: ScriptType.V0_P2WPKH,
    Form.P2WSH: ScriptType.V0_P2WSH,
    Form.P2TR: ScriptType.V1_P2TR,
    Form.MULTISIG: ScriptType.MULTISIG,
    Form.ANCHOR: ScriptType.ANCHOR,
}
WITHOUT_ADDRESS = {Form.P2PK, Form.MULTISIG}
SCRIPT_HASHES = {Form.P2SH_P2WPKH, Form.P2SH_MULTISIG, Form.P2WSH}
seeds = st.integers(0, 2**32)
forms = st.sampled_from(sorted(TYPES, key=str))


def read_pushes(script: bytes) -> list[bytes]:
    """Return what a script pushes that does nothing else."""
    items = []
    at = 0
    while at < len(script):
        opcode = script[at]
        at += 1
        extra = {0x4C: 1, 0x4D: 2}.get(opcode, 0)
        assert extra or opcode <= 75, f"{opcode:#x} is no push"
        length = int.from_bytes(script[at : at + extra], "little") if extra else opcode
        at += extra
        items.append(script[at : at + length])
        assert len(items[-1]) == length
        at += length
    return items


def stand_in_hash160(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:20]


def expect_signature(signature: bytes) -> None:
    """Fail unless it is strict DER (BIP 66) of 71 bytes with a low R and a low S, for SIGHASH_ALL."""
    assert len(signature) == 71
    assert signature[-1] == 1
    assert signature[0] == 0x30
    assert signature[1] == len(signature) - 3
    at = 2
    for _ in range(2):
        assert signature[at] == 2
        length = signature[at + 1]
        number = signature[at + 2 : at + 2 + length]
        assert len(number) == length == 32
        assert 0 < number[0] < 0x80
        at += 2 + length
    assert at == len(signature) - 1


def expect_key(key: bytes) -> None:
    assert len(key) == 33
    assert key[0] in (2, 3)


@given(forms, seeds)
def test_each_form_is_what_it_is_called(form: Form, seed: int) -> None:
    assert classify_script(make_script(form, Random(seed)).raw) is TYPES[form]


@given(forms, seeds, st.sampled_from(Network))
def test_an_address_leads_back_to_its_script(form: Form, seed: int, network: Network) -> None:
    script = make_script(form, Random(seed))
    address = address_from_script(script.raw, network)
    if form in WITHOUT_ADDRESS:
        assert address is None
    else:
        assert address is not None
        assert script_from_address(address, network) == script.raw


def test_the_anchor_is_the_one_everybody_can_spend() -> None:
    script = make_script(Form.ANCHOR, Random(1))
    assert address_from_script(script.raw, Network.MAINNET) == "bc1pfeessrawgf"
    assert script.unlock(Random(1)) == (b"", (), b"")


@given(st.binary(max_size=300))
def test_data_is_carried_and_cannot_be_spent(data: bytes) -> None:
    script = data_script(data)
    assert classify_script(script.raw) is ScriptType.OP_RETURN
    assert address_from_script(script.raw, Network.MAINNET) is None
    assert read_pushes(script.raw[1:]) == [data]
    with pytest.raises(ValueError, match="expected a script that somebody can spend"):
        script.unlock(Random(1))


@pytest.mark.parametrize(
    ("length", "prefix"),
    [(0, "00"), (1, "01"), (75, "4b"), (76, "4c4c"), (255, "4cff"), (256, "4d0001"), (65_535, "4dffff")],
)
def test_a_push_takes_the_shortest_length_that_fits(length: int, prefix: str) -> None:
    assert push(bytes(length)) == bytes.fromhex(prefix) + bytes(length)


@given(seeds)
def test_a_key_fits_the_hash_that_locks(seed: int) -> None:
    rng = Random(seed)
    for form, beginning in ((Form.P2WPKH, 2), (Form.P2PKH, 3)):
        script = make_script(form, rng)
        script_sig, witness, redeem_script = script.unlock(rng)
        signature, key = witness or read_pushes(script_sig)
        assert (not witness) == bool(script_sig)
        expect_signature(signature)
        expect_key(key)
        assert script.raw[beginning : beginning + 20] == stand_in_hash160(key)
        assert redeem_script == b""


@given(seeds)
def test_a_taproot_key_is_spent_with_one_signature_of_the_default_kind(seed: int) -> None:
    script_sig, witness, redeem_script = make_script(Form.P2TR, Random(seed)).unlock(Random(seed))
    assert (script_sig, [len(item) for item in witness], redeem_script) == (b"", [64], b"")


@given(seeds)
def test_a_bare_key_is_spent_with_a_signature(seed: int) -> None:
    script = make_script(Form.P2PK, Random(seed))
    expect_key(script.raw[1:34])
    script_sig, witness, _ = script.unlock(Random(seed))
    (signature,) = read_pushes(script_sig)
    expect_signature(signature)
    assert witness == ()


@given(seeds)
def test_a_nested_key_shows_the_program_behind_the_script_hash(seed: int) -> None:
    script = make_script(Form.P2SH_P2WPKH, Random(seed))
    script_sig, (signature, key), redeem_script = script.unlock(Random(seed))
    assert script.raw[2:22] == stand_in_hash160(redeem_script)
    assert read_pushes(script_sig) == [redeem_script]
    assert redeem_script == b"\x00\x14" + stand_in_hash160(key)
    expect_signature(signature)


@given(seeds, st.sampled_from([Form.P2SH_MULTISIG, Form.P2WSH, Form.MULTISIG]))
def test_two_of_three_sign(seed: int, form: Form) -> None:
    script = make_script(form, Random(seed))
    script_sig, witness, redeem_script = script.unlock(Random(seed))
    nothing, *signatures = witness or read_pushes(script_sig)
    if form is Form.P2WSH:
        assert script_sig == b""
        assert script.raw[2:] == hashlib.sha256(redeem_script).digest()
    elif form is Form.P2SH_MULTISIG:
        assert script.raw[2:22] == stand_in_hash160(redeem_script)
    else:
        assert redeem_script == b""
    if form is not Form.MULTISIG:
        assert signatures.pop() == redeem_script
    assert nothing == b""  # BIP 147: what OP_CHECKMULTISIG takes too many is empty
    assert len(signatures) == 2
    for signature in signatures:
        expect_signature(signature)
    multisig = redeem_script or script.raw
    keys = read_pushes(multisig[1:-2])
    assert (multisig[0], len(keys), multisig[-2], multisig[-1]) == (0x52, 3, 0x53, 0xAE)
    for key in keys:
        expect_key(key)


@given(forms, seeds)
def test_only_script_hashes_hide_a_script(form: Form, seed: int) -> None:
    unlocking = make_script(form, Random(seed)).unlock(Random(seed))
    assert bool(unlocking.redeem_script) == (form in SCRIPT_HASHES)


@given(forms, seeds)
def test_the_same_seed_gives_the_same_and_the_next_script_is_another(form: Form, seed: int) -> None:
    rng, again = Random(seed), Random(seed)
    script = make_script(form, rng)
    assert script.raw == make_script(form, again).raw
    assert script.unlock(rng) == script.unlock(again)
    if form is not Form.ANCHOR:
        assert make_script(form, rng).raw != script.raw
        assert script.unlock(rng) != script.unlock(rng)
