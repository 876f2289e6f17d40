"""An explanation for people: the answer first, then why, then everything it rests on."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from hydrophone.domain.flow import FlowType
from hydrophone.domain.flow_calibration import Basis
from hydrophone.domain.units import SATS_PER_BTC, format_btc
from hydrophone.wire.explanation_v1 import (
    AmendmentV1,
    ChangeV1,
    ExplanationV1,
    LabelV1,
    LooksV1,
    OutputV1,
    SaidV1,
    SenderV1,
)
from hydrophone.wire.public_v1 import EntityV1, ValuesV1

_MOST_ROWS: Final = 12
"""Of a table. # chosen: what one sees at a glance; the JSON has them all."""
_MOST_LABELS: Final = 10
"""# chosen: as above."""
_MOST_PLACES: Final = 5
"""Where one script is. # chosen: as above."""
_CITATION_LENGTH: Final = 90
"""Characters. # chosen: one line."""
_SMALL_SAT: Final = SATS_PER_BTC
"""Up to here a hundredth of a bitcoin is too coarse to see anything."""
_CERTAIN_PERCENT: Final = 99.95
"""From here on a share is written 100%."""

_SURE: Final = {
    FlowType.INFLOW: "INFLOW: coins go into an exchange",
    FlowType.OUTFLOW: "OUTFLOW: coins leave an exchange",
    FlowType.INTERNAL: "INTERNAL: coins stay inside exchanges",
    FlowType.UNKNOWN: "UNKNOWN: no direction is claimed",
}
_SUBTYPES: Final = {
    "interexchange": "from one exchange to another",
    "mixed": "several directions at once",
    "coinjoin": "a coinjoin: several owners mix their coins",
    "sweep": "a sweep: an exchange gathers what customers paid in before",
    "cold_to_hot": "from cold storage to a hot wallet",
    "hot_to_cold": "from a hot wallet to cold storage",
    "batch_withdrawal": "many withdrawals at once",
    "consolidation": "a consolidation: one coin is made of many",
}
_SHAPES: Final = {
    None: "an ordinary payment",
    "coinjoin_wabisabi": "a coinjoin as Wasabi 2 makes them",
    "coinjoin_wasabi_1": "a coinjoin as Wasabi 1 makes them",
    "coinjoin_whirlpool": "a coinjoin as Whirlpool makes them",
    "coinjoin_joinmarket": "perhaps a coinjoin of JoinMarket (two equal payments and change look alike)",
    "batch": "a batch: many payments out of few scripts",
    "consolidation": "a consolidation: one coin is made of many",
}
_BASES: Final = {
    Basis.PAYS_MANY: "an exchange's wallet pays a batch, or more than two others",
    Basis.PAYS_FEW: "an exchange's wallet pays one or two scripts nobody knows",
    Basis.LEAVES_COLD: "coins leave cold storage, which pays no customers",
    Basis.LEAVES_DEPOSIT: "coins leave a deposit script, where an exchange gathers them",
    Basis.PAYS_DEPOSIT: "a deposit script is paid, as customers do",
    Basis.PAYS_WALLET_SEVERAL: "several scripts nobody knows pay an exchange's wallet",
    Basis.PAYS_WALLET_ONE: "one script nobody knows pays an exchange's wallet",
    Basis.PAYS_WALLET_REUSED: "several coins of one script nobody knows pay an exchange's wallet",
    Basis.PAYS_LEARNED: "a wallet is paid that only we learned to know",
    Basis.PAYS_COLD: "cold storage is paid, where customers do not pay in",
    Basis.BOTH_SIDES: "both sides are known, or it is a sweep",
}
_VOTES: Final = {
    "round_payment": "every other amount is round",
    "optimal_change": "as a payment it would not have needed all inputs",
    "script_type": "no other has the script type of the inputs",
}
_SIGNS: Final = {
    "batch": "a batch",
    "many_outputs": "25 payments or more",
    "consolidation": "a consolidation",
    "round_total": "a round total",
    "coinjoin": "a coinjoin",
}


def explain_in_words(explanation: ExplanationV1) -> str:
    """Return an explanation as text, without a line break at its end."""
    blocks = (
        _answer(explanation),
        _why(explanation),
        _inputs(explanation),
        _outputs(explanation),
        _values(explanation),
        _sender(explanation),
        _change(explanation),
        _labels(explanation),
        _said(explanation),
    )
    return "\n\n".join("\n".join(lines) for block in blocks if (lines := [line.rstrip() for line in block]))


