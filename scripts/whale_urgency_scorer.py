"""The quickstart's name for the urgency score of a fee rate."""

from hydrophone.domain.urgency import calculate_urgency_score

__all__ = ["calculate_urgency_score"]
