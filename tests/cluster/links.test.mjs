// Devices measure the links between them; instances run over the best one, cut as these allow.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { allSee, answerOfOneDevice, idOf, placeEmber, startDevices, untilReady } from './cluster.mjs';
import { Device, removeDevices } from './device.mjs';
import { eventually } from './eventually.mjs';
import { network } from './network.mjs';

const question = 'What is the capital of France?';
const measuredMs = 20_000;

/** The links from one device to another, once all of its addresses are measured and one is reached: [{ host, bitsPerSecond, ... }]. */
async function linksOf(observer, from, to) {
  const [source, sink] = [await idOf(from), await idOf(to)];
  return eventually(`${observer.name} sees the links from ${from.name} to ${to.name}`, measuredMs, async () => {
    const { links, nodeStatus } = await observer.state();
    const found = (links[source] ?? []).filter((link) => link.to === sink);
    return found.length >= nodeStatus[sink].addresses.length && found.some((link) => link.error === null) && found;
  });
}

describe('two devices', () => {
  let a, b;
  before(async () => {
    [a, b] = await startDevices(['a', 'b']);
    await allSee([a, b], ['a', 'b']);
  });
  after(() => removeDevices());

  test('each sees what both measured', async () => {
    for (const observer of [a, b]) {
      for (const [from, to] of [[a, b], [b, a]]) {
        const good = (await linksOf(observer, from, to)).filter((link) => link.error === null);
        assert.ok(good.length >= 1);
        for (const { latencyUs, bitsPerSecond, kind, carriedBy } of good) {
          assert.ok(latencyUs > 0 && latencyUs < 1e6, `${latencyUs} us`);
          assert.ok(bitsPerSecond > 1e6, `${bitsPerSecond} bit/s`);
          assert.ok(kind === (network.discovers ? 'virtual' : 'loopback'), kind);
          assert.match(carriedBy, /ucx|tcp/);
        }
        assert.equal(good.filter((link) => link.chosen).length, 1);
      }
    }
  });

  test('Ember runs in slices over both and answers as one device does', async () => {
    const id = await placeEmber(a, 2, 'Tensor');
    const { plan, sharding } = await untilReady(b, id);
    assert.equal(sharding, 'tensor');
    assert.deepEqual([plan.stages, plan.slices], [1, 2]);
    assert.deepEqual(plan.ranks.map((rank) => rank.slice), [0, 1]);
    assert.ok(plan.ranks.every((rank) => rank.startLayer === 0 && rank.endLayer === plan.ranks[0].endLayer));
    assert.equal(plan.links[0].carries, 'sums');
    assert.deepEqual([a.runnerPids().length, b.runnerPids().length], [1, 1]);
    const carrier = network.discovers ? /^(ucx: )?tcp\/eth0$/ : /^(ucx: shared memory|tcp\/lo)/;
    const [ember] = JSON.parse((await a.run('ps', '--json')).stdout);
    for (const { carried_by: carriedBy } of ember.devices) assert.match(carriedBy, carrier);
    assert.match((await b.run('ps')).stdout, /^MODEL .* CARRIED BY +ID\nember +ready .* (ucx: |tcp\/)/);
    const reference = answerOfOneDevice(question);
    for (const device of [a, b]) assert.equal((await device.ask(question)).trim(), reference);
    await a.send('DELETE', `/instance/${id}`);
  });

  test('devices know how fast they are, and plans predict it', async () => {
    await eventually('a predicts', measuredMs, async () => {
      const { previews } = await a.get('/instance/previews?model_id=ember&sharding=Tensor');
      return previews[1].instance.plan.tokensPerSecond > 0;
    });
    const { nodeSpeed } = await a.state();
    for (const { memoryBytesPerSecond, multiplyAddsPerSecond } of Object.values(nodeSpeed)) {
      assert.ok(memoryBytesPerSecond > 1e8 && multiplyAddsPerSecond > 1e8);
    }
    const { stdout } = await a.run('plan', 'ember', '--devices', '2', '--sharding', 'tensor');
    assert.match(stdout, /ember as tensor=2: about [\d.e+]+ tokens\/s/);
    assert.match(stdout, /rank 1 +(a|b) /);
    assert.match(stdout, /0 -> 1 +sums \((f32|bf16|q8)\)/);
    const json = JSON.parse((await a.run('plan', 'ember', '--devices', '2', '--sharding', 'pipeline', '--json')).stdout);
    assert.deepEqual([json.stages, json.slices], [2, 1]);
  });

  test('what cannot be planned is told', async () => {
    await assert.rejects(a.run('plan', 'nobody/knows'), ({ code, stderr }) => code === 1 && /nobody\/knows/.test(stderr));
    await assert.rejects(a.run('plan', 'ember', '--devices', '3'), ({ code, stderr }) => code === 1 && /2 devices/.test(stderr));
    await assert.rejects(a.run('plan', 'ember', '--sharding', 'slanted'), ({ code }) => code === 2);
  });

  test('doctor shows links and what carries them', async () => {
    const { stdout } = await a.run('doctor');
    assert.match(stdout, /^UCX /m);
    assert.match(stdout, /^RDMA /m);
    assert.match(stdout, /^\* +b +\S+ +\S+ +(virtual|loopback) +[\d.]+ (us|ms) +[\d.]+ [MG]bit\/s +\S+/m);
    const { links, troubles } = JSON.parse((await a.run('doctor', '--json')).stdout);
    assert.ok(links.some((link) => link.chosen && link.name === 'b'));
    assert.deepEqual(troubles, []);
    await b.stop('SIGINT');
    await eventually('the doctor misses b', measuredMs, async () => /^! b is offline/m.test((await a.run('doctor')).stdout));
  });
});

