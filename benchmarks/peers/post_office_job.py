"""The job with django-post-office: ``queue`` stores the mails, ``send`` is its own command.

Usage: python post_office_job.py queue|send FOLDER PORT. What is measured is ``send``, which is
``manage.py send_queued_mail`` and nothing else.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import Final

import django
from django.conf import settings
from django.core.management import call_command

_PART: Final = 1_000
_PROCESSES: Final = int(os.environ.get("POST_OFFICE_PROCESSES", "1"))


def configure(folder: Path, port: int) -> None:
    """Set Django up on SQLite in ``folder``, mailing to that port."""
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": folder / "post_office.db",
                "OPTIONS": {
                    "timeout": 20,
                    "transaction_mode": "IMMEDIATE",
                    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
                },
            }
        },
        INSTALLED_APPS=["django.contrib.contenttypes", "post_office"],
        TEMPLATES=[
            {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True},
        ],
        CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=port,
        DEFAULT_FROM_EMAIL="Harbour Commission <press@harbours.example>",
        POST_OFFICE={
            "BATCH_SIZE": int(os.environ.get("POST_OFFICE_BATCH", "1000")),
            "THREADS_PER_PROCESS": int(os.environ.get("POST_OFFICE_THREADS", "10")),
            "BATCH_DELIVERY_TIMEOUT": 900,
            "MESSAGE_ID_ENABLED": True,
            "MESSAGE_ID_FQDN": "harbours.example",
            "LOG_LEVEL": int(os.environ.get("POST_OFFICE_LOG", "2")),
        },
        USE_TZ=True,
        SECRET_KEY="only for this benchmark",  # noqa: S106 - it signs nothing
    )
    django.setup()


def queue(folder: Path) -> None:
    """Store one mail per recipient, by template, to be rendered when it is sent."""
    from post_office import mail  # noqa: PLC0415 - only after django.setup()
    from post_office.models import EmailTemplate  # noqa: PLC0415 - as above

    call_command("migrate", verbosity=0)
    template = EmailTemplate.objects.create(
        name="release",
        subject=(folder / "subject.txt").read_text(encoding="utf-8"),
        content=(folder / "text.txt").read_text(encoding="utf-8"),
        html_content=(folder / "body.html").read_text(encoding="utf-8"),
    )
    with sqlite3.connect(folder / "job.db") as job:
        rows = job.execute(
            "SELECT id, name, address, outlet FROM recipients ORDER BY id"
        ).fetchall()
    for start in range(0, len(rows), _PART):
        mail.send_many(
            [
                {
                    "recipients": f"{name} <{address}>",
                    "template": template,
                    "context": {"name": name, "address": address, "outlet": outlet},
                    "headers": {
                        "List-Id": "<releases.harbours.example>",
                        "List-Unsubscribe": "<mailto:press@harbours.example"
                        f"?subject=unsubscribe%20{number}>",
                    },
                    "render_on_delivery": os.environ.get("POST_OFFICE_LAZY", "1") == "1",
                }
                for number, name, address, outlet in rows[start : start + _PART]
            ]
        )


def main() -> None:
    """Queue or send."""
    order, folder, port = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    configure(folder, port)
    if order == "queue":
        queue(folder)
    else:
        call_command(
            "send_queued_mail", processes=_PROCESSES, lockfile=str(folder / "post_office.lock")
        )


if __name__ == "__main__":
    main()
