"""Async machinery that has never heard of Bitcoin."""
