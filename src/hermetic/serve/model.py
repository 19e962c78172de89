"""The sealed model, opened into memory: which file of the bundle, which header to ask for, which bytes come out."""

from __future__ import annotations

from dataclasses import dataclass

from hermetic.errors import Misconfigured, NotAuthentic
from hermetic.release import Want
from hermetic.seal import Bundle, FileKey, ManifestFile, open_into_memfd, read_bundle
from hermetic.serve.config import ModelConfig
from hermetic.wire import Digest

__all__ = ["SealedModel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedModel:
    """The one GGUF file of a bundle whose manifest is the measured one."""

    bundle: Bundle
    file: ManifestFile
    want: Want

    @classmethod
    def find(cls, config: ModelConfig) -> SealedModel:
        """Reads the bundle's manifest and that file's header, nothing secret.

        Raises Misconfigured where there is no such bundle or no single GGUF file in it, NotAuthentic where it is
        another bundle than the one that was measured, Malformed.
        """
        bundle = read_bundle(config.bundle)
        if bundle.manifest_digest != config.manifest_digest:
            raise NotAuthentic(
                f"{config.bundle}: expected the manifest {config.manifest_digest}, got {bundle.manifest_digest}",
                code="manifest_digest",
                fix="put the sealed bundle there that server.toml names, or measure and pin the new one",
            )
        models = [file for file in bundle.manifest.files if file.name.endswith(".gguf")]
        if len(models) != 1:
            raise Misconfigured(f"{config.bundle}: expected one .gguf file, got {len(models)}", code="no_model")
        header = bundle.header(models[0])
        want = Want.of(resource=config.resource, version=config.version, headers=(header.raw,))
        return cls(bundle=bundle, file=models[0], want=want)

    @property
    def manifest_digest(self) -> Digest:
        return self.bundle.manifest_digest

    def open(self, file_key: FileKey) -> int:
        """The plaintext in a sealed memfd, compared with the manifest.  The caller closes it.  Raises NotAuthentic."""
        return open_into_memfd(self.bundle.member(self.file), file_key, self.file)
