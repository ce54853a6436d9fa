"""Owns sealing texts with a key that only a client has: what is stored so, nobody else can read."""

from __future__ import annotations

import hashlib

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

_HEADER = {"alg": "dir", "enc": "A256GCM"}  # RFC 7518 4.5, 5.3


def sealed(text: str, key: str) -> str:
    """`text`, encrypted (JWE, RFC 7516)."""
    return jwe.encrypt_compact(_HEADER, text.encode(), _key(key))


def opened(text: str, key: str) -> str:
    """What `sealed` made of a text with the same key. Raises ValueError: it was another one."""
    try:
        plain = jwe.decrypt_compact(text, _key(key)).plaintext
    except JoseError:
        raise ValueError("sealed with another key") from None
    assert plain is not None
    return plain.decode()


def _key(key: str) -> OctKey:
    return OctKey.import_key(hashlib.blake2b(key.encode(), digest_size=32).digest())
