"""Private machinery of the engine ``openai``: one question to a server, asked until it is answered."""

from __future__ import annotations

import asyncio
import email.utils
import os
import random
import re
import time
from dataclasses import replace
from typing import Any

from kinelex.errors import InputError, one_line, without_secrets
from kinelex.prompts.engines.answers import Answer

FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0  # seconds between a failure and the next try, doubled each time
EMPTY = 3  # answers without text until a picture counts as refused
_TRY_AGAIN = (408, 409, 425, 429)  # and all of 500 and more
_REFUSED = (400, 413, 415, 422)
# What some servers want under another name, or not at all; it is dropped when they say so.
_NAMES = {"max_tokens": "max_completion_tokens", "temperature": None, "seed": None}


class Server:
    """An OpenAI-compatible endpoint. Lives in one event loop.

    Args:
        model: the name it serves the model under.
        base_url: its address; empty takes OPENAI_BASE_URL, or OpenAI itself.
        max_new_tokens: where an answer is cut off.
        timeout: seconds that a request may take.
        retries: how often a failed request is repeated.
        requests_per_minute: the most it is asked; 0 for no limit.
        answered: questions that it answered in earlier runs: it knows us, so what it refuses are pictures.

    Raises:
        InputError: there is neither a key nor an address.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        max_new_tokens: int,
        timeout: float,
        retries: int,
        requests_per_minute: float,
        answered: int = 0,
    ) -> None:
        import openai

        self._openai = openai
        key, address = find_access(base_url)
        self._client = openai.AsyncOpenAI(
            api_key=key or "none", base_url=address or None, timeout=timeout, max_retries=0
        )
        self._address = without_secrets(str(self._client.base_url))
        self._model, self._timeout, self._retries = model, timeout, retries
        self._extra: dict[str, Any] = {"max_tokens": max_new_tokens, "temperature": 0, "seed": 0}
        self._between = 60 / requests_per_minute if requests_per_minute else 0.0
        self._next = self._closed_until = 0.0
        self._answered = answered

    async def ask(self, question: str, picture: str) -> Answer:
        """The answer about a picture, asked again until there is one.

        Args:
            question: what is asked.
            picture: a data URL.

        Returns:
            The answer; without a text where the server refuses the picture or has nothing to say about it.

        Raises:
            InputError: the server does not know us or the model, or fails too often in a row.
        """
        parts = [{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": question}]
        messages: Any = [{"role": "user", "content": parts}]
        failures = requests = read = written = empty = 0
        while True:
            await self._turn()
            before, sent = self._answered, dict(self._extra)
            requests += 1
            try:
                async with asyncio.timeout(self._timeout):
                    made = await self._client.chat.completions.create(
                        model=self._model, messages=messages, **sent
                    )
                answer = _read(made, requests)
                self._answered += 1
                read, written = read + answer.prompt_tokens, written + answer.tokens
                empty += answer.text == ""
                if answer.text == "" and empty < EMPTY:
                    continue
                return replace(answer, text=answer.text or None, prompt_tokens=read, tokens=written)
            except self._openai.APIStatusError as error:
                if self._adapts(error, sent):
                    continue
                if error.status_code in _REFUSED and self._answered:
                    return Answer(None, requests=requests)
                self._check(error)
                wait = _asked_wait(error.response.headers)
                if error.status_code == 429 and self._answered > before:
                    failures = 0  # others are answered: it is busy, not broken
                if error.status_code == 429 and wait is not None:
                    self._closed_until = max(self._closed_until, time.monotonic() + wait)
                last: Exception = error
            except (self._openai.APIError, TimeoutError, ValueError) as error:
                wait, last = None, error
            failures += 1
            if failures > self._retries:
                raise InputError(
                    f"{self._address} failed {failures} times in a row (last: {_short(last)}): see "
                    "whether the server runs, then start the same command again; what it has answered is kept"
                ) from last
            backoff = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (failures - 1)) * random.uniform(0.5, 1)
            await asyncio.sleep(backoff if wait is None else wait)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _turn(self) -> None:
        """Wait until this request may go: the rate that was asked for, and the server's own pauses."""
        if self._between:
            at = max(time.monotonic(), self._next)
            self._next = at + self._between
            await asyncio.sleep(max(0.0, at - time.monotonic()))
        while (closed := self._closed_until - time.monotonic()) > 0:
            await asyncio.sleep(closed)

    def _adapts(self, error: Any, sent: dict[str, Any]) -> bool:
        """Whether the server objects to a parameter that can be renamed or left out; from now on it is."""
        if error.status_code not in (400, 422):
            return False
        text = str(error.message)
        for name, other in _NAMES.items():
            if name in sent and name in text:
                self._extra.pop(name, None)
                if other is not None:
                    self._extra[other] = sent[name]
                return True
        return False

    def _check(self, error: Any) -> None:
        """Stop at once where trying again is no use."""
        code = error.status_code
        if code in _TRY_AGAIN and getattr(error, "code", None) != "insufficient_quota" or code >= 500:
            return
        hint = {
            401: "is the key in OPENAI_API_KEY right?",
            403: "may this key use the model?",
            404: f"does it serve the model {self._model!r} under this address?",
            429: "what you have paid for is used up",
        }.get(code, "is it a vision-language model, and are the options within its limits?")
        raise InputError(
            f"{self._address} refuses the request with status {code} ({_short(error)}): {hint} "
            "What it has answered is kept"
        ) from error


