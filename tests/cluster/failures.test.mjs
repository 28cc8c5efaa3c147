// Runners and devices die; the cluster says so and answers again.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { allSee, idOf, placeEmber, ranksOf, readyMs, seenBy, seenMs, startDevices, untilReady } from './cluster.mjs';
import { removeDevices } from './device.mjs';
import { Events } from './events.mjs';
import { eventually } from './eventually.mjs';
import { network } from './network.mjs';

const question = 'What is the capital of France?';

/** A two-stage Ember on two fresh devices: { head, tail, instance, epoch, reference }. */
async function pipeline() {
  const devices = await startDevices(['a', 'b']);
  await allSee(devices, ['a', 'b']);
  const instance = await placeEmber(devices[0], 2);
  const { epoch, ...rest } = await untilReady(devices[1], instance);
  const headId = ranksOf(rest)[0].device;
  const head = (await idOf(devices[0])) === headId ? devices[0] : devices[1];
  const tail = devices.find((device) => device !== head);
  return { devices, head, tail, instance, epoch, reference: await head.ask(question) };
}

/** `survivor` reports the loss of `lost`, then answers as before from what is left. */
async function survives({ survivor, lost, instance, epoch, reference }) {
  await eventually(`${survivor.name} sees ${lost.name} offline`, seenMs, async () =>
    (await seenBy(survivor)).offline.includes(lost.name),
  );
  const again = await untilReady(survivor, instance, { epoch });
  assert.deepEqual(ranksOf(again).map((rank) => rank.device), [await idOf(survivor)]);
  assert.equal(await survivor.ask(question), reference);
  return again.epoch;
}

for (const which of ['head', 'tail']) {
  describe(`the runner of the ${which} is killed`, () => {
    let setup;
    before(async () => (setup = await pipeline()));
    after(() => removeDevices());

    test('it is reported, starts again, and finds the other where it was', async (t) => {
      const { devices, head, tail, instance, epoch, reference } = setup;
      const victim = which === 'head' ? head : tail;
      const other = which === 'head' ? tail : head;
      const events = await Events.of(other);
      after(() => events.close());
      const [pid] = victim.runnerPids();
      const survivors = other.runnerPids();
      const ranks = ranksOf(await other.get(`/instance/${instance}`));
      process.kill(pid, 'SIGKILL');

      const killedAt = performance.now();
      const meanwhile = await refusalsUntil(other, () => isReadyAfter(other, instance, epoch));
      t.diagnostic(`answers again ${Math.round(performance.now() - killedAt)} ms after the kill`);
      assert.ok(meanwhile.every(({ status, body }) => status === 503 && body.error.type === 'server_error'),
        JSON.stringify(meanwhile));
      for (const device of devices) await untilReady(device, instance, { epoch });
      const failures = events.states.map((state) => state.instances[instance]).filter((i) => i?.status === 'failed');
      assert.ok(failures.length > 0, 'no event told of the failure');
      assert.ok(!victim.runnerPids().includes(pid));
      assert.deepEqual(other.runnerPids(), survivors, 'the runner that lived goes on');
      assert.deepEqual(ranksOf(await other.get(`/instance/${instance}`)), ranks);
      const messages = events.states.flatMap((state) => [
        state.instances[instance]?.statusMessage ?? '',
        ...Object.values(state.runners).map((runner) => runner.RunnerFailed?.errorMessage ?? ''),
      ]);
      assert.ok(messages.some((message) => /signal 9/.test(message)), [...new Set(messages)].join('\n'));
      for (const device of devices) assert.equal(await device.ask(question), reference);
    });
  });

  describe(`the device of the ${which} is killed`, () => {
    let setup;
    before(async () => (setup = await pipeline()));
    after(() => removeDevices());

    test('the other reports it, takes over, and sees it come back as itself', async () => {
      const lost = setup[which];
      const survivor = which === 'head' ? setup.tail : setup.head;
      const id = await idOf(lost);
      const orphans = lost.runnerPids();
      await lost.stop('SIGKILL');
      await eventually('the runners end with their daemon', 5_000, async () => orphans.every(isGone));
      await survives({ survivor, lost, ...setup });

      await lost.start();
      assert.equal(await idOf(lost), id);
      await allSee(setup.devices, ['a', 'b']);
      assert.equal(await lost.ask(question), setup.reference);
    });
  });
}

describe('a device is stopped by its owner', () => {
  let setup;
  before(async () => (setup = await pipeline()));
  after(() => removeDevices());

  test('it says goodbye, and the other takes over', async () => {
    const { head, tail } = setup;
    await head.stop('SIGTERM', { withinMs: 2_000 });
    assert.equal(head.exitCode, 0);
    await survives({ survivor: tail, lost: head, ...setup });
  });
});

for (const [what, cut] of [['a cable is pulled', 'unplug'], ['packets vanish while links stay up', 'losePackets']]) {
  describe(what, { skip: network.discovers ? false : 'loopback has no cables' }, () => {
    let setup;
    before(async () => (setup = await pipeline()));
    after(() => removeDevices());

    test('chats that are under way end, and the cluster is one again when the cable is back', async () => {
      const { devices, head, tail, instance, epoch, reference } = setup;
      const asked = refusalsUntil(head, () => isReadyAfter(head, instance, epoch));
      tail[cut]();
      assert.ok((await asked).every(({ status, body }) => status === 503 && body.error.type === 'server_error'));
      await survives({ survivor: head, lost: tail, ...setup });
      tail.plug();
      await allSee(devices, ['a', 'b']);
      await eventually('both agree on the instance', readyMs, async () => {
        const [x, y] = [await head.get(`/instance/${instance}`), await tail.get(`/instance/${instance}`)];
        return x.status === 'ready' && y.status === 'ready' && x.epoch === y.epoch;
      });
      for (const device of devices) assert.equal(await device.ask(question), reference);
    });
  });
}

async function isReadyAfter(device, id, epoch) {
  const instance = await device.get(`/instance/${id}`);
  return instance.status === 'ready' && instance.epoch > epoch;
}

/** Asks again and again until `done`; the answers that were refusals. */
async function refusalsUntil(device, done) {
  const refusals = [];
  const request = { model: 'ember', messages: [{ role: 'user', content: question }], max_tokens: 4 };
  await eventually('it answers again', readyMs, async () => {
    const answer = await device.send('POST', '/v1/chat/completions', request);
    if (answer.status !== 200) refusals.push(answer);
    return done();
  });
  return refusals;
}

function isGone(pid) {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}
