"""Who may ask: our own names, no page of another site, a live key with the right scope.

Keys are compared as SHA-256 digests in constant time, and all that are listed are compared, so that neither
the words nor the time of a refusal tell a wrong key from a revoked one.
"""

import hashlib
import hmac
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from serving.schemas import Refused
from serving.settings import Settings

HEALTH = frozenset({"/livez", "/readyz"})  # a probe has no key
KEY_NAMES = frozenset({"key", "api_key", "api-key", "apikey", "x-api-key", "token", "access_token", "authorization"})
DECIDING = frozenset({"/v1/score", "/v1/recommend", "/v1/audiences"})


class Asked:
    """One request's head, read once."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope, self.receive = scope, receive
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            self.headers[name] = b"" if name == b"host" and name in self.headers else value

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1").strip()

    @property
    def has_body(self) -> bool:
        return b"transfer-encoding" in self.headers or self.header(b"content-length") not in ("", "0")


def check_host(asked: Asked, settings: Settings) -> None:
    """Answer only under our own names, and no page of another site."""
    host = asked.header(b"host").lower()
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if name not in settings.allowed_hosts:
        raise Refused(421, "wrong_host", "this name is not served here; see OKAERI_ALLOWED_HOSTS")
    if b"origin" in asked.headers and asked.header(b"origin").lower() not in (
        f"http://{host}",
        f"https://{host}",
    ):
        raise Refused(403, "cross_origin", "requests from other sites are not answered")


def check_key(asked: Asked, settings: Settings) -> None:
    """Let in who shows a live key with the right scope; without keys, only this machine."""
    if not settings.keys:
        if not _is_this_machine((asked.scope.get("server") or ("", None))[0]):
            raise Refused(403, "no_key", "without API keys only this machine is answered")
        return
    if KEY_NAMES & {name.lower() for name, _ in parse_qsl(asked.scope["query_string"].decode("latin-1"), True)}:
        raise _unauthorised()
    scheme, _, bearer = asked.header(b"authorization").partition(" ")
    shown = bearer.strip() if scheme.lower() == "bearer" else asked.header(b"x-api-key")
    digest = hashlib.sha256(shown.encode("latin-1")).digest()
    found = [key for key in settings.keys if hmac.compare_digest(key.digest, digest)]
    if not found:
        raise _unauthorised()
    if not any(scope_of(asked.method, asked.path) in key.scopes for key in found):
        raise Refused(403, "forbidden", "this key may not do that")


def scope_of(method: str, path: str) -> str:
    """The scope that a request needs; whatever is not known to be harmless needs ``write``.

    >>> scope_of("GET", "/v1/release"), scope_of("POST", "/v1/score"), scope_of("DELETE", "/v1/customers/C1")
    ('read', 'decide', 'erase')
    >>> scope_of("GET", "/v1/decisions/5f0c"), scope_of("POST", "/v1/outcomes")
    ('read', 'write')
    """
    if method in ("GET", "HEAD", "OPTIONS"):
        return "read"
    if method == "DELETE":
        return "erase"
    if path in DECIDING:
        return "decide"
    return "release" if path.startswith("/v1/release") else "write"


@lru_cache(maxsize=64)
def _is_this_machine(address: str) -> bool:
    """Whether the address a request came in by is a loopback one; a name (a test, a socket file) is."""
    try:
        ip = ip_address(address)
    except ValueError:
        return True
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return (mapped or ip).is_loopback


def _unauthorised() -> Refused:
    return Refused(401, "unauthorised", "show a live key as `Authorization: Bearer KEY` or `X-API-Key: KEY`")
