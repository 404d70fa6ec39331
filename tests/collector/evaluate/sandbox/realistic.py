"""Evaluators as people write them: name -> (source, return type, Log, wanted value)."""

from typing import Any

from kibitz_collector.records import ReturnType

CHAT: dict[str, Any] = {
    "id": "log_1",
    "kind": "prompt",
    "inputs": {"question": "Where is my order?", "order_id": "A-17"},
    "output": "Your order A-17 will arrive on 2026-11-24. Thank you for waiting!",
    "output_message": {"role": "assistant", "content": "Your order A-17 will arrive soon."},
    "messages": [
        {"role": "system", "content": "Be polite. Answer in English."},
        {"role": "user", "content": "Where is my order A-17?"},
    ],
    "error": None,
    "model": "gpt-4o-mini",
    "metadata": {"plan": "pro", "language": "en"},
    "user": "u1",
    "start_time": "2026-11-21T14:00:00.250000+00:00",
    "end_time": "2026-11-21T14:00:01.750000+00:00",
    "provider_latency": 1.5,
    "prompt_tokens": 420,
    "output_tokens": 64,
    "cost": 0.0021,
    "finish_reason": "stop",
    "children": [],
}
JSON_LOG = {**CHAT, "output": '```json\n{"items": [{"sku": "a", "qty": 2}], "total": 19.9}\n```'}
FLOW = {
    "id": "log_9",
    "kind": "flow",
    "output": "done",
    "children": [
        {"kind": "tool", "name": "search", "output": "The moon is 384400 km away.", "children": []},
        {"kind": "prompt", "name": "answer", "cost": 0.01, "error": None, "children": []},
        {"kind": "prompt", "name": "check", "cost": 0.02, "error": "timeout", "children": []},
    ],
}
CSV_LOG = {**CHAT, "output": "name,qty\nanna,3\nbert,4\n"}
XML_LOG = {**CHAT, "output": "<answer><city>Bern</city></answer>"}

