"""One question to a server with OpenAI's interface, asked until it is answered."""

import os
import re
import threading
import time
from dataclasses import dataclass
from typing import Any

from kinelex.errors import InputError, one_line, without_secrets
from kinelex.prompts.engines.answers import Answer
from kinelex.prompts.engines.asking import Asking

FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0  # seconds until what is no answer is asked for again, doubled each time
EMPTY = 3  # answers without text until a picture counts as refused
_REFUSED = (400, 413, 415, 422)
# What some servers want under another name, or not at all; it is dropped when they say so.
_NAMES = {"max_tokens": "max_completion_tokens", "temperature": None, "seed": None}
_HINTS = {
    401: "is the key in OPENAI_API_KEY right?",
    403: "may this key use the model?",
    404: "does it serve the model {model!r} under this address?",
    429: "what you have paid for is used up",
}
_PAID_UP = "insufficient_quota"


@dataclass(kw_only=True, eq=False)
class ServerOptions(Asking):
    """Where a server is and how it is asked.

    Args:
        model: the name the server knows the model by.
        base_url: address of the server, http://localhost:8000/v1; empty takes OPENAI_BASE_URL, or OpenAI.
        requests_per_minute: the most the server is asked; 0 for no limit.
        retries: how often a failed request is repeated, with growing pauses or those the server asks for.
        timeout: seconds that a request may take.
    """

    model: str = ""
    base_url: str = ""
    requests_per_minute: float = 0.0
    retries: int = 8
    timeout: float = 60.0


class Stopped(BaseException):
    """A request that is not sent any more; no Exception, which the client would take for a failure."""


class Server:
    """An OpenAI-compatible endpoint, asked by many threads at a time; the client repeats what fails.

    Where it answered questions in earlier runs it knows us, so that what it refuses are pictures.
    """

    def __init__(self, options: ServerOptions, answered: int = 0) -> None:
        import openai

        self._openai = openai
        key, address = find_access(options.base_url)
        self._client = openai.OpenAI(
            api_key=key or "none",
            base_url=address or None,
            timeout=options.timeout,
            max_retries=options.retries,
            http_client=openai.DefaultHttpxClient(event_hooks={"request": [self._turn]}),
        )
        self._address = without_secrets(str(self._client.base_url))
        self._model, self._retries = options.model, options.retries
        self._extra: dict[str, Any] = {"max_tokens": options.max_new_tokens, "temperature": 0, "seed": 0}
        self._between = 60 / options.requests_per_minute if options.requests_per_minute else 0.0
        self._next = 0.0
        self._answered = answered
        self._lock, self._stopped = threading.Lock(), threading.Event()

    def ask(self, question: str, picture: str) -> Answer:
        """The answer about a picture (a data URL), asked again until there is one.

        It is without a text where the server refuses the picture or has nothing to say about it.
        """
        parts = [{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": question}]
        messages: Any = [{"role": "user", "content": parts}]
        strange = requests = read = written = empty = 0
        while True:
            before, sent = self._answered, dict(self._extra)
            try:
                response = self._client.chat.completions.with_raw_response.create(
                    model=self._model, messages=messages, **sent
                )
                requests += 1 + response.retries_taken
                answer = _read(response.parse())
            except self._openai.RateLimitError as error:
                requests += 1 + self._retries
                if self._answered == before or error.code == _PAID_UP:
                    raise self._failure(error) from error
                continue  # others are answered: it is busy, not broken
            except self._openai.APIStatusError as error:
                requests += 1
                if self._adapts(error, sent):
                    continue
                if error.status_code in _REFUSED and self._answered:
                    return Answer(None, requests=requests)
                raise self._failure(error) from error
            except self._openai.APIError as error:
                raise self._failure(error) from error
            except ValueError as error:  # no answer, though status 200 says so
                strange += 1
                if strange > self._retries:
                    raise self._failure(error) from error
                time.sleep(min(LONGEST_WAIT, FIRST_WAIT * 2 ** (strange - 1)))
                continue
            self._answered += 1
            read, written = read + answer.prompt_tokens, written + answer.tokens
            empty += answer.text == ""
            if answer.text != "" or empty == EMPTY:
                return Answer(answer.text or None, read, written, requests)

    def stop(self) -> None:
        """Send no further request, not even those that are to be repeated."""
        self._stopped.set()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _turn(self, _: Any) -> None:
        """Called before each request, repeated ones too: wait where a rate was asked for."""
        if self._stopped.is_set():
            raise Stopped
        with self._lock:
            at = max(time.monotonic(), self._next)
            self._next = at + self._between
        time.sleep(max(0.0, at - time.monotonic()))

    def _adapts(self, error: Any, sent: dict[str, Any]) -> bool:
        """Whether the server objects to a parameter that can be renamed or left out; from now on it is."""
        if error.status_code not in (400, 422):
            return False
        for name, other in _NAMES.items():
            if name in sent and name in str(error.message):
                self._extra.pop(name, None)
                if other is not None:
                    self._extra[other] = sent[name]
                return True
        return False

    def _failure(self, error: Exception) -> InputError:
        """The message for what trying again did not help, or would not."""
        code = getattr(error, "status_code", 500)
        if code in (408, 409) or code >= 500 or (code == 429 and getattr(error, "code", "") != _PAID_UP):
            return InputError(
                f"{self._address} failed {self._retries + 1} times in a row (last: {_short(error)}): see "
                "whether the server runs, then start the same command again; what it has answered is kept"
            )
        other = "is it a vision-language model, and are the options within its limits?"
        return InputError(
            f"{self._address} refuses the request with status {code} ({_short(error)}): "
            f"{_HINTS.get(code, other).format(model=self._model)} What it has answered is kept"
        )


def find_access(base_url: str) -> tuple[str, str]:
    """The key, from the environment only, and the address."""
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    address = (base_url or os.environ.get("OPENAI_BASE_URL", "")).strip()
    if not (key.isascii() and key.isprintable()):
        raise InputError("OPENAI_API_KEY holds signs that no key has: set it anew, without quotes or accents")
    if address and not re.fullmatch(r"https?://[^/\s]+.*", address):
        form = "language.base_url expects an address such as http://localhost:8000/v1"
        raise InputError(f"{form}, got {without_secrets(address)!r}")
    if not (key or address):
        raise InputError(
            "language engine openai expects the key in the environment variable OPENAI_API_KEY, or the "
            "address of a server of your own: language.base_url=http://localhost:8000/v1"
        )
    return key, address


def _read(completion: Any) -> Answer:
    """The answer in what came."""
    choices = getattr(completion, "choices", None)
    if not choices or getattr(choices[0], "message", None) is None:
        raise ValueError(f"an answer without choices: {str(completion)[:80]!r}")
    text, used = getattr(choices[0].message, "content", None), getattr(completion, "usage", None)
    if not isinstance(text, str | None):
        raise ValueError(f"an answer that is no text: {str(text)[:80]!r}")
    read, written = (getattr(used, name, None) or 0 for name in ("prompt_tokens", "completion_tokens"))
    if getattr(choices[0], "finish_reason", None) == "content_filter":
        return Answer(None, read, written)
    whole = (text or "").strip().encode("utf-8", "replace").decode()  # half a sign may stand at its end
    return Answer(whole, read, written)


def _short(error: Exception) -> str:
    text = one_line(error) or type(error).__name__
    cause = " ".join(str(error.__cause__ or "").split())  # of "Connection error." it alone says more
    text = without_secrets(f"{text.rstrip('.')}: {cause}" if cause and cause not in text else text)
    return text if len(text) <= 160 else f"{text[:160]} …"
