"""Our own SDK: what `kibitz.semconv` adds to the OpenTelemetry names."""

from kibitz import semconv as sc

NAME = "kibitz"
RULES = {
    "file_path": (sc.FILE_PATH,),
    "file_content": (sc.FILE_CONTENT,),
    "inputs": (sc.LOG_INPUTS,),
    "output_exact": (sc.LOG_OUTPUT,),
    "log_id": (sc.LOG_ID,),
    "run_id": (sc.RUN_ID,),
    "datapoint_id": (sc.DATAPOINT_ID,),
    "metadata": (sc.METADATA,),
    "tags": (sc.TAGS,),
    "record": (sc.RECORD,),
    "keep_probability": (sc.KEEP_PROBABILITY,),
    "truncated": (sc.TRUNCATED,),
}
KINDS = {
    sc.FILE_TYPE: {
        "prompt": "prompt",
        "tool": "tool",
        "flow": "flow",
        "agent": "agent",
        "evaluator": "evaluator",
    }
}
