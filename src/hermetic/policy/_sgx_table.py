"""The ``[sgx]`` table of a policy: every knob, its type and its strict default."""

from __future__ import annotations

from typing import Annotated

import msgspec

from hermetic.policy._intel import Hex16, Hex32, Hex64, IntelPolicy, StateMask

XFRM_KNOWN = 0x61AFF
"""x87, SSE, AVX, MPX, AVX-512, PKRU, CET and AMX: the extended state that enclaves of today are given."""

Number16 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
AttributeBit = Annotated[int, msgspec.Meta(ge=3, le=63)]
MiscBit = Annotated[int, msgspec.Meta(ge=0, le=31)]


class SgxPolicy(IntelPolicy, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wanted of an enclave, beside :class:`IntelPolicy`.  A plural is a list of alternatives.

    An enclave is named by its code (``mr_enclaves``), or by its signer together with product and version, or by both:
    whatever is stated must hold.  Product, version and family are the signer's word, and the same code can be signed by
    anybody, so they mean something beside ``mr_signers`` only.  ``config_ids`` and ``config_svn_min`` are about what
    the host stated when it made the enclave.

    Bits of the attributes that hand out keys or that nobody has named refuse unless ``allow_attribute_bits`` names them
    by number; so does every bit of MISCSELECT (``allow_misc_bits``).
    """

    # DCAP 16
    allow_debug: bool = False
    allow_attribute_bits: tuple[AttributeBit, ...] = ()
    xfrm_mask: StateMask = XFRM_KNOWN
    allow_misc_bits: tuple[MiscBit, ...] = ()
    # DCAP 17
    mr_enclaves: tuple[Hex32, ...] | None = None
    mr_signers: tuple[Hex32, ...] | None = None
    isv_prod_ids: tuple[Number16, ...] | None = None
    isv_svn_min: Number16 | None = None
    isv_ext_prod_ids: tuple[Hex16, ...] | None = None
    isv_family_ids: tuple[Hex16, ...] | None = None
    config_ids: tuple[Hex64, ...] | None = None
    config_svn_min: Number16 = 0
