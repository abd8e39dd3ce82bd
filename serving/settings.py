"""Where the service listens, whom it lets in and how much it takes: facts of the environment, read once.

Every knob is an environment variable with the prefix ``OKAERI_``; where customers' data lives is not decided
here (``features.home`` does). Keys are kept hashed, never in clear: ``printf %s "$KEY" | sha256sum``.
"""

import ipaddress
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self, get_args

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Scope = Literal["read", "decide", "write", "erase", "release"]
SCOPES: frozenset[str] = frozenset(get_args(Scope))

_KEY_LINE = re.compile(r"(?P<scopes>[a-z]+(?:,[a-z]+)*)\s+(?P<digest>[0-9a-fA-F]{64})")


class ApiKey(NamedTuple):
    """One caller's key as it is kept: what it may do and the SHA-256 of its secret, never the secret."""

    scopes: frozenset[str]
    digest: bytes


class Settings(BaseSettings):
    """What the environment tells the service; a wrong value stops the start and says what is accepted."""

    model_config = SettingsConfigDict(env_prefix="OKAERI_", frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = Field(default="127.0.0.1", description="IP address to listen on")
    port: int = Field(default=3000, ge=1, le=65535)
    workers: int = Field(default=1, ge=1, le=64, description="processes that answer")
    threads: int = Field(default=8, ge=1, le=64, description="answers computed at once, per worker")
    api_keys_file: Path | None = Field(default=None, description="0600 file, one `scope[,scope] sha256hex` a line")
    api_key_hashes: str = Field(default="", description="the same lines, separated by `;`")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ("localhost", "127.0.0.1", "[::1]", "testserver")
    max_body_bytes: int = Field(default=1_000_000, ge=1, description="bytes")
    max_ids: int = Field(default=1_000, ge=1, le=1_000, description="ids per request")
    request_deadline_s: float = Field(default=10.0, gt=0, description="seconds from first byte to answer")
    max_queue_s: float = Field(default=1.0, gt=0, description="seconds an answer may wait for a free thread")
    max_concurrency: int = Field(default=64, ge=1, description="requests answered at once, per worker")

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(str(part).strip().lower() for part in parts) if isinstance(parts, list | tuple) else value

    @field_validator("host")
    @classmethod
    def _an_address(cls, value: str) -> str:
        address = "127.0.0.1" if value == "localhost" else value
        try:
            return str(ipaddress.ip_address(address))
        except ValueError:
            raise ValueError("host must be an IP address such as 127.0.0.1, ::1 or 0.0.0.0") from None

    @model_validator(mode="after")
    def _no_stranger_without_a_key(self) -> Self:
        if not self.keys and (self.api_keys_file is not None or self.api_key_hashes.strip()):
            raise ValueError("API keys are configured, yet none is listed: add a line or unset the setting")
        if not self.keys and not ipaddress.ip_address(self.host).is_loopback:
            raise ValueError(
                f"listening on {self.host} needs an API key: set OKAERI_API_KEYS_FILE or "
                "OKAERI_API_KEY_HASHES, or listen on 127.0.0.1"
            )
        return self

    @cached_property
    def keys(self) -> tuple[ApiKey, ...]:
        """Every live key: two at once let a caller rotate; a line taken out is revoked at the next start."""
        lines = self.api_key_hashes.replace(";", "\n").splitlines()
        if self.api_keys_file is not None:
            lines += _read_private(self.api_keys_file).splitlines()
        return tuple(_parse_key(line.strip()) for line in lines if line.strip() and not line.strip().startswith("#"))


def _read_private(path: Path) -> str:
    """Read a file that nobody but its owner may read."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read the API keys file {path}: {type(error).__name__}") from None
    if mode & 0o077:
        raise ValueError(f"the API keys file {path} is open to others (mode {mode & 0o777:04o}): chmod 0600 it")
    return text


def _parse_key(line: str) -> ApiKey:
    """Read one key line.

    >>> sorted(_parse_key("read,decide " + "ab" * 32).scopes)
    ['decide', 'read']
    >>> _parse_key("decide my-secret")
    Traceback (most recent call last):
    ValueError: an API key line is `scope[,scope] sha256hex` (64 hexadecimal digits of the key's SHA-256)
    """
    match = _KEY_LINE.fullmatch(line)
    if match is None:
        raise ValueError("an API key line is `scope[,scope] sha256hex` (64 hexadecimal digits of the key's SHA-256)")
    scopes = frozenset(match["scopes"].split(","))
    if unknown := scopes - SCOPES:
        raise ValueError(f"unknown scope {', '.join(sorted(unknown))}; scopes are {', '.join(sorted(SCOPES))}")
    return ApiKey(scopes, bytes.fromhex(match["digest"]))
