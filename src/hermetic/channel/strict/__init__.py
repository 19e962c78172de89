"""The strict profile: a sealed HTTP exchange that cannot be cut, moved or replayed (docs/spec/strict.md).

client                                          server
RequestSealer(recipient, …)                     RequestOpener(key, …)
  .outer_fields                                   .push(bytes) → parts of the body,  .head
  .push(body) / .finish() → bytes      ──→        .finish()    the handler may run from here on
  .response_opener() → ResponseOpener             .response_sealer() → ResponseSealer
    .push(bytes) → parts,  .head       ←──          .start(head) / .push(data) / .finish(data) → bytes
    .finish()    it was everything
"""

from hermetic.channel.strict._head import Fields, RequestHead, ResponseHead, sealable
from hermetic.channel.strict._keys import Recipient, ServerKey
from hermetic.channel.strict._request import (
    CONTENT_TYPE,
    KEY_ID_HEADER,
    METHOD_HEADER,
    REFUSED_TYPE,
    UNKNOWN_KEY_TYPE,
    RequestOpener,
    RequestSealer,
    seal_request,
)
from hermetic.channel.strict._response import ResponseOpener, ResponseSealer

__all__ = [
    "CONTENT_TYPE",
    "KEY_ID_HEADER",
    "METHOD_HEADER",
    "REFUSED_TYPE",
    "UNKNOWN_KEY_TYPE",
    "Fields",
    "Recipient",
    "RequestHead",
    "RequestOpener",
    "RequestSealer",
    "ResponseHead",
    "ResponseOpener",
    "ResponseSealer",
    "ServerKey",
    "seal_request",
    "sealable",
]
