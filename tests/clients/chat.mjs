// What the tests ask of OpenAI's own library for Node. It prints what came of it, as JSON.
import OpenAI from "openai";

const [baseURL, apiKey, model, image] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const user = (content) => ({ role: "user", content });
const tools = [{ type: "function", function: { name: "weather", parameters: {
  type: "object", properties: { city: { type: "string" } }, required: ["city"] } } }];
const said = {};

said.models = [];
for await (const one of client.models.list()) said.models.push(one.id);
said.model = (await client.models.retrieve(model)).id;

said.whole = await client.chat.completions.create({ model, messages: [user("hello")] });

const stream = await client.chat.completions.create({
  model, messages: [user("hello")], stream: true, stream_options: { include_usage: true } });
said.chunks = [];
for await (const chunk of stream) said.chunks.push(chunk);

const messages = [user("weather in Paris?")];
const asked = await client.chat.completions.stream({ model, messages, tools }).finalChatCompletion();
said.called = asked.choices[0];
for (const call of asked.choices[0].message.tool_calls) {
  messages.push({ role: "assistant", content: asked.choices[0].message.content, tool_calls: [call] });
  messages.push({ role: "tool", tool_call_id: call.id, content: "rain" });
}
said.answered = await client.chat.completions.create({ model, messages, tools });

said.seen = await client.chat.completions.create({ model, messages: [user([
  { type: "text", text: "what is this?" }, { type: "image_url", image_url: { url: image } }])] });

said.errors = [];
const wrong = new OpenAI({ baseURL, apiKey: "ak_wrong", maxRetries: 0 });
for (const attempt of [
  () => wrong.models.list(),
  () => client.chat.completions.create({ model: "agent/nobody", messages: [user("hi")] }),
  () => client.chat.completions.create({ model, messages: [user("hi")], n: 2 }),
]) {
  try { await attempt(); said.errors.push(null); } catch (error) {
    said.errors.push([error.constructor.name, error.status, error.code, error.param]);
  }
}
process.stdout.write(JSON.stringify(said));
