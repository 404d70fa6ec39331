// Scenarios driven through the unmodified Node SDK in an environment of its own.
// Arguments: scenario, base URL of /v5, base URL of the model server. Exits with an error when
// something is not as it should be.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { Humanloop, HumanloopClient, HumanloopError } = require("humanloop");
const { OpenAI } = require("openai");

const [, , scenario, baseUrl, modelUrl] = process.argv;
const client = new HumanloopClient({
  apiKey: "hl_sk_test",
  baseUrl,
  instrumentProviders: { OpenAI },
});
const HI = [{ role: "user", content: "hi" }];
const TEMPLATE = [{ role: "system", content: "You are {{person}}." }];

async function all(pages) {
  const found = [];
  for await (const one of await pages) found.push(one);
  return found;
}

async function refused(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return assert.fail("this was not refused");
}

// Files: upserts, Versions, deployments, moves, refusals.
async function files() {
  const body = { path: "a/b/p", model: "gpt-4o", template: TEMPLATE, temperature: 0.5 };
  const one = await client.prompts.upsert(body);
  const same = await client.prompts.upsert(body);
  const other = await client.prompts.upsert({ ...body, temperature: 0.6, versionName: "warm" });
  assert.equal(one.versionId, same.versionId);
  assert.notEqual(one.versionId, other.versionId);
  assert.equal(one.id, other.id);
  assert.deepEqual(one.inputs, [{ name: "person" }]);
  assert.ok(one.createdAt instanceof Date);
  assert.equal((await client.prompts.listVersions(one.id)).records.length, 2);
  assert.equal((await client.prompts.get(one.id)).versionId, one.versionId);
  const places = await client.prompts.listEnvironments(one.id);
  const staging = places.find((place) => place.name === "staging").id;
  await client.prompts.setDeployment(one.id, staging, { versionId: other.versionId });
  const deployed = await client.prompts.get(one.id, { environment: "staging" });
  assert.equal(deployed.versionId, other.versionId);
  await client.prompts.removeDeployment(one.id, staging);
  await client.prompts.move(one.id, { path: "c/q" });
  assert.equal((await client.files.retrieveByPath({ path: "c/q" })).id, one.id);
  const missing = await refused(() => client.files.retrieveByPath({ path: "a/b/p" }));
  assert.ok(missing instanceof HumanloopError);
  assert.equal(missing.statusCode, 404);
  assert.ok(missing.body.detail);
  const wrong = await refused(() => client.prompts.upsert({ model: "m" }));
  assert.ok(wrong instanceof Humanloop.UnprocessableEntityError, wrong.constructor.name);
  assert.ok(Array.isArray(wrong.body.detail));
  const clash = await refused(() =>
    client.prompts.upsert({ ...body, path: "c/q", model: "m", versionName: "warm" }),
  );
  assert.equal(clash.statusCode, 409);
  const tool = await client.tools.upsert({
    path: "t",
    function: { name: "look", description: "Looks.", parameters: { type: "object" } },
  });
  assert.equal(tool.type, "tool");
  const flow = await client.flows.upsert({ path: "f", attributes: { a: { b: [1, null] } } });
  assert.deepEqual(flow.attributes, { a: { b: [1, null] } });
  const evaluator = await client.evaluators.upsert({
    path: "e",
    spec: {
      argumentsType: "target_free",
      returnType: "boolean",
      evaluatorType: "python",
      code: "def e(log):\n    return True\n",
    },
  });
  const watched = await client.prompts.updateMonitoring(one.id, {
    activate: [{ evaluatorVersionId: evaluator.versionId }],
  });
  const judged = watched.evaluators.map((attached) => attached.versionReference.version);
  assert.ok(judged.some((version) => version && version.path === "e"), JSON.stringify(judged));
  const directories = (await client.directories.list()).map((one) => one.path);
  assert.ok(directories.includes("c"));
  await client.prompts.delete(one.id);
  assert.equal((await refused(() => client.prompts.get(one.id))).statusCode, 404);
}

