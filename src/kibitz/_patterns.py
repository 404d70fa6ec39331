"""Secret formats: each a literal anchor, found in one pass over a record, and a pattern for a hit.

The secret patterns run over the record's bytes, JSON escapes and all, so none may match a quote
that is not part of its kept head, group 1.

Source: the vendors' own descriptions of their key formats, as of November 2026.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Pattern(NamedTuple):
    """One format; `anchors` are literals of which one occurs in every match.

    `sieve` is a pattern of Rust's `regex`, without look-around, for where ordinary text has the
    anchors as well, and instead of them where it is full of them. It hits wherever `regexes` do.
    """

    name: str
    anchors: tuple[str, ...]
    regexes: tuple[str, ...]
    sieve: str = ""


def _pattern(name: str, anchors: str, *regexes: str, sieve: str = "") -> Pattern:
    return Pattern(name, tuple(anchors.split()), regexes, sieve)


_W = r"[A-Za-z0-9_-]"
_END = r"(?![A-Za-z0-9])"
_NAME = r"(?:password|passwd|secret|api[_-]?key|(?:access|refresh|auth)[_-]?token)"
_VALUE = r"[^\s\"'\\,;&<>{}\[\]()]"

# The order matters: the first to match takes it. Anchors have three letters or more: shorter ones
# would make the search for all of them ten times slower.
SECRETS: tuple[Pattern, ...] = (
    _pattern(
        "private-key",
        "-----BEGIN",
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?:(?!-----END)[^\"])*"
        r"(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)?",
    ),
    _pattern("anthropic-key", "sk-ant-", rf"sk-ant-{_W}{{16,}}"),
    _pattern("openrouter-key", "sk-or-", rf"sk-or-{_W}{{16,}}"),
    _pattern("langfuse-key", "sk-lf- pk-lf-", r"[sp]k-lf-[0-9a-f-]{16,}"),
    _pattern("openai-key", "sk-", rf"(?<![A-Za-z0-9])sk-(?:proj-|svcacct-|admin-)?{_W}{{20,}}"),
    _pattern(
        "stripe-key", "_live_ _test_", r"(?<![A-Za-z0-9])[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"
    ),
    _pattern("stripe-webhook-secret", "whsec_", r"whsec_[A-Za-z0-9+/=]{24,}"),
    _pattern(
        "aws-access-key",
        "AKIA ASIA ABIA ACCA",
        rf"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{{16}}{_END}",
    ),
    _pattern(
        "aws-secret-key",
        "aws_secret AWS_SECRET aws-secret SecretAccessKey secretAccessKey",
        r"(?i)((?:aws[_-]?secret[_-]?(?:access[_-]?)?key|secretaccesskey)[\\\"'\s:=>]{1,8})"
        r"[A-Za-z0-9/+]{40}",
    ),
    _pattern(
        "aws-bedrock-key", "ABSK bedrock-api-key-", r"(?:ABSK|bedrock-api-key-)[A-Za-z0-9+/=]{40,}"
    ),
    _pattern("google-api-key", "AIza", rf"AIza{_W}{{35}}"),
    _pattern("google-oauth-token", "ya29.", rf"ya29\.{_W}{{20,}}"),
    _pattern("google-oauth-secret", "GOCSPX-", rf"GOCSPX-{_W}{{20,}}"),
    _pattern("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{30,}"),
    _pattern("github-pat", "github_pat_", r"github_pat_[A-Za-z0-9_]{22,}"),
    _pattern(
        "gitlab-token", "glpat- gldt- glrt- glcbt- glptt-", rf"gl(?:pat|dt|rt|cbt|ptt)-{_W}{{18,}}"
    ),
    _pattern(
        "slack-token",
        "xoxa- xoxb- xoxe xoxo- xoxp- xoxr- xoxs-",
        r"xox[abeoprs](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}",
    ),
    _pattern("slack-app-token", "xapp-", r"xapp-\d-[A-Za-z0-9-]{10,}"),
    _pattern(
        "slack-webhook",
        "hooks.slack.com/",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]{20,}",
    ),
    _pattern(
        "discord-webhook",
        "/api/webhooks/",
        rf"(?:discord|discordapp)\.com/api/webhooks/\d{{10,}}/{_W}{{30,}}",
    ),
    _pattern("telegram-bot-token", ":AA", rf"(?<!\d)\d{{8,10}}:AA{_W}{{32,34}}"),
    _pattern(
        "huggingface-token", "hf_ api_org_", r"(?<![A-Za-z0-9])(?:hf|api_org)_[A-Za-z0-9]{30,}"
    ),
    _pattern("groq-key", "gsk_", r"gsk_[A-Za-z0-9]{20,}"),
    _pattern("xai-key", "xai-", rf"xai-{_W}{{40,}}"),
    _pattern("perplexity-key", "pplx-", r"pplx-[A-Za-z0-9]{30,}"),
    _pattern("replicate-token", "r8_", r"(?<![A-Za-z0-9])r8_[A-Za-z0-9]{30,}"),
    _pattern("fireworks-key", "fw_", r"(?<![A-Za-z0-9])fw_[A-Za-z0-9]{20,}"),
    _pattern("tavily-key", "tvly-", rf"tvly-{_W}{{20,}}"),
    _pattern("pinecone-key", "pcsk_", r"pcsk_[A-Za-z0-9_]{40,}"),
    _pattern("langsmith-key", "lsv2_", r"lsv2_(?:pt|sk)_[A-Za-z0-9_]{20,}"),
    _pattern("humanloop-key", "hl_sk_", r"hl_sk_[A-Za-z0-9]{20,}"),
    _pattern("kibitz-key", "kbz_", rf"kbz_{_W}{{20,}}"),
    _pattern("sendgrid-key", "SG.", rf"SG\.{_W}{{16,}}\.{_W}{{16,}}"),
    _pattern("mailgun-key", "key-", r"(?<![A-Za-z0-9-])key-[0-9a-f]{32}"),
    _pattern("npm-token", "npm_", r"npm_[A-Za-z0-9]{36}"),
    _pattern("pypi-token", "pypi-", rf"pypi-AgE{_W}{{50,}}"),
    _pattern("docker-token", "dckr_pat_", rf"dckr_pat_{_W}{{20,}}"),
    _pattern("digitalocean-token", "do_v1_ op_v1_", r"do[opr]_v1_[0-9a-f]{60,}"),
    _pattern("heroku-key", "HRKU-", rf"HRKU-{_W}{{30,}}"),
    _pattern("shopify-token", "shpat_ shpca_ shppa_ shpss_", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    _pattern("square-token", "EAAA sq0", rf"(?:EAAA{_W}{{60}}|sq0(?:atp|csp)-{_W}{{22,}})"),
    _pattern("linear-key", "lin_api_", r"lin_api_[A-Za-z0-9]{30,}"),
    _pattern("notion-token", "ntn_ secret_", r"(?<![A-Za-z0-9])(?:ntn_|secret_)[A-Za-z0-9]{40,}"),
    _pattern("vault-token", "hvs. hvb.", rf"hv[sb]\.{_W}{{20,}}"),
    _pattern("databricks-token", "dapi", r"(?<![A-Za-z0-9])dapi[0-9a-f]{32}(?:-\d)?"),
    _pattern(
        "supabase-key", "sbp_ sb_secret_", r"(?:sbp_[0-9a-f]{40}|sb_secret_[A-Za-z0-9_]{20,})"
    ),
    _pattern("age-key", "AGE-SECRET-KEY-", r"AGE-SECRET-KEY-1[0-9A-Z]{50,}"),
    _pattern(
        "azure-key",
        "AccountKey= SharedAccessKey=",
        r"((?:AccountKey|SharedAccessKey)=)[A-Za-z0-9+/=]{20,}",
    ),
    _pattern("azure-sas", "sig=", r"([?&;]sig=)[A-Za-z0-9%+/=]{30,}"),
    _pattern("jwt", "eyJ", rf"eyJ{_W}{{10,}}\.eyJ{_W}{{10,}}\.{_W}{{10,}}"),
    _pattern(
        "bearer-token",
        "earer EARER",
        r"(?i)(?<![a-z])(bearer\s+)(?=[A-Za-z0-9._~+/-]*[0-9._])[A-Za-z0-9._~+/-]{16,}=*",
        sieve=r"(?i)bearer\s+[A-Za-z0-9._~+/-]{16}",
    ),
    _pattern(
        "basic-auth",
        "asic ASIC",
        r"(?i)(authorization[\\\"'\s:=]{1,8}basic\s+)[A-Za-z0-9+/]{8,}=*",
        sieve=r"(?i)authorization[^a-z]{1,8}basic\s",
    ),
    _pattern(
        "url-password",
        "",
        r"(://[^/\s:@\"\\]{0,64}:)[^/\s@\"\\]{1,256}(?=@)",
        sieve=r'://[^/ :@"\\]*:[^/ @"\\]+@',
    ),
    # Three ways to write it: a JSON key with its value, `name=value`, and `name: value` in prose,
    # where a value without a digit is more likely the next word of the sentence.
    _pattern(
        "named-secret",
        "assword ASSWORD asswd secret SECRET Secret api_key apikey apiKey API_KEY api-key Api-Key "
        "ss_token SS_TOKEN ssToken sh_token shToken th_token TH_TOKEN",
        rf"(?i)({_NAME}\\{{0,3}}\"\s{{0,3}}:\s{{0,3}}\\{{0,3}}\")[^\"\\]{{1,1024}}",
        rf"(?i)({_NAME}=[\\\"']{{0,4}}){_VALUE}{{6,}}",
        rf"(?i)({_NAME}:\s{{0,3}})(?={_VALUE}*\d){_VALUE}{{6,}}",
        sieve=rf'(?i){_NAME}(?:\\{{0,3}}"\s{{0,3}}:|[=:])',
    ),
)

# Off unless asked for: they also hit order numbers and the like, and run on every text.
PERSONAL: dict[str, re.Pattern[str]] = {
    "email": re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+"),
    "card": re.compile(r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w.-]*\d)"),
    "phone": re.compile(
        r"(?<![\w.+-])(?:\+\d{1,3}[ .-]?)?(?:\(\d{1,4}\)[ .-]?|\d{2,4}[ .-])\d{2,4}[ .-]?\d{2,4}"
        r"(?:[ .-]?\d{2,4})?(?![\w-])"
    ),
}
