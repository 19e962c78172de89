"""A folder of plain files, such as somebody downloaded by hand, as a source of collateral.

Files are recognised by what is in them, whatever they are called: certificates and chains (DER, PEM), revocation lists
(DER, PEM, hex), OCSP answers (DER), Intel's signed documents (JSON), manifests (XML, or JSON as NVIDIA's service
answers).  Which of them answers a question is for the question to judge.  A chain that a service sends in a header is a
PEM file here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from hermetic.errors import Malformed, Misconfigured
from hermetic.evidence.pem import certificates_from_pem
from hermetic.evidence.x509 import load_certificate, load_crl
from hermetic.sources.collateral.question import Kind, Parts, Period, Question
from hermetic.sources.collateral.reading import chain_from_pem, crl_from_any
from hermetic.verify.ocsp import load_ocsp
from hermetic.wire import b64decode, parse_object

__all__ = ["CollateralFolder"]

_MOST_FILES, _LARGEST = 512, 1 << 20
_INTEL_HEADS = (b'{"tcbInfo":', b'{"enclaveIdentity":')

Piece = tuple[Kind, bytes]


class CollateralFolder:
    """The files directly in ``folder``, read once; what cannot be recognised is passed over."""

    def __init__(self, folder: Path) -> None:
        """Raises Misconfigured where the folder cannot be read, or holds more than anybody downloads by hand."""
        self._pieces: dict[Kind, dict[bytes, None]] = {kind: {} for kind in Kind}  # in order, each once
        try:
            files = sorted(path for path in folder.iterdir() if path.is_file())
            if len(files) > _MOST_FILES:
                raise Misconfigured(f"{folder} holds more than {_MOST_FILES} files: is it the right folder?")
            contents = [file.read_bytes() for file in files if file.stat().st_size <= _LARGEST]
        except OSError as error:
            raise Misconfigured(f"the collateral in {folder} cannot be read: {error.strerror}") from error
        for kind, piece in itertools.chain.from_iterable(map(recognise, contents)):
            self._pieces[kind][piece] = None

    def pieces(self, kind: Kind) -> tuple[bytes, ...]:
        """All that is of one sort, each once."""
        return tuple(self._pieces[kind])

    def answer(self, question: Question, now: datetime) -> tuple[Parts, Period] | None:
        """What here answers ``question`` at ``now``, or did longest; None where some part of an answer is not here.

        Each piece is looked at once for each part: parts are judged by themselves, and the best of each make the best
        answer.
        """
        parts: dict[str, bytes] = {}
        periods: list[Period] = []
        for name, kind in question.names.items():
            judged = ((piece, question.judge_part(name, piece)) for piece in self._pieces[kind])
            fitting = [(piece, period) for piece, period in judged if period is not None]
            if not fitting:
                return None
            parts[name], period = max(fitting, key=lambda found: (found[1].covers(now), found[1].last))
            periods.append(period)
        return parts, Period.overlap(*periods)


def recognise(content: bytes) -> tuple[Piece, ...]:
    """What a file holds, by its first bytes and by whether it can be read; nothing where it is something else."""
    text = content.strip()
    if text.startswith(_INTEL_HEADS):
        return ((Kind.INTEL_JSON, text),)
    with suppress(Malformed):
        if text.startswith(b"{"):
            document = parse_object(text, what="file", limit=_LARGEST)
            return ((Kind.RIM, b64decode(document.get("rim"), what="manifest")),)
        if text.startswith(b"<SoftwareIdentity"):
            return ((Kind.RIM, content),)
        if text.startswith(b"-----BEGIN CERTIFICATE-----"):
            ders = certificates_from_pem(text)
            return ((Kind.CHAIN, chain_from_pem(text)), *((Kind.CERTIFICATE, der) for der in ders))
        # DER has bytes that are not ASCII, and its last one, of a signature, may look like a space.
        return _from_der(crl_from_any(text) if text.isascii() else content)
    return ()


def _from_der(der: bytes) -> tuple[Piece, ...]:
    for kind, load in _DER:
        with suppress(Malformed):
            load(der)
            return ((kind, der),)
    return ()


_DER: tuple[tuple[Kind, Callable[[bytes], object]], ...] = (
    (Kind.CERTIFICATE, partial(load_certificate, what="file")),
    (Kind.CRL, load_crl),
    (Kind.OCSP, load_ocsp),
)
