"""Files of transactions as people save them from an explorer: one, or a list."""

from typing import Final

import msgspec

from hydrophone.errors import MalformedMessage

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_decode_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def split_transactions(raw: bytes) -> tuple[list[bytes], bool]:
    """Return the JSON of each transaction, and whether they came as a list.

    What is in each of them is not looked at.

    Raises:
        MalformedMessage: neither a JSON object nor a list.
    """
    text = raw.removeprefix(_BYTE_ORDER_MARK).strip()
    if text.startswith(b"{"):
        return [text], False
    if not text.startswith(b"["):
        found = repr(text[:20].decode(errors="replace")) if text else "nothing"
        raise MalformedMessage(f"expected a transaction in Esplora's JSON, or a list of them, found {found}")
    try:
        return [bytes(item) for item in _decode_list(text)], True
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedMessage(f"expected a list of transactions in Esplora's JSON: {error}") from error
