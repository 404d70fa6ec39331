"""Attribute names kibitz emits: one table, no logic.

Source: OpenTelemetry semantic conventions for generative AI, as of November 2026. Nothing there is
stable and the constants package lags behind, so the strings are ours. `kibitz.*` only for what the
standard lacks.
"""

# --- what kind of call
OPERATION = "gen_ai.operation.name"
OP_CHAT = "chat"
OP_TEXT_COMPLETION = "text_completion"
OP_EMBEDDINGS = "embeddings"
OP_FETCH = "fetch_response"
OP_TOOL = "execute_tool"
OP_AGENT = "invoke_agent"
OP_FLOW = "invoke_workflow"

# --- who answers
PROVIDER = "gen_ai.provider.name"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
ERROR_TYPE = "error.type"

# --- request
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
REQUEST_TOP_P = "gen_ai.request.top_p"
REQUEST_TOP_K = "gen_ai.request.top_k"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_SEED = "gen_ai.request.seed"
REQUEST_STOP = "gen_ai.request.stop_sequences"
REQUEST_FREQUENCY_PENALTY = "gen_ai.request.frequency_penalty"
REQUEST_PRESENCE_PENALTY = "gen_ai.request.presence_penalty"
REQUEST_CHOICE_COUNT = "gen_ai.request.choice.count"
REQUEST_STREAM = "gen_ai.request.stream"
REQUEST_ENCODING_FORMATS = "gen_ai.request.encoding_formats"
REQUEST_REASONING_LEVEL = "gen_ai.request.reasoning.level"
REQUEST_PREVIOUS_RESPONSE_ID = "gen_ai.request.previous_response.id"
OUTPUT_TYPE = "gen_ai.output.type"
REQUEST_SERVICE_TIER = "openai.request.service_tier"
API_TYPE = "openai.api.type"

# --- content: JSON text, message form `[{role, parts: [{type, ...}], name?, finish_reason?}]`
SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
TOOL_DEFINITIONS = "gen_ai.tool.definitions"

# --- response
FINISH_REASONS = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK_S = "gen_ai.response.time_to_first_chunk"
EMBEDDING_DIMENSIONS = "gen_ai.embeddings.dimension.count"
SERVICE_TIER = "openai.response.service_tier"
SYSTEM_FINGERPRINT = "openai.response.system_fingerprint"

# --- tokens: input includes cache reads and writes, output includes reasoning
USAGE_INPUT = "gen_ai.usage.input_tokens"
USAGE_OUTPUT = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_WRITE = "gen_ai.usage.cache_write.input_tokens"
USAGE_CACHE_CREATION = "gen_ai.usage.cache_creation.input_tokens"  # the constants package's name
USAGE_REASONING = "gen_ai.usage.reasoning.output_tokens"

# --- tools, agents, flows, prompts
TOOL_NAME = "gen_ai.tool.name"
TOOL_TYPE = "gen_ai.tool.type"
TOOL_DESCRIPTION = "gen_ai.tool.description"
TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_RESULT = "gen_ai.tool.call.result"
TOOL_CALL_ID = "gen_ai.tool.call.id"
AGENT_NAME = "gen_ai.agent.name"
WORKFLOW_NAME = "gen_ai.workflow.name"
PROMPT_NAME = "gen_ai.prompt.name"
PROMPT_VERSION = "gen_ai.prompt.version"
PROMPT_VARIABLE = "gen_ai.prompt.variable."  # prefix

# --- grouping
CONVERSATION_ID = "gen_ai.conversation.id"
SESSION_ID = "session.id"
USER_ID = "user.id"

# --- evaluation results: log records named EVALUATION_EVENT
EVALUATION_EVENT = "gen_ai.evaluation.result"
EVALUATION_NAME = "gen_ai.evaluation.name"
EVALUATION_SCORE = "gen_ai.evaluation.score.value"
EVALUATION_LABEL = "gen_ai.evaluation.score.label"
EVALUATION_EXPLANATION = "gen_ai.evaluation.explanation"

# --- resource
SERVICE_NAME = "service.name"
SERVICE_VERSION = "service.version"
ENVIRONMENT = "deployment.environment.name"

# --- exceptions: event and its attributes
EXCEPTION_EVENT = "exception"
EXCEPTION_TYPE = "exception.type"
EXCEPTION_MESSAGE = "exception.message"
EXCEPTION_STACKTRACE = "exception.stacktrace"

# --- ours
FILE_PATH = "kibitz.file.path"
FILE_TYPE = "kibitz.file.type"  # prompt, tool, flow, agent, evaluator
FILE_CONTENT = "kibitz.file.content"  # JSON object: what the Version is made of
LOG_INPUTS = "kibitz.log.inputs"  # JSON object
LOG_OUTPUT = "kibitz.log.output"  # JSON value
LOG_ID = "kibitz.log.id"  # when the Log's id is not the one derived from the span
RUN_ID = "kibitz.run_id"  # of the evaluation run that the Log belongs to
DATAPOINT_ID = "kibitz.datapoint_id"  # of the datapoint that it is about
METADATA = "kibitz.metadata"  # JSON object
TAGS = "kibitz.tags"  # list of strings
RECORD = "kibitz.record"  # "start" on a start record
AMBIENT_PARENT = "kibitz.ambient_parent"  # hex span id of the host's own span around ours
KEEP_PROBABILITY = "kibitz.keep_probability"  # 0 < p <= 1, absent when 1
CAPTURE = "kibitz.capture"  # metadata or redacted, absent when full
TRUNCATED = "kibitz.truncated"  # JSON object: attribute name -> original size in bytes
REPLACED = (
    "kibitz.replaced"  # JSON object: attribute name -> what could not be kept (NaN, characters)
)
ABANDONED = "abandoned"  # finish reason of a stream left early

# --- ours, on log records
FILE_REGISTER_EVENT = "kibitz.file.register"  # FILE_PATH, FILE_TYPE, FILE_CONTENT
JUDGED_LOG_ID = "kibitz.judged_log_id"
JUDGMENT_WHERE = (
    "kibitz.judgment.where"  # guardrail, run, test, notebook, human, feedback, external
)
JUDGMENT_VALUE = "kibitz.judgment.value"  # JSON value: bool, number, string, list of strings, null
JUDGMENT_ID = "kibitz.judgment.id"  # makes a retry the same judgment
