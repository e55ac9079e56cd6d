from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.core.audience import AudienceHash, Candidate, ExclusionReason, exclusion
from distributor.core.model import Recipient, WaveKind

ANN = Candidate(1, "ann@paper.example", Recipient("ann@paper.example"))

SUPPRESSED = {"suppression": "objection"}
LEFT_OUT = {"excluded_by": "Trade"}
HAS_IT = {"has_version": True}
TERMS = {"accepted_terms": True}


@pytest.mark.parametrize(
    ("facts", "kind", "reason", "evidence"),
    [
        ({}, WaveKind.GENERAL, None, None),
        (SUPPRESSED, WaveKind.GENERAL, ExclusionReason.SUPPRESSED, "objection"),
        (LEFT_OUT, WaveKind.GENERAL, ExclusionReason.EXCLUDED_LIST, "on the list Trade"),
        (HAS_IT, WaveKind.GENERAL, ExclusionReason.ALREADY_SENT, "has this version already"),
        ({}, WaveKind.ADVANCE, ExclusionReason.NO_TERMS, "no recorded acceptance"),
        (TERMS, WaveKind.ADVANCE, None, None),
        # The first reason that applies is the one that is told.
        (SUPPRESSED | LEFT_OUT | HAS_IT, WaveKind.ADVANCE, ExclusionReason.SUPPRESSED, "objection"),
        (LEFT_OUT | HAS_IT, WaveKind.ADVANCE, ExclusionReason.EXCLUDED_LIST, "on the list Trade"),
        (HAS_IT, WaveKind.ADVANCE, ExclusionReason.NO_TERMS, "no recorded acceptance"),
        (
            HAS_IT | TERMS,
            WaveKind.ADVANCE,
            ExclusionReason.ALREADY_SENT,
            "has this version already",
        ),
        (SUPPRESSED | TERMS, WaveKind.ADVANCE, ExclusionReason.SUPPRESSED, "objection"),
    ],
)
def test_a_candidate_is_left_out_for_the_first_reason_that_applies(
    facts: dict[str, object],
    kind: WaveKind,
    reason: ExclusionReason | None,
    evidence: str | None,
) -> None:
    answer = exclusion(ANN._replace(**facts), kind)
    assert (answer.reason if answer else None) == reason
    assert (answer.evidence if answer else None) == evidence


def test_an_objection_beats_every_list_and_every_kind() -> None:
    for kind, terms, left_out in product(WaveKind, (True, False), (None, "Trade")):
        candidate = ANN._replace(
            suppression="objection", accepted_terms=terms, excluded_by=left_out
        )
        answer = exclusion(candidate, kind)
        assert answer is not None
        assert answer.reason is ExclusionReason.SUPPRESSED


def test_i10_an_advance_copy_goes_only_to_who_accepted_terms() -> None:
    assert exclusion(ANN, WaveKind.ADVANCE) is not None
    assert exclusion(ANN._replace(accepted_terms=True), WaveKind.ADVANCE) is None


def hashed(keys: list[str]) -> str:
    total = AudienceHash()
    for key in keys:
        total.add(key)
    return total.hexdigest()


@given(st.lists(st.emails(), unique=True), st.randoms())
def test_the_hash_of_an_audience_does_not_depend_on_order(keys: list[str], random: object) -> None:
    shuffled = list(keys)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert hashed(shuffled) == hashed(keys)


@given(st.lists(st.emails(), unique=True, min_size=1), st.data())
def test_the_hash_tells_who_is_missing_or_twice(keys: list[str], data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(keys))
    assert hashed([key for key in keys if key != one]) != hashed(keys)
    assert hashed([*keys, one]) != hashed(keys)


def test_the_hash_is_64_digits_even_of_nobody() -> None:
    assert hashed([]) == "0" * 64
    assert len(hashed(["ann@paper.example"])) == 64
