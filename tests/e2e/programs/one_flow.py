"""An app of one flow that knows nothing of how its collector is.

Arguments: URL of the collector, question. Prints the answer; says on its error stream what failed.
"""

import sys

import kibitz

kibitz.init(sys.argv[1], service="shop")


@kibitz.tool(path="shop/lookup")
def lookup(question: str) -> str:
    return question.upper()


@kibitz.flow(path="shop/answer")
def answer(question: str) -> str:
    return lookup(question)


print(answer(sys.argv[2]))
