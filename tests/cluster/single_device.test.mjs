// One device: what a newcomer meets, and what it remembers.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { answerOfOneDevice, idOf, readyMs, untilReady } from './cluster.mjs';
import { Device, hearth, removeDevices } from './device.mjs';
import { eventually } from './eventually.mjs';

const question = 'What is the capital of France?';
const stopMs = 2_000;

after(() => removeDevices());
const device = await Device.make('solo', { fresh: true });
let id;
let instance;

async function onlyInstance() {
  return eventually('there is one instance', readyMs, async () => {
    const instances = Object.values((await device.state()).instances);
    assert.equal(instances.length, 1);
    return instances[0];
  });
}

test('a fresh device starts with Ember and answers', async () => {
  await device.start();
  id = await idOf(device);
  instance = (await onlyInstance()).instanceId;
  assert.equal((await untilReady(device, instance)).modelId, 'ember');
  assert.equal((await device.ask(question)).trim(), answerOfOneDevice(question));
  assert.deepEqual((await device.get('/health')).instances, { ready: 1, total: 1 });
});

test('it says on the terminal who it is and where to go', async () => {
  for (const part of ['solo', id.slice(0, 8), `:${device.port}\n`, `:${device.port}/v1\n`, 'ember is ready on solo']) {
    await eventually(`the terminal says ${part}`, 5_000, async () => device.output.includes(part));
  }
});

test('ps and nodes show it', async () => {
  const ps = JSON.parse((await device.run('ps', '--json')).stdout);
  assert.deepEqual(
    ps.map(({ id: instanceId, model, status, devices }) => ({ instanceId, model, status, devices })),
    [{ instanceId: instance, model: 'ember', status: 'ready', devices: [{ id, name: 'solo', layer_begin: 0, layer_end: 6, carried_by: 'none' }] }],
  );
  assert.match((await device.run('ps')).stdout, /ember +ready +solo \(0-5\) /);
  const [node] = JSON.parse((await device.run('nodes', '--json')).stdout);
  assert.equal(node.id, id);
  assert.equal(node.self, true);
  assert.ok(node.memory_total_bytes > 0);
  assert.match((await device.run('nodes')).stdout, /solo \(this device\) +[0-9a-f]{8} +online /);
});

test('it tells how long the layers of what it runs take', async () => {
  const times = await eventually('Ember is timed', readyMs, async () => {
    await device.ask(question);
    return (await device.state()).nodeSpeed[id].tokenTimes.ember?.q16;
  });
  assert.equal(times.layersNs.length, 6);
  for (const ns of [...times.layersNs, times.embeddingNs, times.headNs]) assert.ok(ns > 0 && ns < 1e9, `${ns} ns`);
  const plan = JSON.parse((await device.run('plan', 'ember', '--json')).stdout);
  assert.equal(plan.cutBy, 'times');
});

test('a second device on the same data directory is refused with what to do', async () => {
  await assert.rejects(device.run('serve', '--data-dir', device.dataDir), (error) => {
    assert.equal(error.code, 1);
    assert.match(error.stderr, /already runs hearth .* --data-dir/);
    return true;
  });
});

test('a second device on the same ports is refused with what to do', async () => {
  await assert.rejects(device.run('serve', '--data-dir', `${device.dataDir}-2`), (error) => {
    assert.equal(error.code, 1);
    // Which of its two ports is found taken first depends on how the network of these tests was made.
    assert.match(error.stderr, /another (hearth|device).*--port/);
    return true;
  });
});

test('Ctrl-C ends it cleanly, and its processes with it', async () => {
  const runners = device.runnerPids();
  assert.equal(runners.length, 1);
  await device.stop('SIGINT', { withinMs: stopMs });
  assert.equal(device.exitCode, 0);
  for (const pid of runners) assert.throws(() => process.kill(pid, 0), 'a runner outlived its device');
});

test('without a device, ps says what to do', async () => {
  await assert.rejects(device.run('ps'), (error) => {
    assert.equal(error.code, 1);
    assert.match(error.stderr, /no device answers on port \d+; start one with 'hearth'/);
    return true;
  });
});

test('its instance and its id survive a restart and a kill -9', async () => {
  await device.start();
  assert.equal(await idOf(device), id);
  await untilReady(device, instance);
  await device.stop('SIGKILL');
  await device.start();
  assert.equal(await idOf(device), id);
  await untilReady(device, instance);
  assert.ok(await device.ask(question));
});

test('what a person deleted stays deleted', async () => {
  assert.equal((await device.send('DELETE', `/instance/${instance}`)).status, 200);
  await device.stop();
  await device.start('--model', 'ember');
  const placed = await onlyInstance();
  assert.notEqual(placed.instanceId, instance);
  await untilReady(device, placed.instanceId);
  assert.equal((await device.send('DELETE', `/instance/${placed.instanceId}`)).status, 200);
});

test('wrong settings are refused by name', async () => {
  const refused = async (expected, env, ...args) => {
    const run = promisify(execFile)(hearth, args, { env: { ...device.environment, ...env }, timeout: 10_000 });
    await assert.rejects(run, (error) => {
      assert.match(error.stderr, expected);
      return true;
    });
  };
  await refused(/--port/, {}, 'serve', '--port', '70000');
  await refused(/HEARTH_PORT: .*many/, { HEARTH_PORT: 'many' }, 'serve');
  await refused(/no model 'nope'/, {}, 'serve', '--model', 'nope', '--data-dir', `${device.dataDir}-2`);
  device.writeConfig('port = 52415\ncolour = "red"\n');
  await refused(/config\.toml: there is no setting 'colour'/, {}, 'serve');
});
