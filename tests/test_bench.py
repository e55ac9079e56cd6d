"""The benchmark's own arithmetic: medians, ratios, goals, the picture; how the job is handed on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks import chart, job, newsroom, report
from benchmarks.bench import Sample
from benchmarks.delays import percentile
from benchmarks.processes import Failed

if TYPE_CHECKING:
    from pathlib import Path


def rates(**medians: float) -> dict[str, list[Sample]]:
    """Three runs of each row, a tenth apart."""
    return {
        name.replace("__", "/").replace("_", "-"): [
            Sample(value * share, cpu_us=50.0) for share in (1.1, 0.9, 1.0)
        ]
        for name, value in medians.items()
    }


def test_a_row_is_its_median_its_spread_and_its_ratio_to_the_anchor() -> None:
    found = report.rows(rates(ours__sqlite=12_000, smtp_source=10_000))

    ours, anchor = found
    assert (ours["name"], anchor["name"]) == ("ours/sqlite", "smtp-source")
    assert (ours["median"], ours["min"], ours["max"], ours["runs"]) == (12_000, 10_800, 13_200, 3)
    assert ours["ratio_to_smtp_source"] == 1.2
    assert ours["cpu_us"] == 50.0


def test_a_row_with_an_anchor_of_its_own_way_is_compared_to_that_one() -> None:
    samples = rates(smtp_source=10_000) | {"ours/postfix": [Sample(600, 400.0, beside=500)]}

    row = report.rows(samples)[0]

    assert row["ratio_to_smtp_source"] == 1.2
    assert row["smtp_source_same_way"] == 500


def test_what_was_not_measured_has_no_row_and_no_ratio() -> None:
    found = report.rows(rates(ours__sqlite=12_000) | {"nodemailer": []})

    assert [row["name"] for row in found] == ["ours/sqlite"]
    assert found[0]["ratio_to_smtp_source"] is None
    assert report.goals(found) == []


@pytest.mark.parametrize(
    ("ours", "met"),
    [(10_000, [True, True]), (9_900, [False, True]), (9_000, [False, False])],
)
def test_goals_are_met_or_missed_by_the_medians(ours: float, met: list[bool]) -> None:
    found = report.rows(rates(ours__sqlite=ours, smtp_source=10_000, nodemailer=950))

    assert [goal.met for goal in report.goals(found)] == met


def test_memory_must_not_grow_with_the_audience() -> None:
    samples = {"rss-10k-mb": [Sample(90.0)], "rss-1M-mb": [Sample(100.0)]}

    grown, whole = report.goals(report.rows(samples))

    assert (grown.reached, grown.met) == (1.111, False)
    assert (whole.limit, whole.met) == (150, True)


@pytest.mark.parametrize(("share", "value"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.0, 1.0)])
def test_percentile_is_a_value_that_was_measured(share: float, value: float) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], share) == value


def test_the_picture_is_well_formed_and_names_every_row() -> None:
    found = report.rows(rates(ours__sqlite=12_000, smtp_source=10_000))

    picture = chart.svg(found, report.rate_goals(found))

    texts = "".join(ET.fromstring(picture).itertext())  # noqa: S314 - made just above
    assert "ours/sqlite" in texts
    assert "1.0 × smtp-source" in texts


def test_results_name_every_missed_goal_and_keep_the_notes() -> None:
    results: dict[str, Any] = {
        "machine": {"processor": "two cores"},
        "rows": report.rows(rates(ours__sqlite=5_000, smtp_source=10_000)),
        "command": "make bench",
        "at": "today",
        "sizes": {"octets": 9_000, "mails": 50_000, "slow": 10_000},
        "left_out": {"nodemailer": "no node"},
    }

    page = report.markdown(results, "## Notes\n\nKept.")

    assert "| ours/sqlite to smtp-source | ≥ 1 | 0.5 | **missed** |" in page
    assert "- nodemailer: no node" in page
    assert page.endswith("Kept.\n")


def test_the_newsroom_is_the_same_in_parts_as_in_one() -> None:
    whole = list(newsroom.people(50))

    assert whole == [*newsroom.people(20, of=50), *newsroom.people(30, 20, of=50)]
    assert len({address for _, address, _ in whole}) == 50


def test_the_peers_get_our_own_mail_with_its_slots_open(tmp_path: Path) -> None:
    preview: Any = SimpleNamespace(
        subject="News",
        text="To Ann (a@b.example, The Echo)",
        html="<p>Ann a@b.example The Echo</p>",
    )

    job.write_material(tmp_path, preview, addressed_to=("Ann", "a@b.example", "The Echo"))

    text = (tmp_path / "text.txt").read_text(encoding="utf-8")
    assert text == "To {{ name }} ({{ address }}, {{ outlet }})"
    with pytest.raises(Failed):
        job.write_material(tmp_path, preview, addressed_to=("Bea", "a@b.example", "The Echo"))
