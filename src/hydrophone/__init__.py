"""Hydrophone hears Bitcoin whales before they surface."""

__version__ = "0.1.0"
