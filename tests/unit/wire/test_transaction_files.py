import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.errors import MalformedMessage
from hydrophone.wire.transaction_files import split_transactions


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"a":1}', ([b'{"a":1}'], False)),
        (b'\xef\xbb\xbf {"a":1}\n', ([b'{"a":1}'], False)),
        (b"[]", ([], True)),
        (b' [{"a":1}, 7 ,null]', ([b'{"a":1}', b"7", b"null"], True)),
    ],
)
def test_one_or_a_list(raw: bytes, expected: tuple[list[bytes], bool]) -> None:
    assert split_transactions(raw) == expected


@pytest.mark.parametrize("raw", [b"", b"  ", b"7", b"txid,value", b"\xff\xfe", b"[{", b"[" * 5_000])
def test_anything_else_is_refused_with_what_was_expected(raw: bytes) -> None:
    with pytest.raises(MalformedMessage, match="expected a"):
        split_transactions(raw)


@given(st.binary(max_size=40))
def test_no_file_is_more_than_that(raw: bytes) -> None:
    try:
        documents, is_list = split_transactions(raw)
    except MalformedMessage:
        return
    assert is_list or len(documents) == 1
