"""The one filter language: text to tree, tree to predicate, and the words both engines search."""

from kibitz_collector.query.ast import EVERYTHING, And, Comparison, Node, Not, Op, Or, Text, Value
from kibitz_collector.query.fields import FIELDS, Field
from kibitz_collector.query.matcher import compile_match, match
from kibitz_collector.query.parser import parse
from kibitz_collector.query.simplify import simplify
from kibitz_collector.query.unparse import unparse

__all__ = [
    "EVERYTHING",
    "FIELDS",
    "And",
    "Comparison",
    "Field",
    "Node",
    "Not",
    "Op",
    "Or",
    "Text",
    "Value",
    "compile_match",
    "match",
    "parse",
    "simplify",
    "unparse",
]
