import hashlib
from dataclasses import fields
from pathlib import Path

import orjson
import zstandard

from kibitz_collector.records import LogBody, LogError
from kibitz_collector.store import dictionary
from kibitz_collector.store.bodies import SeenHashes, decode_body, encode_body

SYSTEM = "You are patient and exact. " * 10


def test_the_dictionary_of_stored_documents_never_changes():
    text = Path(dictionary.__file__).with_name("dictionary.txt").read_bytes()
    assert hashlib.sha256(text).hexdigest() == (
        "c2875843ec87ca010b14b9cc5949a639cbe60f44512e9dbd89f40c4beb237432"
    )


def test_a_document_written_without_the_dictionary_is_read():
    document = zstandard.compress(orjson.dumps([1, {"output": "hello"}, []]))
    assert decode_body(document, {}) == LogBody(output="hello")


def test_a_shared_text_is_taken_out_of_the_raw_attributes_too():
    body = LogBody(
        messages=[{"role": "system", "content": SYSTEM}],
        attributes={"llm.input_messages.0.message.content": SYSTEM, "other": "x"},
    )
    encoded = encode_body(body, SeenHashes())
    assert encoded.document is not None
    plain = zstandard.ZstdDecompressor(dict_data=dictionary.load()).decompress(encoded.document)
    assert SYSTEM[:100].encode() not in plain
    assert list(encoded.contents.values()) == [orjson.dumps(SYSTEM)]
    assert decode_body(encoded.document, encoded.contents) == body


def test_a_long_text_is_shared_from_its_second_sight_on():
    seen, long = SeenHashes(), "word " * 300
    body = LogBody(output=long)
    first, second = encode_body(body, seen), encode_body(body, seen)
    assert first.document is not None
    assert second.document is not None
    assert first.contents == {}
    assert list(second.contents.values()) == [orjson.dumps(long)]
    assert second.size_bytes == first.size_bytes == len(orjson.dumps({"output": long}))
    assert decode_body(first.document, {}) == body
    assert decode_body(second.document, second.contents) == body


def test_what_had_to_be_cleaned_is_not_taken_for_seen():
    body = LogBody(output="word " * 300, inputs={"broken": "\ud800"})
    encoded = encode_body(body, SeenHashes())
    assert not encoded.is_as_given
    assert encoded.contents == {}


def test_a_preview_folds_white_space_and_only_that():
    cases = {
        "a" * 199 + " b": "a" * 199 + " ",
        "a" * 199 + "  b": "a" * 199 + " ",
        "a" * 199 + " ": "a" * 199,
        " a\n b ": "a b",
        "a": "a",
        "": "",
    }
    assert {
        text: encode_body(LogBody(output=text), SeenHashes()).preview_output for text in cases
    } == cases


def test_every_field_of_a_body_is_kept():
    body = LogBody(**{one.name: [{one.name: 1}] for one in fields(LogBody) if one.name != "error"})
    body.error = LogError(type="ValueError", message="no", traceback="line 1")
    encoded = encode_body(body, SeenHashes())
    assert encoded.document is not None
    assert decode_body(encoded.document, encoded.contents) == body
