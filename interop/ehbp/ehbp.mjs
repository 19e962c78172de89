// The ehbp package under the openai package, behind a line of JSON, so that a test in any language can drive them.
//   {"do": "discover", "url"}                                       → {"key": hex}       from the well-known place
//   {"do": "complete", "url", "key", "apiKey", "model", "prompt"}   → {"text", "finish", "tokens", "path"}
//   {"do": "stream", …}                                             → {"text", "finish", "events"}
//   {"do": "plain", …}     the openai package alone, in clear
// A failure is {"error": the class's name, "status", "code", "message"}.
import { Identity, Transport, createTransport } from "ehbp";
import OpenAI from "openai";
import { createInterface } from "node:readline";

// Retries would hide what the server said first.
const options = ({ url, apiKey }) => ({ baseURL: `${url}/v1`, apiKey, maxRetries: 0, timeout: 240_000 });

async function sealed(task) {
  const identity = await Identity.fromPublicKeyHex(task.key);
  const transport = new Transport(identity, new URL(task.url).host);
  return new OpenAI({ ...options(task), fetch: (input, init) => transport.request(input, init) });
}

const question = ({ model, prompt }) => ({
  model,
  messages: [{ role: "user", content: prompt }],
  max_tokens: 8,
  temperature: 0,
});

async function complete(client, task) {
  const answer = await client.chat.completions.create(question(task));
  const [choice] = answer.choices;
  return { text: choice.message.content, finish: choice.finish_reason, tokens: answer.usage.completion_tokens };
}

const tasks = {
  async discover({ url }) {
    return { key: await (await createTransport(url)).getServerPublicKeyHex() };
  },
  async complete(task) {
    return complete(await sealed(task), task);
  },
  async stream(task) {
    const stream = await (await sealed(task)).chat.completions.create({ ...question(task), stream: true });
    const seen = { text: "", finish: null, events: 0 };
    for await (const { choices: [choice] } of stream) {
      seen.text += choice.delta.content ?? "";
      seen.finish = choice.finish_reason ?? seen.finish;
      seen.events += 1;
    }
    return seen;
  },
  async models(task) {
    const found = await (await sealed(task)).models.list();
    return { models: found.data.map((model) => model.id) };
  },
  async plain(task) {
    return complete(new OpenAI(options(task)), task);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const task = JSON.parse(line);
  let answer;
  try {
    answer = await tasks[task.do](task);
  } catch (error) {
    const { status = null, code = null, message } = error;
    answer = { error: error.constructor.name, cause: error.cause?.constructor.name ?? null, status, code, message };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
