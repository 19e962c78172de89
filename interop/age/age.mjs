// The age-encryption package behind a line of JSON, so that a test in any language can drive it.
//   {"do": "generate"}                                  → {"identity", "recipient"}     post-quantum hybrid
//   {"do": "recipient", "identity"}                     → {"recipient"}
//   {"do": "seal", "recipients": [...], "data": b64}    → {"data": b64}
//   {"do": "open", "identity", "data": b64}             → {"data": b64} or {"error"}
import * as age from "age-encryption";
import { createInterface } from "node:readline";

const tasks = {
  async generate() {
    const identity = await age.generateHybridIdentity();
    return { identity, recipient: await age.identityToRecipient(identity) };
  },
  async recipient({ identity }) {
    return { recipient: await age.identityToRecipient(identity) };
  },
  async seal({ recipients, data }) {
    const sealer = new age.Encrypter();
    for (const recipient of recipients) sealer.addRecipient(recipient);
    return { data: Buffer.from(await sealer.encrypt(Buffer.from(data, "base64"))).toString("base64") };
  },
  async open({ identity, data }) {
    const opener = new age.Decrypter();
    opener.addIdentity(identity);
    return { data: Buffer.from(await opener.decrypt(Buffer.from(data, "base64"))).toString("base64") };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let answer;
  try {
    answer = await tasks[request.do](request);
  } catch (error) {
    answer = { error: String(error.message ?? error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
