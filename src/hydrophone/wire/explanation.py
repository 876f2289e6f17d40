"""Why a flow is judged as it is: the explanation of an assessment.

Everything is read off the assessment: nothing is worked out a second time.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Final

import msgspec

from hydrophone.domain.change import ChangeVote
from hydrophone.domain.contributions import contributions_of
from hydrophone.domain.flow import FlowAssessment, FlowEvidence
from hydrophone.domain.flow_calibration import RELIABILITY
from hydrophone.domain.flow_parameters import DEFAULT, FlowParameters
from hydrophone.domain.flow_values import EntityFlow, FlowValues
from hydrophone.domain.labels import EntityKind, Label
from hydrophone.domain.learned_labels import LearnedLabel
from hydrophone.domain.parties import Labels
from hydrophone.domain.script import Network, address_from_script, classify_script
from hydrophone.domain.transaction import Transaction
from hydrophone.domain.units import format_btc, format_instant
from hydrophone.wire.explanation_v1 import (
    AnswerV1,
    BarsV1,
    BasisV1,
    ChangeV1,
    ExplanationV1,
    InputV1,
    LabelV1,
    LearnedV1,
    LooksV1,
    OutputV1,
    SaidV1,
    SenderV1,
    SignV1,
    SilentVoteV1,
    VoteV1,
    WhaleV1,
)
from hydrophone.wire.public_v1 import EntityV1, LedgerV1, ValuesV1, describe_in_words

_Spell = Callable[[bytes], str | None]
"""Spells a script as an address; None when it has none."""

_QUALIFIES: Final = {
    ChangeVote.ROUND_PAYMENT: "is left when the round amounts are set aside",
    ChangeVote.OPTIMAL_CHANGE: "is smaller than every input",
    ChangeVote.SCRIPT_TYPE: "has the one script type of all inputs",
}


def explain(
    tx: Transaction,
    flow: FlowAssessment,
    labels: Labels,
    network: Network,
    *,
    label_set: str,
    threshold_sat: int,
    said: SaidV1 | None = None,
    parameters: FlowParameters = DEFAULT,
) -> ExplanationV1:
    """Return why a transaction is judged as it is.

    Args:
        tx: not a coinbase.
        flow: what `classify_flow` says about it, with the same labels and parameters.
        labels: what it was judged by.
        network: decides how scripts are spelled as addresses.
        label_set: version of the labels.
        threshold_sat: a whale's outputs sum to more.
        said: what the database says about it.
        parameters: the figures of the model.
    """
    evidence = flow.evidence
    spell = cache(partial(address_from_script, network=network))  # many coins may have one script
    return ExplanationV1(
        **msgspec.structs.asdict(answer(tx, flow, network)),
        whale=_describe_whale(tx.gross_sat, threshold_sat),
        shares=None if evidence is None else {kind.value: s for kind, s in evidence.shares.items()},
        bars=BarsV1(parameters.theta, parameters.least_confidence),
        basis=None if evidence is None else _describe_basis(evidence),
        prevouts_known=sum(tx_input.prevout is not None for tx_input in tx.inputs),
        looks=None if evidence is None else _describe_looks(evidence),
        sender=None if evidence is None else _describe_sender(evidence, len(tx.inputs), parameters),
        change=None if evidence is None else _describe_change(evidence, parameters),
        votes=[] if evidence is None else _describe_votes(evidence, parameters),
        inputs=list(_describe_inputs(tx, spell)),
        outputs=list(_describe_outputs(tx, flow, spell)),
        labels=list(_describe_labels(tx, flow, labels, spell)),
        label_set=label_set,
        said=said,
        said_differs=None if said is None else _differs(flow, said),
    )


def answer(tx: Transaction, flow: FlowAssessment, network: Network) -> AnswerV1:
    """Return what is said about a transaction, without what it rests on.

    Args:
        tx: not a coinbase.
        flow: what `classify_flow` says about it.
        network: decides how scripts are spelled as addresses.
    """
    shape = None if flow.evidence is None else flow.evidence.looks.shape
    addresses = (address_from_script(script, network) for script in flow.exchange_scripts)
    return AnswerV1(
        txid=tx.txid,
        text=describe_in_words(flow),
        flow_type=flow.flow_type.value,
        flow_subtype=None if flow.subtype is None else flow.subtype.value,
        flow_reason=flow.reason,
        confidence=flow.confidence,
        probabilities={kind.value: share for kind, share in flow.probabilities.items()},
        values=describe_values(flow.values),
        gross_sat=tx.gross_sat,
        moved_sat=flow.moved_sat,
        fee_sat=tx.fee_sat,
        fee_rate=tx.fee_rate,
        rbf_enabled=tx.signals_rbf,
        shape=None if shape is None else shape.value,
        entities=[describe_entity(entity) for entity in flow.entities],
        exchange_addresses=[address for address in addresses if address is not None],
    )


def describe_values(values: FlowValues) -> ValuesV1:
    """Return the values of a flow as published."""
    return ValuesV1(
        inflow_sat=values.inflow_sat,
        outflow_sat=values.outflow_sat,
        internal_sat=values.internal_sat,
        interexchange_sat=values.interexchange_sat,
        unknown_sat=values.unknown_sat,
    )


def describe_entity(entity: EntityFlow) -> EntityV1:
    """Return what an exchange sends and receives, as published."""
    return EntityV1(
        entity.name,
        entity.in_sat,
        entity.out_sat,
        entity.net_sat,
        LedgerV1(*entity.received),
        LedgerV1(*entity.sent),
    )


def _describe_whale(gross_sat: int, threshold_sat: int) -> WhaleV1:
    is_whale = gross_sat > threshold_sat
    found, bar = format_btc(gross_sat), format_btc(threshold_sat)
    why = f"its outputs sum to {found} BTC, which is {'' if is_whale else 'not '}more than {bar} BTC"
    return WhaleV1(is_whale, threshold_sat, why)


def _describe_basis(evidence: FlowEvidence) -> dict[str, BasisV1]:
    return {
        kind.value: BasisV1(basis.value, RELIABILITY[basis].right, RELIABILITY[basis].n)
        for kind, basis in evidence.basis.items()
    }


def _describe_looks(evidence: FlowEvidence) -> LooksV1:
    looks = evidence.looks
    return LooksV1(
        is_coinjoin=looks.shape is not None and looks.shape.is_coinjoin,
        is_gathering=looks.is_gathering,
        has_spare_input=looks.has_spare_input,
        has_round_total=looks.has_round_total,
        swept_by=None if evidence.swept_by is None else evidence.reading.names[evidence.swept_by],
    )


def _describe_sender(evidence: FlowEvidence, input_count: int, parameters: FlowParameters) -> SenderV1:
    sender, names = evidence.sender, evidence.reading.names
    return SenderV1(
        same_owner=sender.same_owner,
        same_owner_why=_why_same_owner(evidence, input_count, parameters),
        shares={names[key]: share for key, share in sender.shares.items()},
        conflict=[names[key] for key in sender.conflict],
        unnamed=sender.unnamed,
        unnamed_bias=parameters.structural_bias,
        signs=[SignV1(sign.name, sign.weight) for sign in evidence.signs],
    )


def _why_same_owner(evidence: FlowEvidence, input_count: int, parameters: FlowParameters) -> str:
    if input_count == 1:
        return "there is one input"
    if evidence.looks.shape is not None and evidence.looks.shape.is_coinjoin:
        return "a coinjoin has many owners"
    if evidence.sender.same_owner == parameters.same_owner_payjoin:
        return "one input was not needed to pay, as in a payjoin"
    return "inputs that are spent together usually have one owner"


def _describe_change(evidence: FlowEvidence, parameters: FlowParameters) -> ChangeV1:
    change = evidence.change
    fired = {vote.vote for vote in change.votes}
    return ChangeV1(
        no_change_prior=change.no_change,
        vote_discount=parameters.vote_discount,
        returned=list(change.returned),
        silent=[SilentVoteV1(v.value, _why_silent(v, evidence)) for v in ChangeVote if v not in fired],
    )


def _why_silent(vote: ChangeVote, evidence: FlowEvidence) -> str:
    if len(evidence.looks.candidates) <= 1:
        return "with one output there is nothing to vote on"
    if vote is ChangeVote.OPTIMAL_CHANGE and evidence.sender.known is not None:
        return "not asked of an exchange, which picks coins for many payments at once"
    return f"not exactly one output {_QUALIFIES[vote]}"


def _describe_votes(evidence: FlowEvidence, parameters: FlowParameters) -> list[VoteV1]:
    return [
        VoteV1(v.vote.value, v.output_index, v.weight, parameters.vote_discount * v.weight)
        for v in evidence.change.votes
    ]


def _describe_inputs(tx: Transaction, spell: _Spell) -> Iterator[InputV1]:
    for index, tx_input in enumerate(tx.inputs):
        if tx_input.prevout is None:
            yield InputV1(index, None, None, None)
        else:
            script, value_sat = tx_input.prevout
            yield InputV1(index, spell(script), script.hex(), value_sat)


def _describe_outputs(tx: Transaction, flow: FlowAssessment, spell: _Spell) -> Iterator[OutputV1]:
    evidence = flow.evidence
    for index, (output, part) in enumerate(zip(tx.outputs, contributions_of(tx, flow), strict=True)):
        receivers = {} if evidence is None else evidence.receivers[index]
        yield OutputV1(
            index=index,
            address=spell(output.script),
            script=output.script.hex(),
            type=classify_script(output.script).value,
            value_sat=output.value_sat,
            change_probability=None if evidence is None else flow.change[index],
            receivers={}
            if evidence is None
            else {evidence.reading.names[k]: p for k, p in receivers.items()},
            net_sat=part.net_sat,
            contributes=describe_values(part.values),
        )


def _describe_labels(
    tx: Transaction, flow: FlowAssessment, labels: Labels, spell: _Spell
) -> Iterator[LabelV1]:
    spent = [i.prevout.script if i.prevout is not None else None for i in tx.inputs]
    paid: Sequence[bytes | None] = [output.script for output in tx.outputs]
    for side, scripts in (("input", spent), ("output", paid)):
        for index, script in enumerate(scripts):
            for label in () if script is None else labels.lookup(script):
                is_disputed = labels.is_disputed(label.script)
                why_not = _why_no_direction(label, flow, is_disputed=is_disputed)
                yield LabelV1(
                    side=side,
                    index=index,
                    address=spell(label.script),
                    script=label.script.hex(),
                    entity=label.entity.name,
                    kind=label.entity.kind.value,
                    role=label.role.value,
                    confidence=label.confidence,
                    source=label.source,
                    citation=label.citation,
                    source_url=label.source_url,
                    licence=label.licence,
                    as_of=None if label.as_of is None else label.as_of.isoformat(),
                    disputed=is_disputed,
                    gives_direction=why_not is None,
                    why_not=why_not,
                    learned=_describe_learned(label),
                )


def _why_no_direction(label: Label, flow: FlowAssessment, *, is_disputed: bool) -> str | None:
    if label.entity.kind is not EntityKind.EXCHANGE:
        return "not an exchange"
    if is_disputed:
        return "contradicted by another label"
    if flow.evidence is None:
        return "inputs unknown"
    claims = flow.evidence.reading.claims.get(label.script)
    return None if claims is not None and label in claims.labels else "its source is not believed"


def _describe_learned(label: Label) -> LearnedV1 | None:
    if not isinstance(label, LearnedLabel):
        return None
    return LearnedV1(label.learned_by.value, label.evidence, format_instant(label.learned_at))


def _differs(flow: FlowAssessment, said: SaidV1) -> bool:
    subtype = None if flow.subtype is None else flow.subtype.value
    values = said.values is not None and said.values != describe_values(flow.values)
    return values or (said.flow_type, said.flow_subtype) != (flow.flow_type.value, subtype)
