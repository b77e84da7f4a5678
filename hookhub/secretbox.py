"""Secrets encrypted at rest, under keys that can be changed. Pure.

AES-256-GCM with a key id, and not the library's MultiFernet: that says InvalidToken of a text that
none of its keys sealed as of one that was damaged. Here the two are told apart, and finding what is
still sealed with an old key needs no decryption. Its limit, 2³²
texts for one key with random nonces (NIST SP 800-38D §8.3), is beyond any number of webhooks.

Sealed text is ``sealed:v1:<key id>:<base64url of nonce, ciphertext and tag>``; prefix and key id
are authenticated with it.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hookhub.contracts.errors import ConfigError, StoreError, ValidationFailed

PREFIX = "sealed:v1:"
KEY_MIN = 32
"""Characters of a key."""

_RESERVED = "sealed:"
_KEY_ID = 8
_NONCE = 12


class SecretBox:
    """Seals texts with its first key and opens what any of its keys sealed.

    To change the key, put the new one first and keep the old one behind it until
    :meth:`needs_sealing` is false for every stored text. A box without keys seals nothing and
    hands plain text through, so that a hub without ``[auth] secret_key`` works the same.

    Args:
        keys: at least 32 characters each, random ones: a key is derived from them with
            HKDF-SHA-256, which does not make a password out of a guessable phrase.

    Raises:
        ConfigError: a key is too short.
    """

    __slots__ = ("_ciphers", "_first")

    def __init__(self, keys: Sequence[str]) -> None:
        if isinstance(keys, str):
            raise TypeError("keys is a sequence of keys, not one key")
        for key in keys:
            if len(key) < KEY_MIN:
                raise ConfigError(
                    f"[auth] secret_key has {len(key)} characters and needs at least {KEY_MIN}; "
                    "make one with: openssl rand -base64 32"
                )
        pairs = [_derive(key) for key in keys]
        self._first = pairs[0][0] if pairs else None
        self._ciphers = dict(pairs)

    def __repr__(self) -> str:
        return f"<SecretBox with {len(self._ciphers)} keys>"

    def seal(self, text: str) -> str:
        """The text encrypted with the first key; as it is if the box has none.

        Raises:
            ValidationFailed: the text looks like a sealed one.
        """
        if text.startswith(_RESERVED):
            raise ValidationFailed(f"A secret must not begin with {_RESERVED!r}; choose another.")
        if self._first is None:
            return text
        head = f"{PREFIX}{self._first}:"
        nonce = os.urandom(_NONCE)
        plain = text.encode("utf-8", "surrogatepass")
        sealed = nonce + self._ciphers[self._first].encrypt(nonce, plain, head.encode("ascii"))
        return head + base64.urlsafe_b64encode(sealed).decode("ascii")

    def open(self, text: str) -> str:
        """The text that was sealed; one that never was is handed through.

        Raises:
            ConfigError: no key of the box sealed it; says which setting to mend.
            StoreError: the sealed text was damaged.
        """
        if not text.startswith(_RESERVED):
            return text
        key_id, sealed = _parse(text)
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise ConfigError(_no_key(key_id, self._ciphers))
        head = f"{PREFIX}{key_id}:".encode("ascii")
        try:
            plain = cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], head)
        except (InvalidTag, ValueError):
            raise _damaged() from None
        return plain.decode("utf-8", "surrogatepass")

    def needs_sealing(self, text: str) -> bool:
        """Whether ``seal(open(text))`` should take its place: it is plain, or under an old key."""
        return self._first is not None and not text.startswith(f"{PREFIX}{self._first}:")


def _derive(key: str) -> tuple[str, AESGCM]:
    """The key's id and its cipher. The id is derived apart and says nothing about the key."""
    # One HKDF with 36 bytes: the first 32 are the key, and none of them follow from the last four.
    material = HKDF(algorithm=SHA256(), length=36, salt=None, info=b"hookhub secretbox v1").derive(
        key.encode("utf-8", "surrogatepass")
    )
    return material[32:].hex(), AESGCM(material[:32])


def _parse(text: str) -> tuple[str, bytes]:
    if not text.startswith(PREFIX):
        raise StoreError(
            "A secret in the database is sealed in a way that this version of hookhub does not "
            "know; run the version that sealed it, or a newer one."
        )
    key_id, _, encoded = text[len(PREFIX) :].partition(":")
    try:
        sealed = base64.b64decode(encoded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _damaged() from None
    if len(key_id) != _KEY_ID or len(sealed) < _NONCE:
        raise _damaged()
    return key_id, sealed


def _no_key(key_id: str, known: dict[str, AESGCM]) -> str:
    if not known:
        return (
            f"A secret in the database is sealed (with the key {key_id}), and [auth] secret_key is "
            "not set; set it to the key that was used."
        )
    return (
        f"A secret in the database is sealed with the key {key_id}, and [auth] secret_key has only "
        f"{', '.join(known)}; put the old key back behind the new one, or set the secret anew."
    )


def _damaged() -> StoreError:
    return StoreError(
        "A sealed secret in the database was damaged; restore it from a backup, or set the secret "
        "anew."
    )