def _answer(e: ExplanationV1) -> Iterator[str]:
    yield e.text
    subtype = "" if e.flow_subtype is None else f" ({_SUBTYPES[e.flow_subtype]})"
    sure = "" if e.flow_type == FlowType.UNKNOWN else f", {_percent(e.confidence)} sure"
    yield f"{_SURE[FlowType(e.flow_type)]}{subtype}{sure}"
    fee = "fee unknown" if e.fee_sat is None else f"fee {_btc(e.fee_sat)} BTC, {e.fee_rate or 0:.1f} sat/vB"
    yield f"{e.txid}  {fee}"
    yield f"{'A whale' if e.whale.is_whale else 'No whale'}: {e.whale.why}"


def _why(e: ExplanationV1) -> Iterator[str]:
    yield "Why"
    if e.flow_reason is not None:
        yield f"  {_sentence(e.flow_reason)}"
    if e.shares is None or e.basis is None:
        yield "  Without them nobody can tell a deposit from change, so all of the value counts as moved."
        return
    best = max(e.shares, key=e.shares.__getitem__)
    if best in e.basis and e.shares[best] >= e.bars.share:
        basis, needed = e.basis[best], f"an answer needs {e.bars.share:.0%}"
        yield f"  By labels {_percent(e.shares[best])} of what is paid is {best} ({needed})."
        yield f"  That rests on this: {_BASES[Basis(basis.basis)]}."
        yield f"  Of simulated answers that rest on the same, {basis.right:,} of {basis.n:,} were right."
        if e.flow_type == FlowType.UNKNOWN:
            bar = f"{e.bars.probability:.0%}"
            yield f"  So it is {_percent(e.probabilities[best])} likely; what is below {bar} is not said."
    likely = ", ".join(f"{kind} {_percent(share)}" for kind, share in e.probabilities.items() if share)
    yield f"  How likely each answer is to be right: {likely}."
    if e.looks is not None:
        yield f"  Its looks: {'; '.join(_looks(e.shape, e.looks))}."
        if e.looks.swept_by is not None:
            yield f"  A sweep: what customers of {e.looks.swept_by} paid in goes to its own wallets."


def _looks(shape: str | None, looks: LooksV1) -> Iterator[str]:
    yield _SHAPES[shape]
    if looks.is_gathering:
        yield "five or more scripts, each used once, are paid into one"
    if looks.has_spare_input:
        yield "an input was not needed to pay"
    if looks.has_round_total:
        yield "a round total"


def _inputs(e: ExplanationV1) -> Iterator[str]:
    total_sat = sum(i.value_sat or 0 for i in e.inputs)
    yield f"{f'Inputs ({len(e.inputs)})':<42}  {'BTC':>16}"
    labelled = {label.index for label in e.labels if label.side == "input"}
    shown = _most_telling(len(e.inputs), lambda i: (i in labelled, e.inputs[i].value_sat or 0))
    for index in shown:
        item = e.inputs[index]
        value = "not told" if item.value_sat is None else _fixed(item.value_sat)
        name = _spell(item.address, item.script)
        yield f"  {index:>4}  {name:<34}  {value:>16}          {_claims(e, 'input', index)}"
    if len(shown) < len(e.inputs):
        rest_sat = total_sat - sum(e.inputs[i].value_sat or 0 for i in shown)
        yield f"        {_more(len(e.inputs) - len(shown)):<34}  {_fixed(rest_sat):>16}"


def _outputs(e: ExplanationV1) -> Iterator[str]:
    yield f"{f'Outputs ({len(e.outputs)})':<42}  {'BTC':>16}  change"
    labelled = {label.index for label in e.labels if label.side == "output"}
    votes = {vote.output for vote in e.votes}
    shown = _most_telling(len(e.outputs), lambda i: (i in labelled, i in votes, e.outputs[i].value_sat))
    for index in shown:
        item = e.outputs[index]
        change = "?" if item.change_probability is None else _percent(item.change_probability)
        name = _spell(item.address, item.script)
        yield f"  {index:>4}  {name:<34}  {_fixed(item.value_sat):>16}  {change:>6}  {_whose(e, item)}"
    if len(shown) < len(e.outputs):
        rest_sat = e.gross_sat - sum(e.outputs[i].value_sat for i in shown)
        yield f"        {_more(len(e.outputs) - len(shown)):<34}  {_fixed(rest_sat):>16}"


def _whose(e: ExplanationV1, item: OutputV1) -> str:
    claims = _claims(e, "output", item.index)
    if e.change is None or item.index not in e.change.returned:
        return claims
    note = "goes back to the sender" if item.change_probability else "stays with the sender"
    return f"{claims}; {note}" if claims else note


