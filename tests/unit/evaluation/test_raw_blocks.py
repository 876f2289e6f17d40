import struct
from pathlib import Path

from evaluation.change_detection import hidden_self_change, other_script
from evaluation.raw_blocks import read_block
from hydrophone.domain.script import classify_script
from hydrophone.domain.transaction import Input, OutPoint, Output
from hydrophone.domain.units import Sats, Txid

# Sources: block 170, the first payment: 10 BTC of 50, the rest returns to the input's script.
PAYMENT = bytes.fromhex(
    "0100000001c997a5e56e104102fa209c6a852dd90660a20b2d9c352423edce25857fcd3704000000004847304402204e45e16932b8"
    "af514961a1d3a1a25fdf3f4f7732e9d624c6c61548ab5fb8cd410220181522ec8eca07de4860a4acdd12909d831cc56cbbac4622"
    "082221a8768d1d0901ffffffff0200ca9a3b00000000434104ae1a62fe09c5f51b13905f07f06b99a2f7159b2225f374cd378d71"
    "302fa28414e7aab37397f554a7df5f142c21c1b7303b8a0626f1baded5c72a704f7e6cd84cac00286bee0000000043410411db93"
    "e1dcdb8a016b49840f8c53bc1eb68a382e97b1482ecad7b148a6909a5cb2e0eaddfb84ccf9744464f82e160bfa9b8b64f9d4c03f"
    "999b8643f656b412a3ac00000000"
)
PAYMENT_TXID = "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16"
CHANGE_SCRIPT = PAYMENT[-71:-4]
"""Of the payer, a public key; it is also the script of the input."""
WPKH = b"\x00\x14" + bytes(20)
WITNESS_PAYMENT = (
    struct.pack("<i", 2) + b"\x00\x01\x01" + bytes(range(32)) + struct.pack("<I", 7) + b"\x00\xfd\xff\xff\xff"
    + b"\x01" + struct.pack("<q", 900) + bytes([len(WPKH)]) + WPKH
    + b"\x02\x02\xaa\xbb\x01\xcc" + bytes(4)
)  # fmt: skip


def write_block(folder: Path, transactions: list[bytes], spent: list[tuple[int, bytes]]) -> Path:
    path = folder / "block1.raw"
    coinbase = PAYMENT  # whatever comes first is skipped
    path.write_bytes(bytes(80) + bytes([1 + len(transactions)]) + coinbase + b"".join(transactions))
    undo = b"".join(struct.pack("<q", value) + bytes([len(script)]) + script for value, script in spent)
    path.with_name("block1-undo.raw").write_bytes(undo)
    return path


def test_a_real_transaction_is_read_to_its_txid(tmp_path: Path) -> None:
    (payment,) = read_block(write_block(tmp_path, [PAYMENT], [(50 * 10**8, CHANGE_SCRIPT)]))
    assert payment.txid == PAYMENT_TXID
    assert [output.value_sat for output in payment.outputs] == [10 * 10**8, 40 * 10**8]
    assert payment.fee_sat == 0
    assert payment.weight_wu == 4 * len(PAYMENT)


def test_a_witness_counts_once_and_is_not_in_the_txid(tmp_path: Path) -> None:
    first, second = read_block(
        write_block(tmp_path, [WITNESS_PAYMENT, PAYMENT], [(1_000, WPKH), (50 * 10**8, WPKH)])
    )
    witness_bytes = 2 + 6
    stripped = len(WITNESS_PAYMENT) - witness_bytes
    assert first.weight_wu == 4 * stripped + witness_bytes
    spent = OutPoint(Txid(bytes(range(32))[::-1].hex()), 7)
    assert first.inputs == (Input(spent, 0xFFFFFFFD, Output(WPKH, Sats(1_000))),)
    assert first.fee_sat == 100
    assert second.txid == PAYMENT_TXID


def test_self_change_is_hidden_from_all_but_the_votes(tmp_path: Path) -> None:
    (case,) = hidden_self_change(write_block(tmp_path, [PAYMENT], [(50 * 10**8, CHANGE_SCRIPT)]))
    assert case.change == {1}
    hidden = case.transaction.outputs[1]
    assert hidden.value_sat == 40 * 10**8
    assert hidden.script != CHANGE_SCRIPT
    assert classify_script(hidden.script) == classify_script(CHANGE_SCRIPT) == "p2pk"


def test_another_script_of_a_type_has_that_type() -> None:
    scripts = (WPKH, b"\x00\x20" + bytes(32), b"\x51\x20" + bytes(32), b"\xa9\x14" + bytes(20) + b"\x87")
    for script in (*scripts, b"\x76\xa9\x14" + bytes(20) + b"\x88\xac"):
        other = other_script(script)
        assert other is not None
        assert other != script
        assert classify_script(other) == classify_script(script)
    assert other_script(b"\x6a\x01\x00") is None
