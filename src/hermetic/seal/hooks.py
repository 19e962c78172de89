"""What callers hand in: how to get keys and signatures, and whom to tell about progress."""

from __future__ import annotations

from collections.abc import Callable

from hermetic.seal.age import FileKey, Header
from hermetic.seal.bundle import Bundle
from hermetic.seal.version import SignedVersion

Progress = Callable[[int], None]
"""Called with the number of plaintext bytes just done, from several threads."""

Unwrap = Callable[[Header], FileKey]
"""How the file key of a header is got: with an identity, or from a broker.  Raises when it is not."""

Sign = Callable[[Bundle], SignedVersion]
"""Makes the owner's statement about a finished bundle."""
