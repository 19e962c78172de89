// Prints the C2SP age test vectors as one JSON object: name → base64 of the vector file.
import * as vectors from "cctv-age";

const entries = Object.entries(vectors).map(([name, data]) => [name, Buffer.from(data).toString("base64")]);
process.stdout.write(JSON.stringify(Object.fromEntries(entries)));
