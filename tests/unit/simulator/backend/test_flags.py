import pytest

from hydrophone.simulator.backend import flags as flag
from hydrophone.simulator.backend.backend import Style
from hydrophone.simulator.backend.flags import static_flags
from hydrophone.simulator.node.scripts import Form, make_script
from hydrophone.simulator.node.transactions import FINAL_SEQUENCE, Payment, Transaction, make_transaction
from tests.unit.simulator.backend.scene import Scene
from tests.unit.simulator.node.builders import make_coin, pay


@pytest.fixture
def scene() -> Scene:
    return Scene(Style.ESPLORA)


def of(transaction: Transaction, *, with_prevouts: bool = True) -> int:
    return static_flags(transaction, with_prevouts=with_prevouts)


def test_an_ordinary_payment_has_the_recorded_flags(scene: Scene) -> None:
    assert of(scene.pay([scene.coin()], fee_sat=500)) == 1_099_511_631_881


def test_without_prevouts_only_outputs_and_signatures_show(scene: Scene) -> None:
    payment = scene.pay([scene.coin(form=Form.P2SH_P2WPKH)], fee_sat=500)
    assert of(payment) == 1_099_511_633_929
    assert of(payment, with_prevouts=False) == 1_099_511_631_881


def test_data_has_its_flag(scene: Scene) -> None:
    payment = scene.pay([scene.coin()], fee_sat=500, forms=(Form.P2WPKH,), data=b"hello mempool")
    assert of(payment) == 1_099_528_409_097


def test_a_coinbase_has_the_recorded_flags(scene: Scene) -> None:
    assert of(scene.mine().transactions[0]) == 16_781_322


def test_a_final_payment_cannot_be_replaced(scene: Scene) -> None:
    flags = of(scene.pay([scene.coin()], fee_sat=500, sequence=FINAL_SEQUENCE))
    assert flags & (flag.RBF | flag.NO_RBF) == flag.NO_RBF


def test_a_taproot_key_signs_with_the_default(scene: Scene) -> None:
    flags = of(scene.pay([scene.coin(form=Form.P2TR)], fee_sat=500))
    assert flags & (flag.SIGHASH_ALL | flag.SIGHASH_DEFAULT) == flag.SIGHASH_DEFAULT


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [(5, 1, flag.CONSOLIDATION), (4, 1, 0), (1, 5, flag.BATCH_PAYOUT), (1, 4, 0)],
)
def test_many_to_one_and_one_to_many(scene: Scene, inputs: int, outputs: int, expected: int) -> None:
    coins = [scene.coin(50_000_000 + number) for number in range(inputs)]
    payment = scene.pay(coins, fee_sat=500, forms=(Form.P2WPKH,) * outputs)
    assert of(payment) & (flag.CONSOLIDATION | flag.BATCH_PAYOUT | flag.COINJOIN) == expected


def test_repeated_amounts_to_different_addresses_are_a_coinjoin(scene: Scene) -> None:
    coins = [scene.coin(10_000_000) for _ in range(6)]
    payments = [Payment(make_script(Form.P2WPKH, scene.rng), 9_999_900) for _ in coins]
    spends = scene.pay(coins, fee_sat=600).inputs
    different = [Payment(payment.script, 9_999_900 - 1_000 * n) for n, payment in enumerate(payments)]
    assert of(make_transaction(spends, payments)) & flag.COINJOIN
    assert not of(make_transaction(spends, [payments[0]] * 6)) & flag.COINJOIN
    assert not of(make_transaction(spends, different)) & flag.COINJOIN


def test_dust_is_not_standard() -> None:
    coin = make_coin("dust", 1_000)
    assert of(pay([coin], fee_sat=1_000 - 293)) & flag.NONSTANDARD
    assert not of(pay([coin], fee_sat=1_000 - 294)) & flag.NONSTANDARD
