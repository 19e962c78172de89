"""The launch document of a configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guest_support import CONFIG
from hermetic.errors import Malformed, Misconfigured
from hermetic.guest import measure, plan_launch, split_command
from hermetic.guest.installation import Installation
from hermetic.guest.launch import describe_config
from hermetic.guest.tree import Tree
from hermetic.identity import LaunchDocument, MeasuredModel
from hermetic.wire import Digest, sha256_digest

_ARGV = ("hermetic", "serve", "--config", "server.toml")
_PROGRAM = sha256_digest(b"a program")


def _describe(config: str) -> LaunchDocument:
    return describe_config(config.encode(), program_digest=_PROGRAM, argv=_ARGV, name="server.toml")


def test_every_field_is_taken_from_what_is_measured(tmp_path: Path, tree: Tree) -> None:
    config = tmp_path / "any name.toml"
    config.write_text(CONFIG)
    plan = plan_launch(config, tree=tree)
    assert plan.document == LaunchDocument(
        service="clinic-chat",
        program_digest=tree.digest,
        argv=_ARGV,
        environment={},
        config_digest=sha256_digest(CONFIG.encode()),
        models=(
            MeasuredModel(
                name="smollm2-135m",
                manifest_digest=Digest("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
            ),
        ),
        broker_key="ed25519:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        outbound={},
    )
    assert (plan.config, plan.folder) == (CONFIG.encode(), tmp_path)


def test_measure_is_the_plans_document(tmp_path: Path, installation: Installation) -> None:
    config = tmp_path / "server.toml"
    config.write_text(CONFIG)
    document = measure(config, installation=installation)
    assert document == plan_launch(config, installation=installation).document
    assert LaunchDocument.from_json(json.loads(json.dumps(document.to_json()))) == document


def test_every_byte_of_the_configuration_changes_the_launch_digest() -> None:
    digests = {_describe(CONFIG).digest}
    variants = [CONFIG[:index] + " " + CONFIG[index:] for index, char in enumerate(CONFIG) if char == "\n"]
    variants.append(CONFIG + "# a remark")
    digests |= {_describe(variant).digest for variant in variants}
    assert len(digests) == 1 + len(variants)


def test_where_the_configuration_lies_does_not_matter_and_further_words_do(tmp_path: Path, tree: Tree) -> None:
    digests = []
    for name, arguments in (("a", ()), ("b", ()), ("b", ("--verbose",))):
        config = tmp_path / name / "server.toml"
        config.parent.mkdir(exist_ok=True)
        config.write_text(CONFIG)
        digests.append(plan_launch(config, arguments=arguments, tree=tree).document.digest)
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('service = "clinic-chat"', "", "service"),
        ('name = "smollm2-135m"', "name = 1", "name"),
        ("manifest_digest", "digest", "manifest_digest"),
        ("key = ", "kye = ", "key"),
        ("[model]", "[[model]]", "model"),
        ("[broker]", "[broker", "line"),
        pytest.param("[broker]", "deep = " + "[" * 100_000, "nested too deeply", id="deep"),
        pytest.param("[broker]", "long = " + "9" * 5_000, "digits", id="long"),
    ],
)
def test_a_configuration_that_does_not_say_what_is_measured_is_refused(old: str, new: str, reason: str) -> None:
    with pytest.raises(Misconfigured, match=f"server.toml.*{reason}"):
        _describe(CONFIG.replace(old, new))


def test_fields_that_are_no_digest_or_no_key_are_refused() -> None:
    with pytest.raises(Malformed, match="manifest_digest"):
        _describe(CONFIG.replace("sha256:0", "sha512:0"))
    with pytest.raises(Malformed, match="broker_key"):
        _describe(CONFIG.replace("ed25519:AAEC", "ed25519:AAE"))


def test_a_configuration_that_cannot_be_read_or_is_too_large_is_refused(tmp_path: Path, tree: Tree) -> None:
    with pytest.raises(Misconfigured, match="cannot read"):
        plan_launch(tmp_path / "absent.toml", tree=tree)
    large = tmp_path / "large.toml"
    large.write_text(CONFIG + "#" * 64 * 1024)
    with pytest.raises(Misconfigured, match="larger than 65536 bytes"):
        plan_launch(large, tree=tree)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Misconfigured, match="utf-8"):
        plan_launch(tmp_path / "binary.toml", tree=tree)


@pytest.mark.parametrize(
    ("words", "config", "rest"),
    [
        (("hermetic", "serve", "--config", "a.toml"), "a.toml", ()),
        (("/x/bin/hermetic", "serve", "--config=a.toml"), "a.toml", ()),
        (("hermetic", "serve", "-v", "--config", "a.toml", "--", "z"), "a.toml", ("-v", "--", "z")),
    ],
)
def test_commands_that_can_be_launched(words: tuple[str, ...], config: str, rest: tuple[str, ...]) -> None:
    assert split_command(words) == (Path(config), rest)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("hermetic",),
        ("hermetic", "broker", "serve", "--config", "a.toml"),
        ("bash", "serve", "--config", "a.toml"),
        ("hermetic", "serve"),
        ("hermetic", "serve", "--config"),
        ("hermetic", "serve", "--config="),
        ("hermetic", "serve", "--config", "a.toml", "--config=b.toml"),
    ],
)
def test_anything_else_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(Misconfigured):
        split_command(words)
