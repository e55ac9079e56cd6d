"""The resolver: what the DNS says under a name. The only importer of dnspython."""

from __future__ import annotations

from typing import Final

import dns.asyncresolver
import dns.exception
import dns.resolver

from distributor.errors import LookupFailed

#: How long the name servers are waited for in all, in seconds.
_PATIENCE_S: Final = 5.0


async def text_records(name: str, resolver: dns.asyncresolver.Resolver | None = None) -> list[str]:
    """The TXT records of ``name``, each put together from its strings; [] when it has none.

    ``resolver`` is the system's unless one is given.

    Raises:
        LookupFailed: no name server answers, or none is known.

    """
    try:
        asked = resolver or dns.asyncresolver.Resolver()
        answer = await asked.resolve(name, "TXT", lifetime=_PATIENCE_S)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError) as error:
        raise LookupFailed(f"the DNS could not be asked for {name}: {error}") from None
    return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
