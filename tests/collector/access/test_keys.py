"""Keys are random, kept as hashes, and page cookies die with them."""

from kibitz_collector.access.keys import (
    cookie_is_valid,
    cookie_key_id,
    hash_key,
    make_cookie,
    make_key,
)


def test_key_text_is_not_in_what_is_kept() -> None:
    key, other = make_key(), make_key()
    assert key.text != other.text
    assert key.hash == hash_key(key.text)
    assert key.text not in key.hash + key.hint
    assert key.hint.startswith(key.text[:11])


def test_cookie_is_good_only_for_its_key_and_time() -> None:
    key = make_key()
    cookie = make_cookie("key_1", key.hash, now_s=1000)
    assert cookie_key_id(cookie) == "key_1"
    assert cookie_is_valid(cookie, key.hash, now_s=1001)
    assert not cookie_is_valid(cookie, make_key().hash, now_s=1001)
    assert not cookie_is_valid(cookie, key.hash, now_s=1000 + 31 * 86400)
    assert not cookie_is_valid(cookie.replace("key_1.", "key_1.9"), key.hash, now_s=1001)
    for broken in ("", "a.b", "a.b.c", "key_1.x.y", "é.1.é"):
        assert not cookie_is_valid(broken, key.hash)