REALISTIC: dict[str, tuple[str, ReturnType, dict[str, Any], Any]] = {
    "is polite": (
        "def evaluator(log):\n    return any(w in log['output'] for w in ('please', 'Thank'))",
        "boolean", CHAT, True,
    ),
    "output is JSON": (
        """
import json, re
def evaluator(log):
    text = re.sub(r"^```(?:json)?|```$", "", log["output"].strip(), flags=re.M).strip()
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True
""", "boolean", JSON_LOG, True),
    "JSON has the fields wanted": (
        """
import json
REQUIRED = {"items": list, "total": float}
def evaluator(log):
    data = json.loads(log["output"].strip("`").removeprefix("json"))
    return all(isinstance(data.get(k), t) for k, t in REQUIRED.items())
""", "boolean", JSON_LOG, True),
    "counts words": (
        "def evaluator(log):\n    return len(log['output'].split())", "number", CHAT, 11,
    ),
    "echoes the order id": (
        "def evaluator(log):\n    return log['inputs']['order_id'] in log['output']",
        "boolean", CHAT, True,
    ),
    "no e-mail addresses leak": (
        """
import re
EMAIL = re.compile(r"[\\w.+-]+@[\\w-]+\\.[\\w.]+")
def evaluator(log):
    return not EMAIL.search(log["output"])
""", "boolean", CHAT, True),
    "mentions a date": (
        """
import re
from datetime import date
def evaluator(log):
    found = re.search(r"\\d{4}-\\d{2}-\\d{2}", log["output"])
    return bool(found) and date.fromisoformat(found.group()) > date(2026, 11, 21)
""", "boolean", CHAT, True),
    "parses a date by format": (
        """
from datetime import datetime
def evaluator(log):
    return datetime.strptime("21 Nov 2026", "%d %b %Y").weekday()
""", "number", CHAT, 5),
    "latency from the times": (
        """
from datetime import datetime
def evaluator(log):
    start, end = (datetime.fromisoformat(log[k]) for k in ("start_time", "end_time"))
    return (end - start).total_seconds()
""", "number", CHAT, 1.5),
    "cost per thousand tokens": (
        "def evaluator(log):\n    return round(1000 * log['cost'] / log['output_tokens'], 4)",
        "number", CHAT, 0.0328,
    ),
    "similarity to the question": (
        """
from difflib import SequenceMatcher
def evaluator(log):
    return SequenceMatcher(None, log["inputs"]["question"], log["inputs"]["question"]).ratio()
""", "number", CHAT, 1.0),
    "cosine of word counts": (
        """
import math, re
from collections import Counter
def vector(text): return Counter(re.findall(r"\\w+", text.lower()))
def cosine(a, b):
    dot = sum(a[w] * b[w] for w in a)
    return dot / math.sqrt(sum(v * v for v in a.values()) * sum(v * v for v in b.values()))
def evaluator(log):
    return round(cosine(vector(log["output"]), vector(log["messages"][-1]["content"])), 2)
""", "number", CHAT, 0.33),
    "Levenshtein distance": (
        """
from functools import lru_cache
def evaluator(log):
    a, b = "kitten", "sitting"
    @lru_cache(maxsize=None)
    def d(i, j):
        if i == 0 or j == 0:
            return i + j
        return min(d(i-1, j) + 1, d(i, j-1) + 1, d(i-1, j-1) + (a[i-1] != b[j-1]))
    return d(len(a), len(b))
""", "number", CHAT, 3),
    "classifies by keywords": (
        """
RULES = {"delivery": ("order", "arrive"), "refund": ("refund", "money")}
def evaluator(log):
    scores = {k: sum(w in log["output"].lower() for w in v) for k, v in RULES.items()}
    return max(scores, key=lambda name: scores[name])
""", "select", CHAT, "delivery"),
    "tags several topics": (
        """
def evaluator(log):
    return sorted({w for w in ("order", "thank", "refund") if w in log["output"].lower()})
""", "multi_select", CHAT, ["order", "thank"]),
    "explains itself in text": (
        "def evaluator(log):\n    return f\"{log['model']}: {log['finish_reason']}\"",
        "text", CHAT, "gpt-4o-mini: stop",
    ),
    "abstains without output": (
        "def evaluator(log):\n    if not log.get('missing'):\n        return None\n    return True",
        "boolean", CHAT, None,
    ),
    "uses a dataclass": (
        """
from dataclasses import asdict, dataclass, field
@dataclass
class Score:
    points: int = 0
    notes: list[str] = field(default_factory=list)
def evaluator(log):
    score = Score()
    score.points += 1
    score.notes.append("ok")
    return asdict(score)["points"]
""", "number", CHAT, 1),
    "uses an enum and inheritance": (
        """
from enum import Enum
class Verdict(str, Enum):
    GOOD = "good"
    BAD = "bad"
class Base:
    def judge(self, log): raise NotImplementedError
class Length(Base):
    def judge(self, log): return Verdict.GOOD if len(log["output"]) > 10 else Verdict.BAD
def evaluator(log):
    return Length().judge(log).value
""", "select", CHAT, "good"),
    "uses a generator and a context manager": (
        """
from contextlib import contextmanager
@contextmanager
def section(name):
    yield name
def lines(text):
    for line in text.splitlines():
        yield line.strip()
def evaluator(log):
    with section("a"):
        return sum(1 for _ in lines(log["output"]))
""", "number", CHAT, 1),
    "uses statistics": (
        """
import statistics
def evaluator(log):
    lengths = [len(m["content"]) for m in log["messages"]]
    return statistics.fmean(lengths)
""", "number", CHAT, 26.0),
    "compares decimals": (
        """
from decimal import Decimal
def evaluator(log):
    return Decimal("0.1") + Decimal("0.2") == Decimal("0.3")
""", "boolean", CHAT, True),
    "hashes the output": (
        """
import hashlib, base64
def evaluator(log):
    digest = hashlib.sha256(log["output"].encode()).digest()
    return len(base64.b64encode(digest))
""", "number", CHAT, 44),
    "reads CSV": (
        """
import csv, io
def evaluator(log):
    rows = list(csv.DictReader(io.StringIO(log["output"])))
    return sum(int(row["qty"]) for row in rows)
""", "number", CSV_LOG, 7),
    "reads XML": (
        """
import xml.etree.ElementTree as ET
def evaluator(log):
    return ET.fromstring(log["output"]).findtext("city")
""", "text", XML_LOG, "Bern"),
    "strips HTML": (
        """
from html.parser import HTMLParser
class Text(HTMLParser):
    def __init__(self):
        super().__init__()
        self.parts = []
    def handle_data(self, data): self.parts.append(data)
def evaluator(log):
    parser = Text()
    parser.feed(log["output"])
    return "".join(parser.parts)
""", "text", XML_LOG, "Bern"),
    "checks links": (
        """
from urllib.parse import urlsplit
def evaluator(log):
    return urlsplit("https://example.com/a?b=1").hostname == "example.com"
""", "boolean", CHAT, True),
    "sums the cost of a trace": (
        "def evaluator(log):\n    return sum(c['cost'] for c in log.find(kind='prompt'))",
        "number", FLOW, 0.03,
    ),
    "finds errors below a flow": (
        """
def walk(log):
    yield log
    for child in log["children"]:
        yield from walk(child)
def evaluator(log):
    return not any(one.get("error") for one in walk(log))
""", "boolean", FLOW, False),
    "answer is grounded in the search": (
        """
import re
def evaluator(log):
    facts = " ".join(t["output"] for t in log.find(kind="tool", name="search"))
    return set(re.findall(r"\\d+", facts)) == {"384400"}
""", "boolean", FLOW, True),
    "matches with patterns": (
        """
def evaluator(log):
    match log["output_message"]:
        case {"role": "assistant", "content": str(text)} if text:
            return True
        case _:
            return False
""", "boolean", CHAT, True),
    "is async": (
        "async def evaluator(log):\n    return log['user'] == 'u1'", "boolean", CHAT, True,
    ),
    "logs and prints": (
        """
import logging, pprint, sys
def evaluator(log):
    pprint.pprint(log["metadata"])
    logging.getLogger("x").warning("seen")
    print("to stderr", file=sys.stderr)
    return True
""", "boolean", CHAT, True),
    "knows the clock and chance": (
        """
import random, secrets, time, uuid
def evaluator(log):
    time.sleep(0.001)
    return bool(uuid.uuid4()) and random.random() < 1 and secrets.randbelow(5) < 5 < time.time()
""", "boolean", CHAT, True),
    "validates with its own exception": (
        """
class Broken(ValueError):
    pass
def check(log):
    if len(log["messages"]) < 2:
        raise Broken("too short")
def evaluator(log):
    try:
        check(log)
    except Broken:
        return False
    return True
""", "boolean", CHAT, True),
}  # fmt: skip
