"""WebSocket frames: ours against another implementation of RFC 6455, and what is refused."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets import frames as theirs

from bascule.protocol.frames import (
    MOST_FRAGMENTS,
    Broken,
    CloseCode,
    Frames,
    Opcode,
    accept_key,
    close_frame,
    close_reason,
    frame,
)

SIZES = st.one_of(
    st.integers(0, 140), st.sampled_from([125, 126, 127, 65_535, 65_536, 70_001]), st.integers(0, 3)
)
CONTENTS = SIZES.flatmap(
    lambda size: st.binary(min_size=min(size, 140), max_size=min(size, 140)).map(
        lambda some: (some * (size // max(1, len(some)) + 1))[:size]
    )
)


def reader(**kwargs: object) -> Frames:
    return Frames(**{"is_masked": True, "largest": 100_000, **kwargs})  # type: ignore[arg-type]  # reason: a test's defaults


def theirs_of(opcode: int, content: bytes, *, fin: bool = True, is_masked: bool = True) -> bytes:
    return theirs.Frame(theirs.Opcode(opcode), content, fin).serialize(mask=is_masked)


@given(
    st.lists(st.tuples(CONTENTS, st.booleans()), max_size=4), st.integers(1, 5000), st.booleans()
)
def test_what_the_other_implementation_writes_is_read_however_it_is_cut(
    messages: list[tuple[bytes, bool]], step: int, is_masked: bool
) -> None:
    sent = b""
    for content, is_cut in messages:
        middle = len(content) // 2
        if is_cut:
            sent += theirs_of(1, content[:middle], fin=False, is_masked=is_masked)
            sent += theirs_of(9, b"between", is_masked=is_masked)
            sent += theirs_of(0, content[middle:], is_masked=is_masked)
        else:
            sent += theirs_of(1, content, is_masked=is_masked)
    ours = reader(is_masked=is_masked, may_fragment=True)
    read = [each for at in range(0, len(sent), step) for each in ours.feed(sent[at : at + step])]
    assert [content for opcode, content in read if opcode is Opcode.TEXT] == [
        content for content, _ in messages
    ]
    assert sum(opcode is Opcode.PING for opcode, _ in read) == sum(cut for _, cut in messages)


@given(CONTENTS, st.sampled_from([Opcode.TEXT, Opcode.PONG, Opcode.PING]), st.booleans())
def test_what_ours_writes_the_other_implementation_reads(
    content: bytes, opcode: Opcode, is_masked: bool
) -> None:
    if opcode is not Opcode.TEXT:
        content = content[:125]
    stream = iter(frame(opcode, content, is_masked=is_masked))

    def read_exact(size: int) -> Generator[None, None, bytes]:
        yield from ()  # it has all of it
        return bytes(next(stream) for _ in range(size))

    parsed = theirs.Frame.parse(read_exact, mask=is_masked)
    with pytest.raises(StopIteration) as ended:
        next(parsed)
    assert (ended.value.value.opcode, ended.value.value.data) == (opcode, content)
    assert not list(stream)


def name_of(value: object) -> str:
    """Of the bytes those that no random mask changes: two processes must name a test alike."""
    return value[:2].hex() if isinstance(value, bytes) else str(value)


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (
            theirs_of(1, b"x", is_masked=False),
            CloseCode.PROTOCOL_ERROR,
        ),  # a client that does not mask
        (theirs_of(2, b"x"), CloseCode.UNSUPPORTED),  # binary
        (b"\xc1\x80", CloseCode.PROTOCOL_ERROR),  # a reserved bit: an extension nobody agreed to
        (b"\x83\x80", CloseCode.PROTOCOL_ERROR),  # no such opcode
        (b"\x8b\x80", CloseCode.PROTOCOL_ERROR),
        (b"\x81\xfe\x00\x7d", CloseCode.PROTOCOL_ERROR),  # 125 in the form for 126 and more
        (b"\x81\xff" + (0xFFFF).to_bytes(8), CloseCode.PROTOCOL_ERROR),
        (b"\x81\xff" + (2**63).to_bytes(8), CloseCode.TOO_LARGE),
        (b"\x81\xfe" + (4097).to_bytes(2), CloseCode.TOO_LARGE),  # refused at its header
        (b"\x89\xfe" + (126).to_bytes(2), CloseCode.PROTOCOL_ERROR),  # a long ping
        (b"\x09\x80", CloseCode.PROTOCOL_ERROR),  # a ping in fragments
        (b"\x80\x80", CloseCode.PROTOCOL_ERROR),  # nothing that it could continue
        (theirs_of(1, b"x", fin=False), CloseCode.PROTOCOL_ERROR),  # a fragment
    ],
    ids=name_of,
)
def test_what_is_refused(sent: bytes, why: CloseCode) -> None:
    ours = reader(largest=4096)
    with pytest.raises(Broken) as refused:
        list(ours.feed(sent))
    assert refused.value.close_code is why


def test_fragments_count_together_and_are_few() -> None:
    ours = reader(largest=100, may_fragment=True)
    list(ours.feed(theirs_of(1, b"x" * 60, fin=False)))
    with pytest.raises(Broken) as refused:
        list(ours.feed(theirs_of(0, b"x" * 41)))
    assert refused.value.close_code is CloseCode.TOO_LARGE

    ours = reader(may_fragment=True)
    list(ours.feed(theirs_of(1, b"", fin=False)))
    most = theirs_of(0, b"", fin=False) * (MOST_FRAGMENTS - 2)
    assert list(ours.feed(most)) == []
    with pytest.raises(Broken):
        list(ours.feed(theirs_of(0, b"", fin=False)))

    ours = reader(may_fragment=True)
    list(ours.feed(theirs_of(1, b"x", fin=False)))
    with pytest.raises(Broken):  # a new message within one
        list(ours.feed(theirs_of(1, b"y")))


def test_the_bound_may_grow_between_messages() -> None:
    """After the proof; a message that came in the same packet is judged by the new bound."""
    ours = reader(largest=10)
    read = []
    for _, content in ours.feed(theirs_of(1, b"proof") + theirs_of(1, b"x" * 50)):
        read.append(len(content))
        ours.largest = 50
    assert read == [5, 50]


def test_closing() -> None:
    [(opcode, content)] = reader(is_masked=False).feed(close_frame(CloseCode.REPLACED, "ä" * 200))
    assert opcode is Opcode.CLOSE
    code, reason = close_reason(content)
    assert code == CloseCode.REPLACED
    assert set(reason) == {"ä"}
    assert close_reason(b"\x03") == (0, "")


def test_the_accepted_key_is_the_standards_example() -> None:
    """RFC 6455 section 1.3."""
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
