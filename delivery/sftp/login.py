"""Logging in: one loop over the methods that the server still allows, with the key and the password that there are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from paramiko.ssh_exception import AuthenticationException, SSHException

from delivery.errors import LoginRefused, redact
from delivery.sftp.transport import PasswordExpired

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import paramiko

    from delivery.sftp.transport import Login, Transport
    from delivery.sftp.watchdog import Watchdog

KEY, PASSWORD, ASKED = "publickey", "password", "keyboard-interactive"
_GIVEN = {KEY: "the key", PASSWORD: "the password", ASKED: "the password"}
_WANTED = {KEY: "a key", PASSWORD: "a password", ASKED: "a password"}
_SETTING = {KEY: "private_key", PASSWORD: "password", ASKED: "password"}
_EXPIRED = re.compile(r"(?i)expired|new password|old password|chang\w+ (your|the) password|password must be changed")
_SECOND = re.compile(r"(?i)code|token|otp|one.?time|pin\b|passcode|second factor|duo|authenticator")
CHECK = "Check username, key and password with the server's owner; nothing is tried again by itself."


class _Unanswerable(SSHException):
    """The server asks for something that is no password. prompts: what."""

    def __init__(self, prompts: list[str]) -> None:
        super().__init__("unanswerable")
        shown = (redact("".join(c for c in prompt if c.isprintable())).strip(" :")[:60] for prompt in prompts)
        self.prompts = ", ".join(repr(prompt) for prompt in shown)


@dataclass
class _Answers:
    """Answers what a server asks: the password, to the one question that is for it, once."""

    password: str
    given: bool = False

    def __call__(self, title: str, instructions: str, fields: list[tuple[str, bool]]) -> list[str]:
        prompts = [prompt for prompt, _ in fields]
        if _EXPIRED.search(" ".join((title, instructions, *prompts))):
            raise PasswordExpired
        if not prompts:  # a notice
            return []
        if self.given or len(prompts) > 1 or _SECOND.search(prompts[0]):
            raise _Unanswerable(prompts)
        self.given = True
        return [self.password]


def log_in(
    transport: Transport, user: str, key: paramiko.PKey | None, password: str | None, watchdog: Watchdog
) -> None:
    """Log in with the key, the password, or both, in the order that the server wants them.

    A password that was refused is not given a second time in another way. Raises LoginRefused, and SSHException when
    the server does not answer, or closes the connection before it was told anything.
    """
    means: dict[str, Callable[[], object]] = {}
    if key is not None:
        means[KEY] = lambda: transport.auth_publickey(user, key)
    if password is not None:
        means[PASSWORD] = lambda: transport.auth_password(user, password, fallback=False)
        means[ASKED] = lambda: transport.auth_interactive(user, _Answers(password))
    given: dict[str, bool] = {}  # by method, whether the server counted it
    try:
        method: str | None = "none"
        _counts(transport, lambda: transport.auth_none(user))
        while not transport.is_authenticated() and (method := _next(means, given, _login(transport).allowed)):
            given[method] = False
            given[method] = _counts(transport, means[method])
            watchdog.beat()
    except (PasswordExpired, _Unanswerable) as error:
        transport.close()
        raise _never(user, error) from None
    except AuthenticationException as error:  # the connection ended
        if watchdog.reason or not given or "timeout" in str(error).lower():
            raise SSHException("no answer to the login") from None
    if not transport.is_authenticated():
        refusal = _refusal(user, given, _login(transport).allowed if transport.is_active() else None)
        transport.close()
        raise refusal


def _login(transport: Transport) -> Login:
    return cast("Login", transport.auth_handler)


def _counts(transport: Transport, ask: Callable[[], object]) -> bool:
    """Whether the server counts what it was given; raises what ends the connection."""
    try:
        ask()
    except AuthenticationException:
        if not transport.is_active() or not _login(transport).is_answered:
            raise
        return False
    return True


def _next(means: Iterable[str], given: Mapping[str, bool], allowed: Iterable[str]) -> str | None:
    """What to try next. A password that was refused is not given again in answer to a question."""
    left = [name for name in means if name not in given and not (name == ASKED and given.get(PASSWORD) is False)]
    return next((name for name in left if name in allowed), None)


def _never(user: str, error: PasswordExpired | _Unanswerable) -> LoginRefused:
    if isinstance(error, PasswordExpired):
        return LoginRefused(
            f"the password of {user} has expired: the server wants a new one",
            hint="Have it changed by the server's owner, then set it; to try the old one again may lock the account.",
        )
    return LoginRefused(
        f"login as {user}: the server asks for {error.prompts}, which only a person can answer",
        hint="Ask the server's owner for an account that logs in with a key, a password, or both.",
    )


def _refusal(user: str, given: Mapping[str, bool], allowed: Iterable[str] | None) -> LoginRefused:
    """What was refused, and what the server still wants. allowed: None when it closed the connection."""
    refused = dict.fromkeys(_GIVEN[name] for name, counted in given.items() if not counted)
    accepted = dict.fromkeys(_GIVEN[name] for name, counted in given.items() if counted)
    text = f"login as {user} was refused" + (f" with {' and '.join(refused)}" if refused else "")
    text += f"; {' and '.join(accepted)} was accepted" if accepted else ""
    if allowed is None:  # counts as refused: retrying a wrong password locks accounts
        return LoginRefused(f"{text}, and the server closed the connection", hint=CHECK)
    wanted = [name for name in allowed if name not in given]
    text += f"; the server {'still wants' if accepted else 'takes'} " if wanted else ""
    text += " or ".join(dict.fromkeys(_WANTED.get(name, name) for name in wanted))
    has = {_SETTING[name] for name in given}
    lacking = dict.fromkeys(_SETTING[name] for name in wanted if name in _SETTING and _SETTING[name] not in has)
    hint = f"Set {' or '.join(f'`{name}`' for name in lacking)} of the destination. " if lacking else ""
    return LoginRefused(text, hint=hint + CHECK)