// Logs: all fields come back; null clears; pages; deletion.
async function logs() {
  const made = await client.prompts.log({
    path: "persona",
    environment: "staging",
    promptLogRequestEnvironment: "production",
    prompt: { model: "gpt-4", template: TEMPLATE },
    messages: HI,
    inputs: { person: "Ada" },
    createdAt: new Date("2024-07-19T00:29:35.178Z"),
    outputMessage: { role: "assistant", content: "well" },
    promptTokens: 100,
    outputCost: 0.0002,
    finishReason: "stop",
    metadata: { a: [1, { b: null }] },
  });
  const log = await client.logs.get(made.id);
  assert.equal(log.outputMessage.content, "well");
  assert.equal(log.promptTokens, 100);
  assert.equal(log.createdAt.toISOString(), "2024-07-19T00:29:35.178Z");
  assert.deepEqual(log.metadata, { a: [1, { b: null }] });
  assert.equal(log.environment, "production");
  const flow = await client.flows.log({
    path: "f",
    flow: { attributes: {} },
    inputs: { q: "1" },
    logStatus: "incomplete",
  });
  const child = await client.tools.log({ path: "t", tool: {}, traceParentId: flow.id, output: "b" });
  await client.flows.updateLog(flow.id, { output: "x", logStatus: "complete" });
  const whole = await client.logs.get(flow.id);
  assert.deepEqual(whole.traceChildren.map((one) => one.id), [child.id]);
  assert.equal(whole.logStatus, "complete");
  for (let number = 0; number < 4; number++) {
    await client.prompts.log({ path: "persona", prompt: { model: "gpt-4" }, output: `${number}` });
  }
  const listed = await all(client.logs.list({ fileId: made.promptId, size: 2 }));
  assert.equal(new Set(listed.map((one) => one.id)).size, 5);
  await client.logs.delete({ id: [made.id, flow.id] });
  assert.equal((await all(client.logs.list({ fileId: made.promptId, size: 100 }))).length, 4);
}

// Calls: whole, streamed, refused by the provider.
async function calls() {
  const prompt = { model: "gpt-4o", template: TEMPLATE };
  const answer = await client.prompts.call({
    path: "p",
    prompt,
    messages: HI,
    inputs: { person: "Ada" },
    numSamples: 2,
  });
  assert.deepEqual(answer.logs.map((one) => one.index), [0, 1]);
  assert.equal(answer.logs[0].output, "you said hi");
  assert.ok(answer.prompt.versionId.startsWith("prv_"));
  const pieces = [];
  const stream = await client.prompts.callStream({
    path: "p",
    messages: [{ role: "user", content: "say [DONE] twice [DONE]" }],
    inputs: { person: "Ada" },
  });
  for await (const piece of stream) pieces.push(piece);
  const said = pieces.map((piece) => piece.output ?? "").join("");
  assert.equal(said, "you said say [DONE] twice [DONE]");
  assert.ok(pieces.every((piece) => piece.id && piece.promptId && piece.versionId));
  const messages = [{ role: "user", content: "fail 400" }];
  const failed = await refused(() =>
    client.prompts.call({ path: "p", messages, inputs: { person: "Ada" } }),
  );
  assert.equal(failed.constructor.name, "HumanloopRuntimeError"); // it is not exported
}

// Pages of Files, and datapoints from a CSV file.
async function pages() {
  for (let number = 0; number < 7; number++) {
    await client.flows.upsert({ path: `many/flow ${number}`, attributes: { number } });
  }
  const listed = await all(client.flows.list({ size: 3, sortBy: "name", order: "desc" }));
  assert.deepEqual(listed.map((one) => one.name), [6, 5, 4, 3, 2, 1, 0].map((n) => `flow ${n}`));
  const page = await client.flows.list({ size: 5 });
  assert.equal(page.data.length, 5);
  assert.ok(page.hasNextPage());
  assert.equal((await page.getNextPage()).data.length, 2);
  const dataset = await client.datasets.upsert({
    path: "d",
    datapoints: [{ inputs: { q: "1" }, target: { a: 1 } }],
  });
  const file = path.join(os.tmpdir(), `kibitz-${process.pid}.csv`);
  fs.writeFileSync(file, "q,target\nfrom a stream,yes\n");
  const more = await client.datasets.uploadCsv(fs.createReadStream(file), dataset.id, {
    versionName: "streamed",
  });
  fs.rmSync(file);
  assert.equal(more.datapointsCount, 2);
  assert.equal(more.versionName, "streamed");
  const blob = new Blob(["q,target\nfrom a blob,no\n"]);
  const most = await client.datasets.uploadCsv(blob, dataset.id, { versionId: more.versionId });
  assert.equal(most.datapointsCount, 3);
  const points = await all(
    client.datasets.listDatapoints(dataset.id, { versionId: most.versionId, size: 2 }),
  );
  assert.deepEqual(points.map((one) => one.inputs.q), ["1", "from a stream", "from a blob"]);
}

