"""The signatures and envelopes of WeChat's pushes: what proves that a callback is WeChat's, and what hides it.

WeChat's docs, "message push": a signature is the SHA-1 of the sorted, joined parts; an envelope is AES-256-CBC over
random(16) + length(4, big-endian) + message + app id, padded to blocks of 32.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

RANDOM_BYTES = 16
LENGTH_BYTES = 4
HEAD_BYTES = RANDOM_BYTES + LENGTH_BYTES
AES_KEY_CHARACTERS = 43
AES_KEY_BYTES = 32
IV_BYTES = 16
# WeChat pads to 32, not to the cipher's own 16: an ordinary PKCS#7 unpadder refuses every second message.
BLOCK_BYTES = 32


class BadEnvelope(Exception):
    """The envelope cannot be opened: damaged, made with another key, or meant for another app. The text says which."""


@dataclass(frozen=True, slots=True)
class CallbackKeys:
    """What a mini-program and WeChat share about callbacks.

    ``app_id``: the receiver, part of every envelope. ``token``: signs. ``aes_key``: WeChat's EncodingAESKey, 43 letters
    and digits, or empty in plain-text mode.
    """

    app_id: str
    token: str = field(repr=False)
    aes_key: str = field(default="", repr=False)


def signature(*parts: str) -> str:
    """Return the SHA-1, in lower-case hex, of the parts sorted bytewise and joined.

    Parts of ``signature`` are token, timestamp and nonce; ``msg_signature`` adds the Base64 text of ``Encrypt`` exactly
    as it stands in the body (WeChat's docs: message push, "verify the message").
    """
    # surrogatepass: the parts come from strangers, and a lone surrogate must be a wrong signature, not an exception.
    joined = b"".join(sorted(part.encode("utf-8", "surrogatepass") for part in parts))
    return hashlib.sha1(joined).hexdigest()  # noqa: S324 - WeChat's choice


def signature_matches(given: str, *parts: str) -> bool:
    """Return whether ``given`` is the signature of the parts, in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), signature(*parts).encode("ascii"))


def encrypt(plain: bytes, *, keys: CallbackKeys, random: bytes | None = None) -> str:
    """Return ``plain`` in WeChat's envelope, as Base64 text.

    ``random``: exactly 16 bytes; chosen freshly unless a test fixes it. Raises ``ValueError`` for another length and
    ``BadEnvelope`` when ``keys.aes_key`` is not an EncodingAESKey.
    """
    # ASCII, as WeChat's own are: some receivers decode the whole text before they cut the random part off.
    random = secrets.token_hex(RANDOM_BYTES // 2).encode("ascii") if random is None else random
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"random must be {RANDOM_BYTES} bytes, not {len(random)}")
    full = random + len(plain).to_bytes(LENGTH_BYTES, "big") + plain + keys.app_id.encode()
    pad = BLOCK_BYTES - len(full) % BLOCK_BYTES
    encryptor = _cipher(keys).encryptor()
    return base64.b64encode(encryptor.update(full + bytes([pad]) * pad) + encryptor.finalize()).decode("ascii")


def decrypt(encrypted: str, *, keys: CallbackKeys) -> bytes:
    """Return the message inside an envelope. Check the signature first.

    Raises ``BadEnvelope`` for anything wrong: Base64, size, padding, length field, an envelope for another app id, or
    an unusable ``keys.aes_key``.
    """
    cipher = _cipher(keys)
    try:
        hidden = base64.b64decode(encrypted, validate=True)
    except ValueError as error:
        raise BadEnvelope("not Base64") from error
    if not hidden or len(hidden) % BLOCK_BYTES:
        raise BadEnvelope(f"{len(hidden)} bytes are not whole blocks of {BLOCK_BYTES}")
    decryptor = cipher.decryptor()
    full = _without_padding(decryptor.update(hidden) + decryptor.finalize())
    end = HEAD_BYTES + int.from_bytes(full[RANDOM_BYTES:HEAD_BYTES], "big")
    if len(full) < HEAD_BYTES or end > len(full):
        raise BadEnvelope("the length field points past the end")
    if full[end:] != keys.app_id.encode():
        raise BadEnvelope("meant for another app id")
    return full[HEAD_BYTES:end]


def _without_padding(padded: bytes) -> bytes:
    pad = padded[-1]
    if not 1 <= pad <= BLOCK_BYTES or padded[-pad:] != bytes([pad]) * pad:
        raise BadEnvelope("wrong padding")
    return padded[:-pad]


def _cipher(keys: CallbackKeys) -> Cipher[CBC]:
    """Return the cipher; its IV is the head of the key (WeChat's docs show it only in their sample code)."""
    try:
        # Not strict about spare bits: the console hands out keys whose 43rd character carries some.
        key = base64.b64decode(f"{keys.aes_key}=")
    except ValueError as error:
        raise BadEnvelope("the EncodingAESKey is not Base64") from error
    if len(keys.aes_key) != AES_KEY_CHARACTERS or len(key) != AES_KEY_BYTES:
        raise BadEnvelope(f"the EncodingAESKey must be {AES_KEY_CHARACTERS} letters and digits")
    return Cipher(AES256(key), CBC(key[:IV_BYTES]))
