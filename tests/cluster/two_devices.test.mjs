// Two devices find each other and answer one chat together.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { allSee, answerOfOneDevice, idOf, placeEmber, ranksOf, startDevices, untilReady } from './cluster.mjs';
import { removeDevices } from './device.mjs';
import { eventually } from './eventually.mjs';
import { network } from './network.mjs';

const questions = ['What is the capital of France?', 'What is 2 plus 3?', 'Tell me a short story.'];

after(() => removeDevices());
const [a, b] = await startDevices(['a', 'b'], { cluster: 'home' });
let instance;

test(`two devices find each other ${network.discovers ? 'by mDNS' : 'by --peer'}`, async () => {
  await allSee([a, b], ['a', 'b']);
  const [state, other] = [await a.state(), await b.state()];
  assert.equal(state.cluster.name, 'home');
  assert.equal(state.cluster.coordinator, other.cluster.coordinator);
  const [idA, idB] = [await idOf(a), await idOf(b)];
  assert.notEqual(idA, idB);
  assert.equal(state.self, idA);
  assert.deepEqual([...state.topology.nodes].sort(), [idA, idB].sort());
  assert.equal(state.topology.connections[idA][idB].length, 1);
  assert.ok(state.nodeMemory[idB].ramTotal.inBytes > 0);
  assert.deepEqual(state.nodeStatus[idB].models.includes('ember'), true);
});

test('a preview tells what a placement would do', async () => {
  const { previews } = await a.get('/instance/previews?model_id=ember');
  assert.deepEqual(previews.map((preview) => preview.min_nodes), [1, 2]);
  assert.equal(ranksOf(previews[1].instance).length, 2);
  assert.equal(previews[1].error, null);
});

test('Ember runs as a pipeline over both', async () => {
  instance = await placeEmber(a, 2);
  const ranks = ranksOf(await untilReady(b, instance));
  assert.equal(ranks.length, 2);
  assert.deepEqual(ranks.map((rank) => rank.device).sort(), [await idOf(a), await idOf(b)].sort());
  assert.equal(ranks[0].layers[0], 0);
  assert.equal(ranks[0].layers[1], ranks[1].layers[0]);
  assert.ok(ranks.every(({ layers: [begin, end] }) => begin < end));
  assert.equal(a.runnerPids().length, 1);
  assert.equal(b.runnerPids().length, 1);
});

test('both devices give the answer of one device alone', async () => {
  for (const question of questions) {
    const reference = answerOfOneDevice(question);
    assert.ok(reference.length > 0);
    assert.equal((await a.ask(question)).trim(), reference);
    assert.equal((await b.ask(question)).trim(), reference);
  }
});

test('requests through both devices at once are answered alike', async () => {
  const asked = Array.from({ length: 12 }, (_, i) => ({ device: i % 2 ? a : b, question: questions[i % 3] }));
  const answers = await Promise.all(asked.map(({ device, question }) => device.ask(question)));
  for (const [i, answer] of answers.entries()) {
    assert.equal(answer.trim(), answerOfOneDevice(asked[i].question));
  }
});

test('clients that go away free their places', async () => {
  // More than run and wait together in one instance, though some end while others still come; each would go on for
  // long, since nothing this random ends.
  const talk = { model: 'ember', stream: true, temperature: 2, messages: [{ role: 'user', content: questions[2] }] };
  for (const device of [a, b]) {
    const clients = new AbortController();
    const streams = Array.from({ length: 600 }, (_, seed) =>
      fetch(`${device.url}/v1/chat/completions`, {
        method: 'POST',
        body: JSON.stringify({ ...talk, seed }),
        headers: { 'content-type': 'application/json' },
        signal: clients.signal,
      }).then(({ status }) => status),
    );
    const statuses = await Promise.all(streams);
    assert.ok(statuses.filter((status) => status === 200).length >= 256);
    assert.ok(statuses.includes(429), `the queue was never full: ${statuses}`);
    clients.abort();
    const answer = await eventually('there is room again', 10_000, () => device.ask(questions[0]));
    assert.equal(answer.trim(), answerOfOneDevice(questions[0]));
  }
});

test('what cannot be placed is refused with the reason', async () => {
  const tooMany = await a.send('POST', '/place_instance', { model_id: 'ember', min_nodes: 3 });
  assert.equal(tooMany.status, 400);
  assert.match(tooMany.body.error.message, /3 devices/);
  const unknown = await b.send('POST', '/place_instance', { model_id: 'nobody/knows' });
  assert.equal(unknown.status, 404);
  const cache = await b.send('POST', '/place_instance', { model_id: 'ember', kv: 'q4' });
  assert.equal(cache.status, 400);
  assert.equal(cache.body.error.message, "'kv' must be one of q16, bf16, q8, f32, not 'q4'");
});

test('a deleted instance is gone everywhere, its processes too', async () => {
  const { status, body } = await b.send('DELETE', `/instance/${instance}`);
  assert.equal(status, 200, JSON.stringify(body));
  for (const device of [a, b]) {
    await eventually(`${device.name} has no instance`, 10_000, async () => {
      return Object.keys((await device.state()).instances).length === 0 && device.runnerPids().length === 0;
    });
  }
  const answer = await a.send('POST', '/v1/chat/completions', {
    model: 'ember',
    messages: [{ role: 'user', content: 'Hello' }],
  });
  assert.equal(answer.status, 404);
  assert.equal(answer.body.error.code, 'model_not_found');
  assert.equal((await b.send('DELETE', `/instance/${instance}`)).status, 404);
});