def _values(e: ExplanationV1) -> Iterator[str]:
    yield "What moves (in BTC, each amount times how sure it is; change left out)"
    decimals = 2 if e.gross_sat > _SMALL_SAT else 8
    yield f"  {_split(e.values, decimals)}"
    for entity in e.entities:
        yield f"  {entity.name}: {_entity(entity, decimals)}"


def _split(values: ValuesV1, decimals: int) -> str:
    parts = [f"{name} {_btc(sat, decimals)}" for name, sat in _parts(values) if sat]
    return ", ".join(parts) or "nothing"


def _parts(values: ValuesV1) -> Iterator[tuple[str, int]]:
    yield "inflow", values.inflow_sat
    yield "outflow", values.outflow_sat
    yield "inside an exchange", values.internal_sat
    yield "between exchanges", values.interexchange_sat
    yield "unknown", values.unknown_sat


def _entity(entity: EntityV1, decimals: int) -> str:
    net = f"{'+' if entity.net_sat > 0 else ''}{_btc(entity.net_sat, decimals)}"
    received, sent = entity.received, entity.sent
    certain = received.certain_sat + sent.certain_sat
    likely = received.likely_sat + sent.likely_sat
    unsure = received.unknown_sat + sent.unknown_sat
    sure = [("certain", certain), ("likely", likely), ("unsure", unsure)]
    split = ", ".join(f"{_btc(sat, decimals)} {word}" for word, sat in sure if sat)
    amounts = f"in {_btc(entity.in_sat, decimals)}, out {_btc(entity.out_sat, decimals)}, net {net}"
    return f"{amounts} ({split})" if split else amounts


def _sender(e: ExplanationV1) -> Iterator[str]:
    if e.sender is None:
        return
    yield "Who sends"
    yield from (f"  {line}" for line in _sender_lines(e.sender))


def _sender_lines(sender: SenderV1) -> Iterator[str]:
    for name, share in sender.shares.items():
        yield f"{name}: {_percent(share)}"
    if sender.conflict:
        yield f"{' and '.join(sender.conflict)} cannot all be it: each was halved"
    if not sender.shares:
        yield "nobody whose label we know"
    if sender.signs:
        signs = ", ".join(f"{_SIGNS.get(sign.name, sign.name)} {sign.log_odds:+.1f}" for sign in sender.signs)
        if sender.unnamed:
            odds = f"log-odds: {sender.unnamed_bias:+.1f} to begin with, {signs}"
            yield f"an exchange that no label names: {_percent(sender.unnamed)} ({odds})"
        else:
            yield f"nothing in its looks speaks for an exchange (log-odds: {signs})"
    yield f"all inputs have one owner: {_percent(sender.same_owner)}, as {sender.same_owner_why}"


def _change(e: ExplanationV1) -> Iterator[str]:
    if e.change is None:
        return
    yield "Which output is change"
    yield from (f"  {line}" for line in _change_lines(e, e.change))


def _change_lines(e: ExplanationV1, change: ChangeV1) -> Iterator[str]:
    if change.no_change_prior == 1:
        yield "none: only one can be spent"
        return
    back = [index for index in change.returned if e.outputs[index].change_probability]
    stays = [index for index in change.returned if index not in back]
    if back:
        yield f"output {_places(back)} pays a script of the sender: it is change, whatever the votes say"
    if stays:
        yield f"output {_places(stays)} pays another script of the sender, and nobody else is paid: no change"
    yield f"before any vote it is {_percent(change.no_change_prior)} likely that none is"
    for vote in e.votes:
        odds = f"{vote.discounted:+.2f} ({vote.log_odds:.2f} x {change.vote_discount})"
        yield f"output {vote.output}: log-odds {odds} by {vote.vote}: {_VOTES[vote.vote]}"
    reasons: dict[str, list[str]] = {}
    for silent in change.silent:
        reasons.setdefault(silent.why, []).append(silent.vote)
    for why, names in reasons.items():
        yield f"no vote of {', '.join(names)}: {why}"


def _labels(e: ExplanationV1) -> Iterator[str]:
    yield f"Labels (set {e.label_set})"
    claims: dict[tuple[object, ...], list[LabelV1]] = {}
    for label in e.labels:
        same = (label.script, label.entity, label.role, label.source, label.as_of, label.citation)
        claims.setdefault(same, []).append(label)
    if not claims:
        yield "  nobody claims to know any script on either side"
    for found in list(claims.values())[:_MOST_LABELS]:
        yield from _claim_lines(found)
    if len(claims) > _MOST_LABELS:
        yield f"  and {len(claims) - _MOST_LABELS} more, all in the JSON"


