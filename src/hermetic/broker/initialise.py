"""``init``: makes what is not there, and leaves the rest as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hermetic.broker.config import BrokerConfig
from hermetic.broker.making import load_resource, make_resource
from hermetic.broker.premises import open_premises

__all__ = ["Initialised", "initialise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """What others need: the key that launch documents pin, the log's key, and each resource's recipient to seal for."""

    broker_key: str
    log_key: str
    recipients: Mapping[str, str]
    made: tuple[str, ...]


def initialise(config: BrokerConfig) -> Initialised:
    """Makes folder, keys, log and every configured resource that is not there yet.

    Running it again changes nothing that exists.  Raises Misconfigured where the configuration contradicts what was
    made before, and Unavailable while the broker is serving.
    """
    with open_premises(config, make=True) as premises:
        fresh = [resource for resource in config.resources if premises.store.resource(resource.name) is None]
        at = int(premises.clock.now().timestamp())
        records = [make_resource(resource, vault=premises.vault, key=premises.key, at=at) for resource in fresh]
        if records:
            premises.journal.submit(records).result()
        keepers = [
            load_resource(
                resource,
                store=premises.store,
                log=premises.log,
                vault=premises.vault,
                broker_key=premises.broker_key,
            )
            for resource in config.resources
        ]
        return Initialised(
            broker_key=premises.broker_key,
            log_key=premises.log_key,
            recipients={keeper.name: keeper.recipient for keeper in keepers},
            made=tuple(resource.name for resource in fresh),
        )
