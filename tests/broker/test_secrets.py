"""No file key, identity, signing key or root key shows itself: in no answer, log line, metric or database."""

from __future__ import annotations

from dataclasses import replace

from broker_support import RESOURCE, House, Running, canary_forms, changed
from hermetic.broker import load_config
from hermetic.broker.making import load_resource
from hermetic.broker.premises import open_premises
from hermetic.identity import Purpose
from hermetic.wire import sha256_digest


def _secrets(house: House) -> dict[str, tuple[bytes, ...]]:
    """Every secret that the broker holds, in every form in which it could show itself."""
    config = load_config(house.config_path)
    with open_premises(config) as premises:
        keeper = load_resource(
            config.resource(RESOURCE),
            store=premises.store,
            log=premises.log,
            vault=premises.vault,
            broker_key=premises.broker_key,
        )
        identity_key = premises.key.private_bytes_raw()
    found = {
        "the resource's identity": (keeper.identity.reveal().encode(), *canary_forms(keeper.identity.secret)),
        "the broker's identity key": canary_forms(identity_key),
        "the root key": canary_forms((house.folder / "data" / "root.key").read_bytes()),
    }
    for number, key in enumerate(house.sealed[RESOURCE].file_keys):
        found[f"file key {number}"] = canary_forms(key.secret)
    return found


def _exercise(running: Running) -> bytes:
    """Grants, denials and errors of every kind; returns everything that came back."""
    house, seen = running.house, b""
    workload = house.workload()
    requests = [
        running.request(workload),
        running.request(workload, purpose=Purpose.SESSION),
        running.request(changed(workload, program_digest=sha256_digest(b"x"))),
        running.request(workload, house.sealed[RESOURCE].want(version="2")),
        running.request(workload) | {"wants": []},
        {"challenge_id": "x"},
    ]
    for request in (*requests, requests[0]):
        answer = running.post(request)
        seen += answer.content + repr(answer.headers).encode()
    for path in ("/v1/info", "/metrics", "/checkpoint", "/healthz", "/tile/0/000.p/1"):
        seen += running.http.get(path).content
    return seen


def _stored(house: House) -> bytes:
    files = (path for path in sorted((house.folder / "data").rglob("*")) if path.is_file())
    return b"".join(path.read_bytes() for path in files if path.name != "root.key")


def test_no_secret_shows_itself(house: House) -> None:
    with house.serving() as running:
        seen = _exercise(running)
    seen += running.said.getvalue()
    seen += repr(house.seen()).encode() + _stored(house)
    assert b'"granted"' in seen, "the search sees what was written"
    for name, forms in _secrets(house).items():
        for form in forms:
            assert form not in seen, name


def test_the_search_would_find_them(house: House) -> None:
    """The control: each form of each secret, once it was stored as it is, is found."""
    secrets = _secrets(house)
    with open_premises(load_config(house.config_path)) as premises, premises.store.writing():
        for name, forms in secrets.items():
            for number, form in enumerate(forms):
                premises.store.add_signing_key(f"{name} {number}", name="control", envelope=form)
    stored = _stored(house)
    assert all(form in stored for forms in secrets.values() for form in forms)


def test_log_lines_name_nobody(house: House) -> None:
    with house.serving() as running:
        _exercise(running)
    said = running.said.getvalue().decode()
    assert '"route":"/v1/release"' in said
    workload_names = (RESOURCE, "clinic", "keyset", "sha256:", "ed25519:", "age1")
    assert not [name for name in workload_names if name in said]


def test_values_that_hold_secrets_do_not_show_them(house: House) -> None:
    config = load_config(house.config_path)
    with open_premises(config) as premises:
        keeper = load_resource(
            config.resource(RESOURCE),
            store=premises.store,
            log=premises.log,
            vault=premises.vault,
            broker_key=premises.broker_key,
        )
        shown = f"{premises!r}{keeper!r}{house.sealed[RESOURCE]!r}{replace(house.workload())!r}"
        row = premises.store.resource(RESOURCE)
    shown += repr(row)
    for name, forms in _secrets(house).items():
        for form in forms:
            assert form.decode("latin-1") not in shown, name
