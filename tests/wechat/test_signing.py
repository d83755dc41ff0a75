"""Signatures and envelopes against recorded ones, and against wechatpy as a second opinion."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import NotRequired, TypedDict

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from hypothesis import example, given
from hypothesis import strategies as st

from notify_platform.wechat.signing import BadEnvelope, CallbackKeys, decrypt, encrypt, signature, signature_matches


class Recorded(TypedDict):
    name: str
    token: str
    aes_key: str
    app_id: str
    random: str
    message: str
    encrypted: str
    timestamp: NotRequired[str]
    nonce: NotRequired[str]
    signature: NotRequired[str]
    msg_signature: NotRequired[str]


ENVELOPES: dict[str, Recorded] = {
    row["name"]: row for row in json.loads((Path(__file__).parent / "recorded" / "envelopes.json").read_text("utf-8"))
}
KEYS = CallbackKeys(
    app_id="wx1234567890abcdef",
    token="OpsPlatformToken2026",
    aes_key="0123456789abcdefghijklmnopqrstuvwxyzABCDEFG",
)
OPENABLE = [row for name, row in ENVELOPES.items() if name != "V7"]
SIGNED = [row for row in ENVELOPES.values() if "msg_signature" in row]


def keys_of(row: Recorded) -> CallbackKeys:
    return CallbackKeys(app_id=row["app_id"], token=row["token"], aes_key=row["aes_key"])


def name_of(row: Recorded) -> str:
    return row["name"]


def sealed(full: bytes) -> str:
    """Return any bytes encrypted with the key of ``KEYS``: an envelope as broken as the test wants it."""
    key = base64.b64decode(KEYS.aes_key + "=")
    encryptor = Cipher(AES256(key), CBC(key[:16])).encryptor()
    return base64.b64encode(encryptor.update(full) + encryptor.finalize()).decode()


# --- signatures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "timestamp", "nonce", "expected"),
    [
        ("OpsPlatformToken2026", "1767225500", "135791113", "5dd301b2c1f55c8dd21cdb8f76df09723e0fc856"),
        ("OpsPlatformToken2026", "1767229200", "777777777", "eabdd1ffed68815b9b573ddf58e38a1926016fe9"),
        ("AAAAA", "1714036504", "1514711492", "f464b24fc39322e44b38aa78f5edd27bd1441696"),
        ("AAAAA", "1714037059", "486452656", "899cf89e464efb63f54ddac96b0a0a235f53aa78"),
    ],
)
def test_a_plain_signature_is_the_recorded_one(token: str, timestamp: str, nonce: str, expected: str) -> None:
    assert signature(token, timestamp, nonce) == expected
    assert signature_matches(expected, token, timestamp, nonce) is True


@pytest.mark.parametrize("row", [row for row in SIGNED if "signature" in row], ids=name_of)
def test_the_plain_signature_of_a_recorded_push_matches(row: Recorded) -> None:
    assert signature(row["token"], row["timestamp"], row["nonce"]) == row["signature"]


@pytest.mark.parametrize("row", SIGNED, ids=name_of)
def test_the_message_signature_of_a_recorded_push_matches(row: Recorded) -> None:
    assert signature(row["token"], row["timestamp"], row["nonce"], row["encrypted"]) == row["msg_signature"]


def test_a_signature_does_not_depend_on_the_order_of_its_parts() -> None:
    assert signature("b", "a", "10", "9") == signature("9", "10", "a", "b")


def test_parts_are_sorted_by_their_bytes_not_by_their_utf16_units() -> None:
    # U+FFE5 comes before U+1F381 in bytes and after it in UTF-16.
    assert signature("￥", "🎁") == signature("￥🎁")


def test_the_plain_signature_does_not_pass_for_a_message_signature() -> None:
    row = ENVELOPES["V2"]
    assert signature_matches(row["signature"], row["token"], row["timestamp"], row["nonce"], row["encrypted"]) is False


def test_one_changed_character_in_the_envelope_breaks_the_signature() -> None:
    row = ENVELOPES["V2"]
    changed = "A" + row["encrypted"][1:]
    assert changed != row["encrypted"]
    assert signature_matches(row["msg_signature"], row["token"], row["timestamp"], row["nonce"], changed) is False


def test_the_nonce_of_another_push_breaks_the_signature() -> None:
    row, other = ENVELOPES["V2"], ENVELOPES["V3"]
    parts = (row["token"], row["timestamp"], other["nonce"], row["encrypted"])
    assert signature_matches(row["msg_signature"], *parts) is False


@pytest.mark.parametrize("given_signature", ["", "签名", "\ud800", "F464B24FC39322E44B38AA78F5EDD27BD1441696"])
def test_a_strange_signature_is_wrong_and_not_an_error(given_signature: str) -> None:
    assert signature_matches(given_signature, "AAAAA", "1714036504", "1514711492") is False


def test_a_lone_surrogate_in_a_part_is_signed_and_not_an_error() -> None:
    assert signature_matches("0" * 40, "token", "1", "\ud800") is False


# --- envelopes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", OPENABLE, ids=name_of)
def test_a_recorded_envelope_opens_to_its_message(row: Recorded) -> None:
    assert decrypt(row["encrypted"], keys=keys_of(row)).decode() == row["message"]


@pytest.mark.parametrize("row", OPENABLE, ids=name_of)
def test_encrypting_with_the_recorded_random_gives_the_recorded_envelope(row: Recorded) -> None:
    sealed_again = encrypt(row["message"].encode(), keys=keys_of(row), random=row["random"].encode())
    assert sealed_again == row["encrypted"]


def test_an_envelope_for_another_app_is_refused_although_its_signature_is_right() -> None:
    row = ENVELOPES["V7"]
    assert signature_matches(row["msg_signature"], row["token"], row["timestamp"], row["nonce"], row["encrypted"])
    with pytest.raises(BadEnvelope, match="another app id"):
        decrypt(row["encrypted"], keys=KEYS)


def test_an_envelope_made_with_another_key_is_refused() -> None:
    with pytest.raises(BadEnvelope):
        decrypt(ENVELOPES["V2"]["encrypted"], keys=replace(KEYS, aes_key="A" * 43))


@pytest.mark.parametrize(
    ("encrypted", "reason"),
    [
        ("not base64!", "not Base64"),
        ("密文", "not Base64"),
        ("", "0 bytes"),
        (base64.b64encode(b"x" * 16).decode(), "16 bytes"),
        (base64.b64encode(b"x" * 33).decode(), "33 bytes"),
        (sealed(b"r" * 31 + b"\x00"), "padding"),
        (sealed(b"r" * 31 + b"\x21"), "padding"),
        (sealed(b"r" * 30 + b"\x01\x02"), "padding"),
        (sealed(b"r" * 16 + b"\x7f\xff\xff\xff" + b"r" * 11 + b"\x01"), "length field"),
        (sealed(b"\x20" * 32), "length field"),
        (sealed(b"r" * 19 + b"\x0d" * 13), "length field"),
        (sealed(b"r" * 16 + b"\x00\x00\x00\x00" + KEYS.app_id.encode() + b"!" + b"\x19" * 25), "another app id"),
    ],
)
def test_a_broken_envelope_is_refused_with_its_reason(encrypted: str, reason: str) -> None:
    with pytest.raises(BadEnvelope, match=reason):
        decrypt(encrypted, keys=KEYS)


@pytest.mark.parametrize("aes_key", ["", "short", "A" * 42, "A" * 44, "!" * 43, "钥" * 43])
def test_a_key_that_is_no_encoding_aes_key_is_refused_both_ways(aes_key: str) -> None:
    keys = replace(KEYS, aes_key=aes_key)
    with pytest.raises(BadEnvelope, match="EncodingAESKey"):
        decrypt(ENVELOPES["V2"]["encrypted"], keys=keys)
    with pytest.raises(BadEnvelope, match="EncodingAESKey"):
        encrypt(b"hello", keys=keys)


def test_a_key_with_spare_bits_in_its_last_character_is_the_same_key() -> None:
    # 43 characters carry 258 bits, the key has 256: E, F, G and H at the end mean the same, a strict decoder disagrees.
    spare = replace(KEYS, aes_key=KEYS.aes_key[:-1] + "H")
    assert decrypt(ENVELOPES["V2"]["encrypted"], keys=spare).decode() == ENVELOPES["V2"]["message"]


def test_each_envelope_is_different() -> None:
    assert encrypt(b"hello", keys=KEYS) != encrypt(b"hello", keys=KEYS)


def test_a_random_part_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes, not 3"):
        encrypt(b"hello", keys=KEYS, random=b"abc")


@given(st.binary(max_size=300))
def test_whatever_is_sealed_opens_again(plain: bytes) -> None:
    assert decrypt(encrypt(plain, keys=KEYS), keys=KEYS) == plain


@given(st.binary(min_size=32, max_size=128))
def test_random_bytes_never_open_and_never_crash(noise: bytes) -> None:
    with pytest.raises(BadEnvelope):
        decrypt(base64.b64encode(noise).decode(), keys=KEYS)


def test_keys_do_not_show_their_secrets() -> None:
    assert repr(KEYS) == "CallbackKeys(app_id='wx1234567890abcdef')"


# --- wechatpy as a second opinion ------------------------------------------------------------------------------------


# Any text the wire can carry, of any length up to and beyond some blocks of padding.
MESSAGES = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
# XML, where wechatpy puts its answer, has no room for anything else.
STAMPS = st.integers(min_value=1, max_value=4_102_444_799).map(str)
NONCES = st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=16)


@pytest.mark.filterwarnings("ignore")
@given(message=MESSAGES, timestamp=STAMPS, nonce=NONCES)
@example(message="", timestamp="1", nonce="0")
@example(message="x" * 186, timestamp="1767225900", nonce="20202020")
@example(message="<xml><Content>你好🎁</Content></xml>", timestamp="1767225661", nonce="42")
def test_wechatpy_opens_our_envelope(message: str, timestamp: str, nonce: str) -> None:
    from wechatpy.crypto import WeChatCrypto

    encrypted = encrypt(message.encode(), keys=KEYS)
    theirs = WeChatCrypto(KEYS.token, KEYS.aes_key, KEYS.app_id)
    signed = signature(KEYS.token, timestamp, nonce, encrypted)
    assert theirs.decrypt_message({"Encrypt": encrypted}, signed, timestamp, nonce) == message


@pytest.mark.filterwarnings("ignore")
@given(message=MESSAGES, timestamp=STAMPS, nonce=NONCES)
@example(message="", timestamp="1", nonce="0")
@example(message="x" * 186, timestamp="1767225900", nonce="20202020")
@example(message="<xml><Content>你好🎁</Content></xml>", timestamp="1767225661", nonce="42")
def test_we_open_the_envelope_of_wechatpy(message: str, timestamp: str, nonce: str) -> None:
    from wechatpy.crypto import WeChatCrypto

    reply = WeChatCrypto(KEYS.token, KEYS.aes_key, KEYS.app_id).encrypt_message(message, nonce, timestamp)
    encrypted, signed = (
        re.findall(rf"<{tag}><!\[CDATA\[(.*?)\]\]></{tag}>", reply)[0] for tag in ("Encrypt", "MsgSignature")
    )
    assert signature_matches(signed, KEYS.token, timestamp, nonce, encrypted) is True
    assert decrypt(encrypted, keys=KEYS).decode() == message


@pytest.mark.filterwarnings("ignore")
@given(message=MESSAGES, spoiled=st.sampled_from(["signature", "nonce", "app_id"]))
def test_wechatpy_refuses_what_we_refuse(message: str, spoiled: str) -> None:
    from wechatpy.crypto import WeChatCrypto
    from wechatpy.exceptions import InvalidAppIdException, InvalidSignatureException

    keys = replace(KEYS, app_id="wxfedcba0987654321") if spoiled == "app_id" else KEYS
    encrypted = encrypt(message.encode(), keys=keys)
    signed = signature(KEYS.token, "1767225661", "42", encrypted)
    given_signature = signed[::-1] if spoiled == "signature" and signed != signed[::-1] else signed
    nonce = "43" if spoiled == "nonce" else "42"

    theirs = WeChatCrypto(KEYS.token, KEYS.aes_key, KEYS.app_id)
    refusal = InvalidAppIdException if spoiled == "app_id" else InvalidSignatureException
    with pytest.raises(refusal):
        theirs.decrypt_message({"Encrypt": encrypted}, given_signature, "1767225661", nonce)
    if spoiled == "app_id":
        with pytest.raises(BadEnvelope, match="another app id"):
            decrypt(encrypted, keys=KEYS)
    else:
        assert signature_matches(given_signature, KEYS.token, "1767225661", nonce, encrypted) is False
