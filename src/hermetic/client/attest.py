"""Ask a server what it is, and accept the answer only if a policy wants it.

Two steps without I/O, :meth:`Verifier.ask` and :meth:`Verifier.accept`, and a thin fetch around them for each kind of
caller.  Nothing secret is sent: the question is a nonce, the answer is public.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from hermetic.client.clock import FlooredClock
from hermetic.errors import Malformed, NotAcceptable, NotAuthentic, Refused, Unavailable
from hermetic.identity import AttestationReport, Claims, Purpose, verify_report
from hermetic.policy import Accepted, Policy, appraise, trusted_roots

if TYPE_CHECKING:
    import httpx2

__all__ = [
    "ATTESTATION_PATH",
    "SIMULATION_ADVICE",
    "Verifier",
    "fetch_accepted",
    "fetch_accepted_async",
    "fetch_report",
    "fetch_report_async",
    "is_unknown_root",
]

ATTESTATION_PATH = "/.well-known/hermetic/attestation"
SIMULATION_ADVICE = (
    "a SIMULATED vendor is accepted only with --allow-simulated and a policy that pins its simulated_root"
)
_LIMIT = 1024 * 1024
_TIMEOUT = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """A policy and the caller's own yes or no to simulation, applied to whatever answers.

    Without a policy it can authenticate, for showing, but never accept.
    """

    policy: Policy | None
    allow_simulated: bool = False
    clock: FlooredClock = field(default_factory=FlooredClock)

    def ask(self) -> bytes:
        """A fresh nonce, 32 bytes."""
        return secrets.token_bytes(32)

    def authenticate(
        self,
        report: AttestationReport,
        *,
        nonce: bytes | None,
        purpose: Purpose = Purpose.SESSION,
        at: datetime | None = None,
    ) -> Claims:
        """Authentic claims, not yet appraised.  ``nonce`` None for a kept report, ``at`` the time to judge it for."""
        roots, device_roots = trusted_roots(self.policy, allow_simulated=self.allow_simulated)
        try:
            claims = verify_report(
                report,
                roots=roots,
                device_roots=device_roots,
                now=at or self.clock.now(),
                purpose=purpose,
                nonce=nonce,
            )
        except NotAuthentic as error:
            raise _explain_simulation(error, self) from error
        if not claims.simulated:  # a simulator signs any date it likes
            self.clock.observe(claims.dates)
        return claims

    def accept(self, answer: bytes, *, nonce: bytes) -> Accepted:
        """The answer to ``nonce``, accepted; or NotAuthentic, NotAcceptable, Malformed."""
        if self.policy is None:
            raise NotAcceptable("authentic or not, there is no policy to appraise it by", code="no_policy")
        return appraise(self.authenticate(AttestationReport.from_bytes(answer), nonce=nonce), self.policy)


def is_unknown_root(refusal: Refused) -> bool:
    """Whether a chain led to a root of nobody whom the caller trusts."""
    return "root" in refusal.code


def _explain_simulation(error: NotAuthentic, verifier: Verifier) -> NotAuthentic:
    """An unknown root is most often somebody's simulator: say what would allow it, and that it was not allowed."""
    if verifier.allow_simulated or not is_unknown_root(error):
        return error
    explained = NotAuthentic(error.message, code=error.code, fix=SIMULATION_ADVICE)
    explained.checks = error.checks
    return explained


def fetch_report(url: str, *, nonce: bytes) -> bytes:
    """The server's attestation report for ``nonce``: bytes that nobody has verified.  Raises Unavailable, Malformed."""
    import httpx2

    body = bytearray()
    try:
        with (
            httpx2.Client(timeout=_TIMEOUT) as http,
            http.stream("GET", _target(url), params={"nonce": nonce.hex()}) as response,
        ):
            _expect_ok(url, response)
            for chunk in response.iter_bytes():
                _collect(url, body, chunk)
    except httpx2.HTTPError as error:
        raise _no_answer(url, error) from error
    return bytes(body)


async def fetch_report_async(url: str, *, nonce: bytes) -> bytes:
    """:func:`fetch_report`, for asyncio."""
    import httpx2

    body = bytearray()
    try:
        async with (
            httpx2.AsyncClient(timeout=_TIMEOUT) as http,
            http.stream("GET", _target(url), params={"nonce": nonce.hex()}) as response,
        ):
            _expect_ok(url, response)
            async for chunk in response.aiter_bytes():
                _collect(url, body, chunk)
    except httpx2.HTTPError as error:
        raise _no_answer(url, error) from error
    return bytes(body)


def fetch_accepted(url: str, verifier: Verifier) -> Accepted:
    """Asks ``url`` what it is and accepts it, or raises why not."""
    nonce = verifier.ask()
    return verifier.accept(fetch_report(url, nonce=nonce), nonce=nonce)


async def fetch_accepted_async(url: str, verifier: Verifier) -> Accepted:
    """:func:`fetch_accepted`, for asyncio."""
    nonce = verifier.ask()
    return verifier.accept(await fetch_report_async(url, nonce=nonce), nonce=nonce)


def _target(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise Malformed(f"{url}: expected http://… or https://…")
    return url.rstrip("/") + ATTESTATION_PATH


def _no_answer(url: str, error: Exception) -> Unavailable:
    return Unavailable(
        f"{url} does not answer ({type(error).__name__})",
        code="server_unreachable",
        fix="is the server running?  hermetic up starts one here",
    )


def _expect_ok(url: str, response: httpx2.Response) -> None:
    # Redirects are not followed: whoever answers for this origin answers here.
    if response.status_code != 200:
        raise Unavailable(
            f"{url} answered {response.status_code} when asked for its attestation",
            code="no_attestation",
            fix="is this a Hermetic server?",
        )


def _collect(url: str, body: bytearray, chunk: bytes) -> None:
    if len(body) + len(chunk) > _LIMIT:
        raise Malformed(f"{url} answered with more than {_LIMIT} bytes")
    body += chunk
