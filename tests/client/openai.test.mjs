// The official OpenAI client against a running cluster: HEARTH_URL=http://localhost:52415 npm test
// HEARTH_MODEL names a model that is ready there (ember); HEARTH_URL_2 another device of the same cluster.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI, { APIUserAbortError, BadRequestError, NotFoundError } from 'openai';

const url = process.env.HEARTH_URL;
if (!url) throw new Error('set HEARTH_URL to the address of a device, as http://localhost:52415');
const model = process.env.HEARTH_MODEL ?? 'ember';
const connect = (to) => new OpenAI({ baseURL: `${to}/v1`, apiKey: 'unused', maxRetries: 0, timeout: 60_000 });
const client = connect(url);

const greedy = { model, messages: [{ role: 'user', content: 'Tell me about the sea.' }], temperature: 0, max_tokens: 24 };

async function textOf(params, through = client) {
  const completion = await through.chat.completions.create(params);
  return completion.choices[0].message.content;
}

async function chunksOf(params) {
  const chunks = [];
  for await (const chunk of await client.chat.completions.create({ ...params, stream: true })) chunks.push(chunk);
  return chunks;
}

const joined = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');

test('models can be listed and looked up', async () => {
  const models = [];
  for await (const each of client.models.list()) models.push(each);
  const listed = models.find((each) => each.id === model);
  assert.equal(listed.object, 'model');
  assert.equal(listed.running, true);
  assert.deepEqual(await client.models.retrieve(model), listed);
});

test('a completion has text, a reason and usage', async () => {
  const completion = await client.chat.completions.create(greedy);
  assert.equal(completion.object, 'chat.completion');
  assert.match(completion.id, /^chatcmpl-/);
  assert.equal(completion.model, model);
  assert.ok(Math.abs(completion.created - Date.now() / 1000) < 600);
  assert.equal(completion.choices.length, 1);
  const [choice] = completion.choices;
  assert.equal(choice.message.role, 'assistant');
  assert.ok(choice.message.content.length > 0);
  const { usage } = completion;
  assert.ok(usage.prompt_tokens > 0);
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  assert.equal(choice.finish_reason, usage.completion_tokens === greedy.max_tokens ? 'length' : 'stop');
});

test('a stream brings the same text, with the role once', async () => {
  const chunks = await chunksOf(greedy);
  assert.equal(joined(chunks), await textOf(greedy));
  assert.ok(chunks.every((chunk) => chunk.object === 'chat.completion.chunk' && chunk.id === chunks[0].id));
  assert.deepEqual(chunks.map((chunk) => chunk.choices[0].delta.role).filter(Boolean), ['assistant']);
  assert.equal(chunks[0].choices[0].delta.role, 'assistant');
  const reasons = chunks.map((chunk) => chunk.choices[0].finish_reason);
  assert.ok(['stop', 'length'].includes(reasons.pop()));
  assert.ok(reasons.every((reason) => reason === null));
  assert.ok(chunks.every((chunk) => !('usage' in chunk)));
});

test('include_usage adds a last chunk', async () => {
  const chunks = await chunksOf({ ...greedy, stream_options: { include_usage: true } });
  const last = chunks.pop();
  assert.deepEqual(last.choices, []);
  const { usage } = await client.chat.completions.create(greedy);
  assert.equal(last.usage.prompt_tokens, usage.prompt_tokens);
  assert.equal(last.usage.completion_tokens, usage.completion_tokens);
  assert.ok(chunks.every((chunk) => chunk.usage === null));
});

test('the stream helper puts a completion together', async () => {
  const completion = await client.chat.completions.stream(greedy).finalChatCompletion();
  assert.equal(completion.choices[0].message.content, await textOf(greedy));
});

test('a stop string ends the answer and is not part of it', async () => {
  const whole = await textOf(greedy);
  const words = whole.split(' ');
  assert.ok(words.length >= 4, whole);
  const stop = words[2] + ' ' + words[3];
  const before = whole.slice(0, whole.indexOf(stop));
  const completion = await client.chat.completions.create({ ...greedy, stop: [stop] });
  assert.equal(completion.choices[0].message.content, before);
  assert.equal(completion.choices[0].finish_reason, 'stop');
  assert.equal(joined(await chunksOf({ ...greedy, stop })), before);
});

test('a seed makes sampling repeatable', async () => {
  // A small model is sure of its answers: only a high temperature makes it waver.
  const sampled = { ...greedy, temperature: 2, seed: 7 };
  const first = await textOf(sampled);
  assert.equal(await textOf(sampled), first);
  const others = await Promise.all([8, 9, 10, 11].map((seed) => textOf({ ...sampled, seed })));
  assert.ok(others.some((other) => other !== first));
});

test('requests at the same time do not mix', async () => {
  const expected = await textOf(greedy);
  const texts = await Promise.all(Array.from({ length: 8 }, () => textOf(greedy)));
  assert.deepEqual(texts, Array(8).fill(expected));
});

test('a stream can be aborted, and the device goes on', async () => {
  const stream = await client.chat.completions.create({ ...greedy, max_tokens: 400, stream: true });
  let seen = 0;
  for await (const chunk of stream) {
    seen += chunk.choices.length;
    if (seen === 3) stream.controller.abort();
  }
  assert.ok(seen >= 3);
  const aborted = new AbortController();
  const waiting = client.chat.completions.create({ ...greedy, max_tokens: 400 }, { signal: aborted.signal });
  aborted.abort();
  await assert.rejects(waiting, APIUserAbortError);
  assert.ok((await textOf(greedy)).length > 0);
});

test('an unknown model is a NotFoundError', async () => {
  await assert.rejects(textOf({ ...greedy, model: 'no-such-model' }), (error) => {
    assert.ok(error instanceof NotFoundError);
    assert.equal(error.code, 'model_not_found');
    assert.equal(error.type, 'not_found_error');
    return true;
  });
  await assert.rejects(client.models.retrieve('no-such-model'), NotFoundError);
});

test('wrong and unsupported fields are BadRequestErrors that name them', async () => {
  const wrong = {
    temperature: 3,
    max_tokens: 'many',
    messages: [],
    n: 2,
    tools: [{ type: 'function', function: { name: 'f' } }],
    response_format: { type: 'json_object' },
    logprobs: true,
  };
  for (const [param, value] of Object.entries(wrong)) {
    for (const stream of [true, false]) {
      await assert.rejects(client.chat.completions.create({ ...greedy, [param]: value, stream }), (error) => {
        assert.ok(error instanceof BadRequestError, `${param}: ${error}`);
        assert.equal(error.param, param);
        assert.equal(error.type, 'invalid_request_error');
        return true;
      });
    }
  }
});

test('a prompt longer than the context is a BadRequestError with its own code', async () => {
  const { context_length: context } = await client.models.retrieve(model);
  const messages = [{ role: 'user', content: 'word '.repeat(context * 2) }];
  for (const stream of [true, false]) {
    await assert.rejects(client.chat.completions.create({ ...greedy, messages, stream }), (error) => {
      assert.ok(error instanceof BadRequestError);
      assert.equal(error.code, 'context_length_exceeded');
      return true;
    });
  }
});

test('another device gives the same answer', { skip: !process.env.HEARTH_URL_2 && 'only one device' }, async () => {
  assert.equal(await textOf(greedy, connect(process.env.HEARTH_URL_2)), await textOf(greedy));
});
