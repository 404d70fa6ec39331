"""Waits, with the SDK imported, for programs to run: each in a process that is forked off.

Importing the SDK takes longer than most scenarios. A line of JSON comes in, [[program, argument,
…], file for stdout, file for stderr, seconds it may take]; the exit code goes out, negative for a
signal.
"""

import contextlib
import importlib
import json
import os
import runpy
import signal
import sys

PROVIDERS = ("openai", "anthropic", "bedrock", "cohere", "groq", "replicate")
INSTRUMENTED = ("chat.completions", "completions", "embeddings", "images", "responses")

importlib.import_module("humanloop")
for name in (
    *PROVIDERS,
    *(f"opentelemetry.instrumentation.{provider}" for provider in PROVIDERS),
    *(f"openai.resources.{part}" for part in (*INSTRUMENTED, "beta.assistants", "beta.threads")),
    "anthropic.resources.beta.messages.messages",
):
    with contextlib.suppress(ImportError):  # not every environment has every one
        importlib.import_module(name)

for line in sys.stdin:
    arguments, out, errors, limit_s = json.loads(line)
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
        continue
    signal.alarm(limit_s)
    for path, place in ((os.devnull, 0), (out, 1), (errors, 2)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), place)
    sys.argv = arguments
    # As if it had been started: found beside itself, and ending as any program does.
    sys.path[0] = os.path.dirname(arguments[0])
    runpy.run_path(arguments[0], run_name="__main__")
    break
