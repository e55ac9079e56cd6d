"""Corrections and withdrawals: exactly those who have it are told, each under their own mail."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from email import message_from_bytes, policy
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, update

from distributor.core.address import key_of
from distributor.core.audience import ExclusionReason
from distributor.core.model import AudienceRule, Wave, WaveKind
from distributor.core.states import DeliveryState, WaveState
from distributor.desk.releases import Changes, read_text
from distributor.desk.sequels import Text
from distributor.desk.suppressions import SuppressionOrder
from distributor.desk.waves import Decision, Target
from distributor.errors import Refused
from distributor.review import Filter
from distributor.store import lists, waves
from distributor.store.schema import contacts
from distributor.store.waves import Order
from tests.flow.press import STATEMENT, Press, Receiver, receiver
from tests.mail.scripted import CUT, Scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path

    from sqlalchemy import Connection

    from distributor.mail.sink import Received

PEOPLE = 40
REASON = "One figure was wrong."
BETTER = STATEMENT.replace("one sailing in four", "one sailing in five")


@pytest.fixture
def far_end(tmp_path: Path) -> Iterator[Receiver]:
    with receiver(tmp_path / "mails") as found:
        yield found


@pytest.fixture
def press(migrated_url: str, tmp_path: Path, far_end: Receiver) -> Iterator[Press]:
    """A press office whose mail server takes so few mails a second that a hold comes in between."""
    limits = {"relay__per_second": 20, "sending__batch_size": 8}
    with Press(tmp_path, far_end.port, url=migrated_url, **limits) as made:
        yield made


def text(press: Press, words: str = BETTER, kind: WaveKind = WaveKind.CORRECTION) -> Text:
    path = press.folder / "better.txt"
    path.write_text(words, encoding="utf-8")
    reading = read_text(path, received=press.now().date(), zone="Europe/London", language="en")
    return Text(reading, REASON, kind)


def corrected(press: Press, ref: str, words: str = BETTER) -> None:
    """Order a correction and approve it."""
    press.app.sequels.rewrite(ref, text(press, words), by="tester", now=press.now())
    press.app.releases.approve(ref, by="tester", now=press.now())


def parsed(mail: Received) -> EmailMessage:
    return message_from_bytes(mail.data, policy=policy.default)


def plain_text(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return part.get_content()


def by_address(mails: list[Received]) -> dict[str, EmailMessage]:
    found = {mail.rcpt_tos[0]: parsed(mail) for mail in mails}
    assert len(found) == len(mails)
    return found


async def half_sent(press: Press, far_end: Receiver) -> tuple[str, dict[str, EmailMessage]]:
    """A release held half-way; gives its reference and the mails that arrived, by address."""
    ref = press.wave(PEOPLE)
    async with press.working():
        await press.until(lambda: far_end.count() >= PEOPLE // 4)
        press.hold(ref)
        await press.until(lambda: not press.counts(ref).get("sending"))
        await asyncio.sleep(0.3)
    before = by_address(far_end.received())
    assert press.view(ref).wave.state is WaveState.HELD
    assert 0 < len(before) < PEOPLE
    assert press.counts(ref)["accepted"] == len(before)
    return ref, before


def change_the_lists(press: Press, had: list[str], not_had: list[str]) -> dict[str, str]:
    """What happens on a busy desk meanwhile; gives the words for what became of whom."""
    app, now = press.app, press.now()
    removed, moved, gone, objects = had[:4]
    app.lists.remove("press", [removed, not_had[0]], by="tester", now=now)
    app.contacts.edit(moved, {"address": "moved@elsewhere.example"}, by="tester", now=now)
    app.database.write(
        lambda tx: tx.execute(delete(contacts).where(contacts.c.address_key == key_of(gone)))
    ).result()
    order = SuppressionOrder(objects, "objection", "wrote to us")
    app.suppressions.add(order, by="tester", now=now)
    app.contacts.add({"address": "new@paper.example", "name": "New"}, by="tester", now=now)
    app.lists.add("press", ["new@paper.example"], by="tester", now=now)
    return {"removed": removed, "moved": moved, "gone": gone, "objects": objects}


async def sent_out(press: Press, ref: str) -> None:
    async with press.working():
        await press.until(lambda: press.is_finished(ref))


def test_a_correction_goes_to_exactly_those_who_have_it_whatever_the_lists_say_now(
    press: Press, far_end: Receiver
) -> None:
    ref, before = asyncio.run(half_sent(press, far_end))
    queued = {line.address for line in press.log(ref, DeliveryState.QUEUED)}
    who = change_the_lists(press, sorted(before), sorted(queued))
    corrected(press, ref)
    old = press.app.review.release(ref).waves[0]
    assert old.wave.state is WaveState.CANCELLED
    assert old.counts[DeliveryState.CANCELLED] == PEOPLE - len(before)
    planned = press.app.sequels.schedule(ref, by="tester", now=press.now())
    assert planned.recipients == len(before) - 1
    asyncio.run(sent_out(press, ref))

    mails = far_end.received()
    after = by_address(mails[len(before) :])
    assert set(after) == set(before) - {who["objects"]}
    for address, mail in after.items():
        earlier = before[address]["Message-ID"]
        assert mail["In-Reply-To"] == earlier
        assert mail["References"] == earlier
        assert mail["Message-ID"] != earlier
        assert mail["Subject"] == f"CORRECTION: {before[address]['Subject']}"
        assert "one sailing in five" in plain_text(mail)
    view, members = press.app.review.audience(ref)
    assert view is not None
    assert [(m.address, m.reason) for m in members if m.reason] == [
        (who["objects"], ExclusionReason.SUPPRESSED.value)
    ]
    print(  # noqa: T201 - the figure
        f"{len(before)} of {PEOPLE} had it; {len(after)} corrected, all under their own mail; "
        f"1 objected; 0 others"
    )


def test_who_had_not_got_it_gets_the_new_text_as_a_release_and_nobody_the_old(
    press: Press, far_end: Receiver
) -> None:
    ref, before = asyncio.run(half_sent(press, far_end))
    corrected(press, ref)
    with pytest.raises(Refused, match="goes first to those who have the earlier one"):
        press.app.waves.schedule(ref, Target(["press"], at="now"), by="tester", now=press.now())
    press.app.sequels.schedule(ref, by="tester", now=press.now())
    asyncio.run(sent_out(press, ref))
    target = Target(["press"], at="now")
    planned = press.app.waves.schedule(ref, target, by="tester", now=press.now())
    assert (planned.recipients, planned.had_before) == (PEOPLE - len(before), 0)
    asyncio.run(sent_out(press, ref))
    mails = [parsed(mail) for mail in far_end.received()]
    assert len(mails) == PEOPLE + len(before)
    late = mails[2 * len(before) :]
    assert {mail["To"].addresses[0].addr_spec for mail in late}.isdisjoint(before)
    for mail in late:
        assert "In-Reply-To" not in mail
        assert not mail["Subject"].startswith("CORRECTION")
    for mail in mails[len(before) :]:
        assert "one sailing in five" in plain_text(mail)


def test_a_second_correction_and_a_withdrawal_follow_the_whole_chain(
    press: Press, far_end: Receiver
) -> None:
    ref = press.wave(3)
    asyncio.run(sent_out(press, ref))
    for words in (BETTER, BETTER.replace("9,000", "9,500")):
        corrected(press, ref, words)
        press.app.sequels.schedule(ref, by="tester", now=press.now())
        asyncio.run(sent_out(press, ref))
    done = press.app.sequels.withdraw(ref, "It is not ours.", by="tester", now=press.now())
    assert done.audience.recipients == 3
    asyncio.run(sent_out(press, ref))
    mails = far_end.received()
    assert len(mails) == 12
    chains: dict[str, list[str]] = {}
    for mail in mails:
        message = parsed(mail)
        chain = chains.setdefault(mail.rcpt_tos[0], [])
        assert message.get("References", "").split() == chain
        assert message["In-Reply-To"] == (chain[-1] if chain else None)
        chain.append(message["Message-ID"])
    last = parsed(mails[-1])
    plain = plain_text(last)
    assert last["Subject"].startswith("WITHDRAWAL: Ferry operators failed")
    assert plain.startswith("WITHDRAWN: not for use")
    assert "It is not ours." in plain
    assert "A timetable is a promise" not in plain


def test_a_withdrawal_of_a_half_sent_release_stops_the_rest_and_tells_those_who_have_it(
    press: Press, far_end: Receiver
) -> None:
    ref, before = asyncio.run(half_sent(press, far_end))
    who = change_the_lists(press, sorted(before), [line.address for line in press.log(ref)][-2:])
    done = press.app.sequels.withdraw(ref, "It is not ours.", by="tester", now=press.now())
    assert done.stopped is not None
    assert done.stopped.state is WaveState.CANCELLED
    excluded = [(each.candidate.recipient.address, each.reason) for each in done.audience.excluded]
    assert excluded == [(who["objects"], ExclusionReason.SUPPRESSED)]
    asyncio.run(sent_out(press, ref))
    mails = far_end.received()
    after = by_address(mails[len(before) :])
    assert set(after) == set(before) - {who["objects"]}
    for address, mail in after.items():
        assert mail["In-Reply-To"] == before[address]["Message-ID"]
    for order in ("approve", "edit", "correct", "schedule", "withdraw"):
        with pytest.raises(Refused, match="withdrawn"):
            give(press, ref, order)


def give(press: Press, ref: str, order: str) -> None:
    """Give an order that a withdrawn release refuses."""
    app, now = press.app, press.now()
    orders = {
        "approve": lambda: app.releases.approve(ref, by="tester", now=now),
        "edit": lambda: app.releases.edit(ref, Changes(headline="Other"), by="tester", now=now),
        "correct": lambda: app.sequels.rewrite(ref, text(press), by="tester", now=now),
        "schedule": lambda: app.waves.schedule(
            ref, Target(["press"], at="now"), by="tester", now=now
        ),
        "withdraw": lambda: app.sequels.withdraw(ref, "Twice.", by="tester", now=now),
    }
    orders[order]()


def test_a_resend_goes_to_the_refused_at_their_mended_address_and_to_nobody_else(
    migrated_url: str, tmp_path: Path
) -> None:
    no, yes = b"550 5.7.1 not here\r\n", b"250 2.1.5 ok\r\n"
    server = Scripted(answers={"rcpt": [no, no, yes]})

    async def story() -> None:
        async with server:
            with Press(tmp_path, server.port, url=migrated_url, relay__connections=1) as press:
                ref = press.wave(4)
                await sent_out(press, ref)
                refused = [line.address for line in press.log(ref, DeliveryState.REFUSED)]
                assert len(refused) == 2
                now = press.now()
                changes = {"address": "mended@paper.example"}
                press.app.contacts.edit(refused[0], changes, by="tester", now=now)
                order = SuppressionOrder(refused[1], "objection", "wrote to us")
                press.app.suppressions.add(order, by="tester", now=now)
                planned = press.app.sequels.resend(ref, by="tester", now=now)
                assert planned.recipients == 1
                excluded = [each.candidate.recipient.address for each in planned.excluded]
                assert excluded == [refused[1]]
                assert press.view(ref).wave.kind is WaveKind.RESEND
                await sent_out(press, ref)
                lines = press.log(ref, DeliveryState.ACCEPTED)
                assert [line.address for line in lines][-1] == "mended@paper.example"
                assert len(lines) == 3
                with pytest.raises(Refused, match="Nobody would get it"):
                    press.app.sequels.resend(ref, by="tester", now=press.now())

    asyncio.run(story())


def test_a_lost_answer_counts_as_having_it_and_the_old_text_is_not_sent_again(
    migrated_url: str, tmp_path: Path
) -> None:
    ok = b"250 2.0.0 ok\r\n"
    server = Scripted(answers={"dot": [CUT, ok], "rcpt": [ok, b"550 5.7.1 no\r\n", ok]})

    async def story() -> None:
        async with server:
            with Press(tmp_path, server.port, url=migrated_url, relay__connections=1) as press:
                ref = press.wave(4)
                await sent_out(press, ref)
                assert press.counts(ref) == {"uncertain": 1, "refused": 1, "accepted": 2}
                doubtful = press.log(ref, DeliveryState.UNCERTAIN)[0].address
                refused = press.log(ref, DeliveryState.REFUSED)[0].address
                corrected(press, ref)
                with pytest.raises(Refused, match="its old text is not sent any more"):
                    press.app.waves.settle(
                        ref, doubtful, Decision.RESEND, by="tester", now=press.now()
                    )
                planned = press.app.sequels.schedule(ref, by="tester", now=press.now())
                assert planned.recipients == 3
                await sent_out(press, ref)
                newest = press.view(ref).wave.version_id
                told = [
                    line.address for line in press.app.review.log(ref, Filter((), None, newest))
                ]
                assert doubtful in told
                assert refused not in told
                assert len(told) == 3

    asyncio.run(story())


def advance_copies(press: Press, people: list[str]) -> str:
    """A release embargoed for an hour, sent in advance to these, who accepted the terms."""
    press.app.lists.create("early", by="tester", now=press.now())
    for address in people:
        press.app.contacts.add({"address": address}, by="tester", now=press.now())
    press.app.lists.add("early", people, by="tester", now=press.now())
    agreed = update(contacts).where(contacts.c.address_key.in_(people))
    terms = agreed.values(terms_accepted_at=press.now())
    press.app.database.write(lambda tx: tx.execute(terms)).result()
    path = press.folder / "statement.txt"
    path.write_text(STATEMENT, encoding="utf-8")
    reading = read_text(path, received=press.now().date(), zone="Europe/London", language="en")
    at = (press.now() + timedelta(hours=1)).replace(microsecond=0)
    version = press.app.releases.bring_in(
        reading,
        sender=press.app.sender(),
        embargo=f"{at:%Y-%m-%d %H:%M:%S} UTC",
        language=None,
        by="tester",
        now=press.now(),
    )
    press.app.releases.approve(version.ref, by="tester", now=press.now())

    def work(tx: Connection) -> None:
        wave = Wave(
            id=0,
            release_id=version.release_id,
            version_id=version.id,
            kind=WaveKind.ADVANCE,
            state=WaveState.PLANNED,
            send_at=press.now(),
            audience=AudienceRule((lists.get(tx, "early").id,)),
        )
        waves.plan(tx, wave, Order("tester", press.now()))

    press.app.database.write(work).result()
    return version.ref


def test_i1_before_the_lift_a_correction_goes_under_the_embargo_and_by_consent_alone(
    press: Press, far_end: Receiver
) -> None:
    ref = advance_copies(press, ["ann@a.example", "bob@b.example", "eve@e.example"])
    asyncio.run(sent_out(press, ref))
    before = by_address(far_end.received())
    assert len(before) == 3
    taken_back = update(contacts).where(contacts.c.address_key == "eve@e.example")
    change = taken_back.values(terms_accepted_at=None)
    press.app.database.write(lambda tx: tx.execute(change)).result()
    corrected(press, ref)
    also = ["early"]
    with pytest.raises(Refused, match="before the lift it goes to those alone"):
        press.app.sequels.schedule(ref, also=also, by="tester", now=press.now())
    press.app.sequels.schedule(ref, by="tester", now=press.now())
    asyncio.run(sent_out(press, ref))
    assert press.view(ref).wave.before_lift
    after = by_address(far_end.received()[3:])
    assert set(after) == {"ann@a.example", "bob@b.example"}
    for address, mail in after.items():
        assert mail["In-Reply-To"] == before[address]["Message-ID"]
        assert re.match(r"EMBARGOED \d\d:\d\d \w+ \d+ \w+: CORRECTION: Ferry", mail["Subject"])
        for part in mail.iter_parts():
            shown = re.sub(r"<style.*?</style>|<[^>]*>", "", part.get_content(), flags=re.DOTALL)
            assert "EMBARGOED until" in shown
    # The same text as a release waits for the lift.
    target = Target(["early"])
    waiting = press.app.waves.schedule(ref, target, by="tester", now=press.now()).wave
    assert waiting.send_at == waiting.embargo_at
    assert not waiting.before_lift
    done = press.app.sequels.withdraw(ref, "It is not ours.", by="tester", now=press.now())
    assert done.audience.recipients == 2
    asyncio.run(sent_out(press, ref))
    last = by_address(far_end.received()[5:])
    assert set(last) == {"ann@a.example", "bob@b.example"}
    for mail in last.values():
        assert re.match(r"EMBARGOED [^:]*:\d\d [^:]*: WITHDRAWAL: Ferry", mail["Subject"])
        assert len(mail["References"].split()) == 2