def _claim_lines(same: Sequence[LabelV1]) -> Iterator[str]:
    label = same[0]
    where = ", ".join(f"{found.side} {found.index}" for found in same[:_MOST_PLACES])
    more = f" and {len(same) - _MOST_PLACES} more" if len(same) > _MOST_PLACES else ""
    what = label.kind if label.role == "unknown" else f"{label.kind}, {label.role}"
    unused = "" if label.why_not is None else f"; gives no direction: {label.why_not}"
    yield f"  {label.entity} ({what}), confidence {label.confidence:.2f}: {where}{more}{unused}"
    yield f"      {label.address or label.script}"
    if label.learned is not None:
        when = label.learned.learned_at[:16].replace("T", " ")
        yield f"      learned here at {when} by {label.learned.how} from {label.learned.evidence}"
        yield f"      it follows from {label.source}"
        return
    citation = f": {_shorten(label.citation, _CITATION_LENGTH)}" if label.citation else ""
    yield f"      {label.source}, {label.as_of or 'no date'}{citation}"


def _said(e: ExplanationV1) -> Iterator[str]:
    said = e.said
    if said is None:
        return
    yield f"What was said at the time ({said.detected_at[:19].replace('T', ' ')} UTC)"
    yield from (f"  {line}" for line in _said_lines(e, said))


def _said_lines(e: ExplanationV1, said: SaidV1) -> Iterator[str]:
    if said.transaction_id != e.txid:
        yield f"about {said.transaction_id}"
    if not e.said_differs:
        yield "the same"
    else:
        subtype = "" if said.flow_subtype is None else f", {said.flow_subtype}"
        sure = "" if said.confidence is None else f", {_percent(said.confidence)} sure"
        yield f"{said.flow_type}{subtype}{sure}" + (f": {said.flow_reason}" if said.flow_reason else "")
        if said.values is not None:
            yield _split(said.values, 2)
        if said.label_set == e.label_set:
            yield "with the same published labels: what was learned since makes the difference, or the model"
        else:
            yield f"with label set {said.label_set or 'unknown'}"
    for amendment in said.amendments:
        yield _amended(amendment)


def _amended(amendment: AmendmentV1) -> str:
    before, after = amendment.before.get("flow_type"), amendment.after.get("flow_type")
    change = f": {before} became {after}" if before != after else ""
    return f"amended {amendment.amended_at[:19].replace('T', ' ')}: {amendment.reason}{change}"


def _claims(e: ExplanationV1, side: str, index: int) -> str:
    names: dict[str, None] = {}
    for label in e.labels:
        if label.side == side and label.index == index:
            role = "" if label.role == "unknown" else f" {label.role}"
            names[f"{label.entity}{role}{' (learned)' if label.learned is not None else ''}"] = None
    return " or ".join(names)


def _most_telling(count: int, rank: Callable[[int], tuple[int, ...]]) -> list[int]:
    """Return the indices of the rows to show, in their order."""
    return sorted(sorted(range(count), key=rank, reverse=True)[:_MOST_ROWS])


def _spell(address: str | None, script: str | None) -> str:
    if address is not None:
        return address if len(address) <= 34 else f"{address[:20]}...{address[-11:]}"  # noqa: PLR2004
    if script is None:
        return "?"
    return "OP_RETURN" if script.startswith("6a") else f"script {_shorten(script, 27)}"


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _places(indices: Sequence[int]) -> str:
    return ", ".join(str(index) for index in indices[:_MOST_ROWS])


def _more(count: int) -> str:
    return f"and {count:,} more"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _btc(value_sat: int, decimals: int = 8) -> str:
    return format_btc(value_sat, decimals=decimals)


def _fixed(value_sat: int) -> str:
    """Return an amount with all its decimals, for a column of them."""
    return f"{value_sat // SATS_PER_BTC:,}.{value_sat % SATS_PER_BTC:08d}"


def _percent(share: float) -> str:
    """Return a share so that what is not certain does not look certain."""
    percent = 100 * share
    if 0 < percent < 0.1:  # noqa: PLR2004 -- the smallest that is written
        return "<0.1%"
    if _CERTAIN_PERCENT <= percent < 100:  # noqa: PLR2004
        return ">99.9%"
    return f"{math.floor(percent * 10 + 0.5) / 10:g}%"
