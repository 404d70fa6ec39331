"""One module per vendor's attribute names: a table, and readers for what a table cannot say.

A module has `NAME`, `RULES` (field -> attributes, best first), and where needed `KINDS` (attribute
-> its values -> kind), `FLAT` (prefixes of flattened keys) and `MESSAGES` / `OUTPUTS` (readers of
structured content, each with the name `explain-span` shows). Detection is by the presence of an
attribute: version strings on the wire lie. The order of modules is in `rules.DIALECTS`.
"""
