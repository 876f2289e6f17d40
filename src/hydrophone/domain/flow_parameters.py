"""Every figure of the flow model, in one table, each with its source or the reason why it was chosen.

What was fitted says so; `flow_calibration.RELIABILITY` tells when and on what, docs/flow.md how it scored in
worlds that no fit has seen.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class FlowParameters:
    """The figures of the flow model. Probabilities and shares are in [0, 1], weights natural log-odds.

    **Sources**: *MN22* is M. Moeser and A. Narayanan, Resurrecting Address Clustering in Bitcoin, Financial
    Cryptography 2022: precision and coverage of change heuristics on 35.3 million transactions with known
    change. *design* marks a figure of the founding design that was a guess there, too.
    """

    # --- who sends -----------------------------------------------------------------------------------
    same_owner: float = 0.98
    """All inputs have one owner. chosen: the rest are transactions of several payers that look like none."""
    same_owner_payjoin: float = 0.90
    """The same where an input was not needed to pay: the payee may have put it in. Sources: BIP 78."""

    # --- change --------------------------------------------------------------------------------------
    returned: float = 0.995
    """An output to a script of the sender is change. chosen: near certain; the rest are payments inside a
    transaction of several owners."""
    no_change_two_outputs: float = 0.10
    no_change_more_outputs: float = 0.15
    """A transaction has no change, by its number of spendable outputs. chosen: design."""
    no_change_gathering: float = 0.60
    """The same for a sweep or a consolidation, which spend all there is. chosen: design."""
    no_change_known_sender: float = 0.85
    """The same for a sender with a label: services return change to scripts we know. chosen: design."""
    vote_discount: float = 0.7
    """Kappa. Votes overlap; counting each in full would make two that say the same near certain. chosen:
    design. A fit on simulated worlds would have it above 1, as their payers choose independently of each
    other; on the 151 hidden self-changes of a mainnet block 0.8 is best, and 0.7 as good within the noise."""
    round_weights: tuple[tuple[int, float], ...] = (
        (10_000_000, 5.36),
        (1_000_000, 3.75),
        (100_000, 3.99),
        (10_000, 4.30),
        (1_000, 4.22),
        (100, 3.68),
    )
    """Round unit in satoshis, largest first, and the weight of its vote. Sources: MN22, precision 97.5 to
    99.5 %."""
    optimal_change_weight: float = 2.45
    script_type_weight: float = 2.05
    """Logarithm of the likelihood ratio. Sources: MN22, precision 92 and 89 %."""

    # --- an exchange that nobody named ---------------------------------------------------------------
    structural_bias: float = -1.4
    structural_batch: float = 2.5
    structural_many_outputs: float = 0.7
    structural_consolidation: float = 0.8
    structural_round_total: float = -0.3
    structural_coinjoin: float = -3.0
    """Log-odds that the sender is an exchange, by what the transaction looks like. chosen: design. A
    regression on simulated worlds gives +4.4 for a batch and +2.5 for a consolidation, where hardly anybody
    but exchanges makes any; the cap below makes larger weights equal."""
    many_outputs: int = 25
    """chosen: design."""
    unnamed_cap: float = 0.5
    """What looks alone can make of it at most: never enough for an answer. chosen: design."""

    # --- shapes --------------------------------------------------------------------------------------
    sweep_internal: float = 0.90
    """Share of a sweep's inflow that is internal: the customers' payments were the inflow. chosen: design."""
    learned_confidence: float = 0.90
    """Of a claim that we learned ourselves. chosen: design."""

    # --- the answer ----------------------------------------------------------------------------------
    theta: float = 0.60
    """Share of the value that a direction needs to be the answer. chosen: design."""
    temperature: float = 0.25
    """Sharpens those shares into probabilities. Fitted, together with `flow_calibration.RELIABILITY`: the log
    loss is flat between 0.2 and 0.3, and half as large again at 1."""
    least_confidence: float = 0.50
    """Probability that an answer needs, besides: what is more likely wrong than right is not said. chosen: a
    majority. The rule of the design (the least value with 80 % right by a one-sided 95 % bound) gives the
    same: 73,571 of 81,721 answers of the fit were right above it."""
    mixed_share: float = 0.30
    """Share of the value from which a second direction is worth telling. chosen: design."""


DEFAULT: Final = FlowParameters()
