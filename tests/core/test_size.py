"""How large a mail is, and what is said of it."""

from __future__ import annotations

from base64 import encodebytes

import pytest

from distributor.core.model import Attachment
from distributor.core.size import (
    MAIL_WARNING,
    SizeLimit,
    encoded_size,
    findings,
    require_size,
    size_findings,
    size_words,
)
from distributor.errors import Refused


@pytest.mark.parametrize("octets", [1, 2, 3, 56, 57, 58, 114, 1000, 9_999])
def test_the_size_of_an_encoding_is_known_before(octets: int) -> None:
    written = encodebytes(bytes(octets)).replace(b"\n", b"\r\n")
    assert encoded_size(octets) == len(written)


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (812, "812 bytes"),
        (1_000, "1 kB"),
        (41_499, "41 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (13_685_000, "13.7 MB"),
    ],
)
def test_a_size_is_said_as_people_say_it(octets: int, words: str) -> None:
    assert size_words(octets) == words


def test_statement_52_a_desk_is_warned_of_mail_that_newsrooms_refuse() -> None:
    assert findings(0, MAIL_WARNING) == ()
    (finding,) = findings(0, MAIL_WARNING + 1)
    assert (finding.code, finding.severity) == ("mail-size", "warning")
    assert "newsrooms refuse mail of more than 10 to 25 MB" in finding.message
    assert "a link would reach everybody" in finding.message
    half = Attachment("a" * 64, "a.pdf", "application/pdf", 2_000_000)
    assert size_findings([half]) == ()
    assert size_findings([half, half]) == findings(0, 2 * encoded_size(2_000_000))


def test_statement_52_the_least_limit_counts_and_is_named() -> None:
    limits = [SizeLimit(25_000_000), SizeLimit(10_240_000, "so relay says")]
    require_size(10_000_000, limits)
    with pytest.raises(Refused) as refused:
        require_size(10_235_000, limits)
    assert str(refused.value) == (
        "Each mail would have 10.2 MB; 10.2 MB is the most (so relay says)."
    )
    assert refused.value.remedy == "Put the file on your web site and give a link instead."
    with pytest.raises(Refused, match="sending"):
        require_size(25_000_000, limits[:1])
