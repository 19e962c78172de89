"""Is this quote of a TDX trust domain authentic?  DCAP 1 to 13 of :mod:`hermetic.verify.dcap`; here 9."""

from __future__ import annotations

from functools import partial

from hermetic.errors import NotAuthentic
from hermetic.evidence import TDX, TdxQuote
from hermetic.verify._checks import Checklist
from hermetic.verify._event_log import check_event_logs
from hermetic.verify.dcap import Tee, verify_quote
from hermetic.verify.intel_collateral import TcbInfo
from hermetic.verify.intel_tcb import TdxVersions, module_of


def _check_module(checks: Checklist, quote: TdxQuote, tcb_info: TcbInfo) -> TdxVersions:
    # 9. The module that isolates the domain is Intel's, of a major version that Intel knows.
    body = quote.body
    with checks.step(
        "tdx.module",
        "The TDX module is Intel's",
        section="DCAP 9: Intel DCAP, 4.1.2.4.11",
        expected="signer and attributes as in the TCB info, no attribute set",
        got=f"version {body.tee_tcb_svn[1]}.{body.tee_tcb_svn[0]}, measured {body.mr_seam[:8].hex()}…",
    ):
        module = module_of(tcb_info, body.tee_tcb_svn)
        if body.mr_signer_seam != bytes.fromhex(module.mrsigner):
            raise NotAuthentic(f"signer {body.mr_signer_seam[:8].hex()}…")
        # Intel's own library asks for zeros here, whatever the mask says.
        if any(body.seam_attributes) or any(bytes.fromhex(module.attributes)):
            raise NotAuthentic(f"attributes {body.seam_attributes.hex()}")
    return TdxVersions(launched=body.tee_tcb_svn, running=body.tee_tcb_svn2)


_TDX = Tee(
    name=TDX,
    product="Intel TDX",
    subject="a TDX trust domain",
    versions="4 or 5",
    parse=TdxQuote.from_bytes,
    measured=lambda quote: (quote.body.mr_td, quote.body.mr_config_id),
    check_module=_check_module,
    check_logs=check_event_logs,
)

verify_tdx = partial(verify_quote, _TDX)