// A flow with tools and a prompt inside: one trace, whatever order its spans arrive in.
async function decorators() {
  const openai = new OpenAI({ apiKey: "test", baseURL: modelUrl, maxRetries: 0 });
  const calculator = client.tool({
    path: "demo/calculator",
    callable: (inputs) => {
      if (inputs.a < 0) throw new Error("bad op");
      return inputs.a + inputs.b;
    },
    version: {
      function: {
        name: "calculator",
        description: "Adds.",
        strict: true,
        parameters: {
          type: "object",
          required: ["a", "b"],
          properties: { a: { type: ["integer", "null"] }, b: { type: "number" } },
          additionalProperties: false,
        },
      },
    },
  });
  const ask = client.prompt({
    path: "demo/prompt",
    callable: async (inputs) => {
      const answer = await openai.chat.completions.create({
        model: "gpt-4o-mini",
        temperature: 0.7,
        max_tokens: 50,
        messages: inputs.messages,
      });
      return answer.choices[0].message.content;
    },
  });
  const flow = client.flow({
    path: "demo/flow",
    attributes: { version: "v1" },
    callable: async (inputs) => {
      await calculator({ a: 1, b: 2.5 });
      await calculator({ a: -1, b: 2 }).catch(() => null);
      return await ask({ messages: [{ role: "user", content: inputs.question }] });
    },
  });
  const said = await flow({ question: "When do you open?" });
  const whole = await waitFor("demo/flow", (log) => log.traceChildren.length === 3);
  assert.equal(whole.output, said);
  assert.deepEqual(whole.inputs, { question: "When do you open?" });
  const tools = whole.traceChildren.filter((one) => one.tool);
  const [prompt] = whole.traceChildren.filter((one) => one.prompt);
  assert.equal(prompt.outputMessage.content, said);
  assert.equal(prompt.prompt.temperature, 0.7);
  assert.equal(prompt.prompt.maxTokens, 50);
  assert.equal(tools.length, 2);
  const done = tools.find((one) => !one.error);
  assert.deepEqual(done.inputs, { a: 1, b: 2.5 });
  assert.equal(done.output, "3.5");
  assert.equal(tools.find((one) => one.error).error, "bad op");
  const parameters = done.tool.function.parameters;
  assert.deepEqual(parameters.required, ["a", "b"]);
  assert.deepEqual(parameters.properties.a.type, ["integer", "null"]);
  assert.equal(parameters.additionalProperties, false);
}

async function waitFor(filePath, isThere) {
  for (let turn = 0; turn < 300; turn++) {
    const file = await client.files.retrieveByPath({ path: filePath }).catch(() => null);
    if (file) {
      for (const one of await all(client.logs.list({ fileId: file.id, size: 50 }))) {
        const log = await client.logs.get(one.id);
        if (log.logStatus === "complete" && isThere(log)) return log;
      }
    }
    await new Promise((done) => setTimeout(done, 100));
  }
  return assert.fail(`nothing complete at ${filePath}`);
}

// An evaluation of a local callable; run twice, so that the second is compared with the first.
async function evaluate() {
  const run = (answer) =>
    client.evaluations.run({
      name: "Capitals",
      file: {
        path: "flow/qa",
        type: "flow",
        callable: (inputs) => {
          if (inputs.question === "boom") throw new Error("kaput");
          return answer;
        },
        version: { v: answer },
      },
      dataset: {
        path: "datasets/d",
        datapoints: [
          { inputs: { question: "2+2" }, target: { answer: "4" } },
          { inputs: { question: "2+3" }, target: { answer: "5" } },
          { inputs: { question: "boom" }, target: { answer: "6" } },
        ],
      },
      evaluators: [
        {
          path: "evaluators/exact",
          callable: ({ log, datapoint }) => log.output === datapoint.target.answer,
          argsType: "target_required",
          returnType: "boolean",
          threshold: 0.3,
        },
      ],
    });
  const [first] = await run("4");
  assert.equal(first.path, "evaluators/exact");
  assert.equal(first.thresholdCheck, true);
  const [second] = await run("6");
  assert.equal(second.evaluationId, first.evaluationId);
  const stats = await client.evaluations.getStats(first.evaluationId);
  assert.equal(stats.status, "completed");
  assert.deepEqual(stats.runStats.map((one) => one.numLogs), [3, 3]);
}

const SCENARIOS = { files, logs, calls, pages, decorators, evaluate };
SCENARIOS[scenario]().catch((error) => {
  console.error(error, error.body, error.cause);
  process.exit(1);
});