def find_access(base_url: str) -> tuple[str, str]:
    """The key, from the environment only, and the address.

    Raises:
        InputError: there is neither, or one that cannot be sent or reached as it is written.
    """
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    address = (base_url or os.environ.get("OPENAI_BASE_URL", "")).strip()
    if not (key.isascii() and key.isprintable()):
        raise InputError("OPENAI_API_KEY holds signs that no key has: set it anew, without quotes or accents")
    if address and not re.fullmatch(r"https?://[^/\s]+.*", address):
        raise InputError(
            "language.base_url expects an address such as http://localhost:8000/v1, got "
            f"{without_secrets(address)!r}"
        )
    if not (key or address):
        raise InputError(
            "language engine openai expects the key in the environment variable OPENAI_API_KEY, or the "
            "address of a server of your own: language.base_url=http://localhost:8000/v1"
        )
    return key, address


def _read(made: Any, requests: int) -> Answer:
    """The answer in what came.

    Raises:
        ValueError: it is no answer, as when a proxy puts a page of its own in its place.
    """
    choices = getattr(made, "choices", None)
    if not choices or getattr(choices[0], "message", None) is None:
        raise ValueError(f"an answer without choices: {str(made)[:80]!r}")
    text, used = getattr(choices[0].message, "content", None), getattr(made, "usage", None)
    if not isinstance(text, str | None):
        raise ValueError(f"an answer that is no text: {str(text)[:80]!r}")
    read, written = (getattr(used, name, None) or 0 for name in ("prompt_tokens", "completion_tokens"))
    if getattr(choices[0], "finish_reason", None) == "content_filter":
        return Answer(None, read, written, requests)
    whole = (text or "").strip().encode("utf-8", "replace").decode()  # half a sign may stand at its end
    return Answer(whole, read, written, requests)


def _asked_wait(headers: Any) -> float | None:
    """Seconds that the server asks to wait, by number or by date.

    >>> _asked_wait({"retry-after": "2.5"}), _asked_wait({})
    (2.5, None)
    """
    text = headers.get("retry-after", "")
    try:
        return max(0.0, float(text))
    except ValueError:
        date = email.utils.parsedate_tz(text)
        return None if date is None else max(0.0, email.utils.mktime_tz(date) - time.time())


def _short(error: Exception) -> str:
    text = one_line(error) or type(error).__name__
    cause = " ".join(str(error.__cause__ or "").split())  # of "Connection error." it alone says more
    if cause and cause not in text:
        text = f"{text.rstrip('.')}: {cause}"
    text = without_secrets(text)
    return text if len(text) <= 160 else f"{text[:160]} …"
