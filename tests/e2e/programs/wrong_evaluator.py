"""An app whose evaluators are wrong in two ways the collector must tell about.

Arguments: URL of the collector. Both register; one does not give what it says it gives, the other
fails in its third line.
"""

import sys

import kibitz

kibitz.init(sys.argv[1], service="shop")


@kibitz.evaluator(path="checks/wrong_type", return_type="boolean", on="shop/answer")
def wrong_type(log):
    return "yes"


@kibitz.evaluator(path="checks/failing", return_type="number", on="shop/answer")
def failing(log):
    text = log["output"]
    return int(text)


@kibitz.flow(path="shop/answer")
def answer(question: str) -> str:
    return question.upper()


print(answer("hello"))
kibitz.flush(20)
