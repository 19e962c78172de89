"""Sealed files (age v1) and bundles of them.  What lies on disk is ciphertext; what is opened is checked.

    owner     seal_bundle(folder, bundle, [recipient], kind=…, name=…) → Bundle
              sign_version(bundle.resource_version(resource=…, version=…), owner_key) → SignedVersion
    broker    SignedVersion.verify(owner=…) → ResourceVersion;  unwrap(parse_header(raw), identity) → FileKey
    workload  read_bundle(path).headers();  open_into_memfd(bundle.member(file), file_key, file) → descriptor

:mod:`hermetic.seal.age` reads and writes single files.
"""

from hermetic.seal.age import (
    FileKey,
    Header,
    Identity,
    Recipient,
    generate_identity,
    open_payload,
    parse_header,
    parse_identities,
    parse_identity,
    parse_recipient,
    parse_recipients,
    read_header,
    unwrap,
    verify_mac,
)
from hermetic.seal.bundle import Bundle, read_bundle, regular_file
from hermetic.seal.hooks import Progress, Sign, Unwrap
from hermetic.seal.manifest import Kind, Manifest, ManifestFile, make_manifest, parse_manifest
from hermetic.seal.memory import memfd_path, sealed_memfd
from hermetic.seal.opening import open_bundle, open_into_memfd
from hermetic.seal.owner import encode_owner_key, owner_name, parse_owner_key
from hermetic.seal.place import new_file, new_folder
from hermetic.seal.sealing import files_to_seal, seal_bundle
from hermetic.seal.single import open_path, seal_path
from hermetic.seal.tree import TreeHasher, tree_digest, tree_salt
from hermetic.seal.version import ResourceVersion, SignedVersion, check_resource, sign_version

__all__ = [
    "Bundle",
    "FileKey",
    "Header",
    "Identity",
    "Kind",
    "Manifest",
    "ManifestFile",
    "Progress",
    "Recipient",
    "ResourceVersion",
    "Sign",
    "SignedVersion",
    "TreeHasher",
    "Unwrap",
    "check_resource",
    "encode_owner_key",
    "files_to_seal",
    "generate_identity",
    "make_manifest",
    "memfd_path",
    "new_file",
    "new_folder",
    "open_bundle",
    "open_into_memfd",
    "open_path",
    "open_payload",
    "owner_name",
    "parse_header",
    "parse_identities",
    "parse_identity",
    "parse_manifest",
    "parse_owner_key",
    "parse_recipient",
    "parse_recipients",
    "read_bundle",
    "read_header",
    "regular_file",
    "seal_bundle",
    "seal_path",
    "sealed_memfd",
    "sign_version",
    "tree_digest",
    "tree_salt",
    "unwrap",
    "verify_mac",
]
