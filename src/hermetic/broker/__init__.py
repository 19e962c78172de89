"""The key broker: it releases file keys to attested workloads, and writes down every decision before it is answered.

config → premises (root key, database, log) → resources → desk → broker → app → server

desk     decides: ReleaseRequest → Verdict, pure but for randomness
journal  makes it durable: database row, then log entry, for many at once
broker   what each request does      app, server   the same over HTTP
"""

from hermetic.broker.broker import OUTSIDE_TEE, Broker
from hermetic.broker.config import BrokerConfig, Limits, Listen, ResourceClass, ResourceConfig, load_config
from hermetic.broker.findings import Finding
from hermetic.broker.initialise import Initialised, initialise
from hermetic.broker.server import BrokerServer
from hermetic.broker.view import Seen, recipient, releases
from hermetic.guest.hardening import harden

__all__ = [
    "OUTSIDE_TEE",
    "Broker",
    "BrokerConfig",
    "BrokerServer",
    "Finding",
    "Initialised",
    "Limits",
    "Listen",
    "ResourceClass",
    "ResourceConfig",
    "Seen",
    "harden",
    "initialise",
    "load_config",
    "recipient",
    "releases",
]
