"""What vendors say about evidence: certificates, revocation lists, TCB info, manifests.  Fetched, kept, never believed.

    endorser = Endorser(cache_dir)
    verify(endorser.endorse(bundle, now=now), roots=…, now=now, report_data=…)

The network is asked for bytes and trusted for nothing: a document counts because a vendor signed it, and that is for
:mod:`hermetic.verify` to say.
"""

from hermetic.sources.collateral.amd import vcek_url
from hermetic.sources.collateral.cache import default_cache
from hermetic.sources.collateral.endorser import Endorsed, Endorser
from hermetic.sources.collateral.fetch import Patience
from hermetic.sources.collateral.question import Missing, Period
from hermetic.sources.collateral.services import Services
from hermetic.sources.collateral.stapled import StapledDevices, StapledSource
from hermetic.sources.collateral.supply import CollateralUnavailable, Obtained, Origin

__all__ = [
    "CollateralUnavailable",
    "Endorsed",
    "Endorser",
    "Missing",
    "Obtained",
    "Origin",
    "Patience",
    "Period",
    "Services",
    "StapledDevices",
    "StapledSource",
    "default_cache",
    "vcek_url",
]
