"""Is this quote of an SGX enclave authentic?  DCAP 1 to 12 of :mod:`hermetic.verify.dcap`, without 9."""

from __future__ import annotations

from functools import partial

from hermetic.evidence import SGX, SgxQuote
from hermetic.verify.dcap import Tee, verify_quote

_SGX = Tee(
    name=SGX,
    product="Intel SGX",
    subject="an SGX enclave",
    versions="3, 4 or 5",
    parse=SgxQuote.from_bytes,
    measured=lambda quote: (quote.body.mr_enclave, quote.body.config_id),
    check_module=lambda *_: None,
    check_logs=lambda *_: None,
)

verify_sgx = partial(verify_quote, _SGX)