describe('two cables', { skip: network.discovers ? false : 'loopback has no cables' }, () => {
  let a, b;
  before(async () => {
    [a, b] = [await Device.make('a', { cluster: 'cables' }), await Device.make('b', { cluster: 'cables' })];
    a.connect(b);
    for (const device of [a, b]) device.slow('50mbit');
    await Promise.all([a.start(), b.start()]);
    await allSee([a, b], ['a', 'b']);
  });
  after(() => removeDevices());

  test('the faster one is measured to be so, though the slow one sorts first', async () => {
    for (const [from, to] of [[a, b], [b, a]]) {
      const links = (await linksOf(from, from, to)).filter(({ host }) => !host.startsWith('fe80:'));
      assert.deepEqual(links.map((link) => link.host.split('.').slice(0, 2).join('.')), ['10.99', '172.20']);
      const [slow, fast] = links;
      assert.equal(slow.error, null);
      // Never more than the 50 Mbit/s and what a bucket holds; less while others use the cable, as they may in a test.
      assert.ok(slow.bitsPerSecond > 1e6 && slow.bitsPerSecond < 100e6, `${slow.bitsPerSecond}`);
      assert.ok(fast.bitsPerSecond > 4 * slow.bitsPerSecond, `${fast.bitsPerSecond}`);
      assert.deepEqual([slow.chosen, fast.chosen], [false, true]);
    }
  });

  for (const sharding of ['Pipeline', 'Tensor']) {
    test(`the ranks of a ${sharding} meet over it`, async () => {
      const id = await placeEmber(a, 2, sharding);
      const { plan } = await untilReady(b, id);
      assert.ok(plan.links.length > 0);
      for (const { link } of plan.links) assert.match(link.host, /^172\.20\.0\./);
      for (const device of [a, b]) {
        // Probes may be under way over the other for a moment.
        await eventually(`the ranks at ${device.name} meet over 172.20`, 10_000, () => {
          const peers = device.connectedTo().filter((host) => !host.startsWith('127.'));
          return peers.length > 0 && peers.every((host) => host.startsWith('172.20.0.'));
        });
      }
      assert.equal((await b.ask(question)).trim(), answerOfOneDevice(question));
      await a.send('DELETE', `/instance/${id}`);
    });
  }
});
