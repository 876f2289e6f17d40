"""Codecs: bytes to typed events and back. Pure; nothing untyped goes further than this."""
