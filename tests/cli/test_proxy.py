"""``hermetic proxy``: any OpenAI client on this side, an attested server on the other, and nobody else let in."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from stack_support import HERMETIC, PATIENCE, Home, Up, answers, ports

QUESTION: Any = [{"role": "user", "content": "Say hello."}]


@contextmanager
def proxy(home: Home, *arguments: str | Path) -> Iterator[str]:
    """A running ``hermetic proxy``: its origin.  It must end well on Ctrl-C."""
    port = ports()[0]
    process = subprocess.Popen(
        [*HERMETIC, "proxy", *arguments, "--port", str(port)],
        env=home.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        try:
            said = [next(process.stdout) for _ in range(3)]
            assert "SIMULATED" in said[0]
            assert "verified" in said[1]
            url = f"http://127.0.0.1:{port}"
            assert f"{url}/v1" in said[2]
            answers(url)
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            try:
                code = process.wait(PATIENCE)
            finally:
                process.kill()
    assert code == 0


@pytest.fixture(scope="module")
def url(stack: Up) -> Iterator[str]:
    with proxy(stack.home) as running:
        yield running


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="the proxy knows", max_retries=0, timeout=PATIENCE) as made:
        yield made


def test_a_tool_that_knows_nothing_of_us(client: openai.OpenAI, stack: Up) -> None:
    assert [model.id for model in client.models.list()] == [stack.model]
    answer = client.chat.completions.create(model=stack.model, messages=QUESTION, max_tokens=8)
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.completion_tokens <= 8


def test_a_stream(client: openai.OpenAI, stack: Up) -> None:
    asked = client.chat.completions.create(model=stack.model, messages=QUESTION, max_tokens=8, stream=True)
    chunks = list(asked)
    assert chunks[-1].choices[0].finish_reason in {"length", "stop"}
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_the_server_s_errors_arrive_as_they_are(client: openai.OpenAI, url: str) -> None:
    with pytest.raises(openai.NotFoundError) as error:
        client.chat.completions.create(model="another", messages=QUESTION)
    assert error.value.code == "model_not_found"
    assert httpx2.post(f"{url}/v1/chat/completions", content=b"{", timeout=PATIENCE).status_code == 400


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1"])
def test_another_name_for_this_machine_is_refused(url: str, host: str) -> None:
    """A web page whose name was rebound to this machine sends its own name, and gets nothing."""
    answer = httpx2.get(f"{url}/v1/models", headers={"Host": host}, timeout=PATIENCE)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "wrong_host"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "localhost:8488"])
def test_its_own_names_are_not(url: str, host: str) -> None:
    assert httpx2.get(f"{url}/v1/models", headers={"Host": host}, timeout=PATIENCE).status_code == 200


def test_it_listens_on_loopback_only(url: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: it only chooses a route, and with it our own address
        ours = probe.getsockname()[0]
    port = int(url.rpartition(":")[2])
    with socket.socket() as outside:
        outside.settimeout(PATIENCE)
        assert outside.connect_ex((ours, port)) != 0


def test_a_stranger_s_own_key_is_passed_on(stack: Up, stranger: Home) -> None:
    with proxy(stranger, stack.url, *stack.accepted) as url:
        good = openai.OpenAI(base_url=f"{url}/v1", api_key=stack.api_key, max_retries=0, timeout=PATIENCE)
        bad = openai.OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0, timeout=PATIENCE)
        with good, bad:
            assert [model.id for model in good.models.list()] == [stack.model]
            with pytest.raises(openai.AuthenticationError):
                bad.models.list()


def test_it_does_not_start_for_a_server_that_is_not_accepted(stack: Up, stranger: Home) -> None:
    done = stranger.hermetic("proxy", stack.url, "--policy", stack.policy, "--port", str(ports()[0]))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "--allow-simulated" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["URL"], 2),
        ([], 2),
        (["http://127.0.0.1:1", "--policy", "POLICY"], 4),
        (["URL", "--policy", "POLICY", "--allow-simulated", "--api-key-file", "no-such-file"], 2),
    ],
)
def test_it_does_not_start(stack: Up, stranger: Home, arguments: list[str], code: int) -> None:
    words = {"URL": stack.url, "POLICY": str(stack.policy)}
    done = stranger.hermetic("proxy", *(words.get(word, word) for word in arguments), "--port", str(ports()[0]))
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "origin", ["https://example.org", "null", "http://localhost.example.org", "http://127.0.0.1.example.org:8488", ""]
)
def test_a_page_from_elsewhere_spends_nobodys_key(url: str, origin: str) -> None:
    # What any page may have a browser send without asking first: a POST of plain text.
    headers = {"origin": origin, "content-type": "text/plain"}
    answer = httpx2.post(f"{url}/v1/chat/completions", content=b"{}", headers=headers, timeout=PATIENCE)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "wrong_origin"


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1", "https://[::1]:8443"])
def test_a_page_of_this_machine_may_ask(url: str, origin: str) -> None:
    assert httpx2.get(f"{url}/v1/models", headers={"origin": origin}, timeout=PATIENCE).status_code == 200
