// Several devices as one cluster, and what tests ask of it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { Device, hearth, models } from './device.mjs';
import { eventually } from './eventually.mjs';

/** How soon a device that joins or dies must be seen everywhere. */
export const seenMs = 15_000;
export const readyMs = 30_000;

let clusters = 0;

/**
 * Starts devices of a cluster of their own (or of `cluster`). Where there is no discovery they dial the first, and those
 * of `peersOf`.
 */
export async function startDevices(names, { cluster = `test-${process.pid}-${++clusters}`, peersOf = [] } = {}) {
  const devices = [];
  for (const name of names) {
    const peers = [...peersOf, ...devices.slice(0, 1)].map((peer) => peer.deviceAddress);
    devices.push(await Device.make(name, { cluster, peers }));
  }
  await Promise.all(devices.map((device) => device.start()));
  return devices;
}

/** The names of the devices that `device` sees, by status: { online: [...], offline: [...] }. */
export async function seenBy(device) {
  const state = await device.state();
  const seen = { online: [], suspect: [], offline: [] };
  for (const [id, { status }] of Object.entries(state.nodeStatus)) {
    seen[status].push(state.nodeIdentities[id].friendlyName);
  }
  for (const names of Object.values(seen)) names.sort();
  return seen;
}

/** Waits until every device sees exactly these names online. */
export async function allSee(devices, names) {
  const wanted = [...names].sort();
  for (const device of devices) {
    await eventually(`${device.name} sees ${wanted}`, seenMs, async () => {
      const { online } = await seenBy(device);
      return online.join() === wanted.join();
    });
  }
}

export async function idOf(device) {
  return device.get('/node_id');
}

/** Places Ember on at least so many devices, as a pipeline or cut otherwise, and waits until it answers. */
export async function placeEmber(device, minNodes, sharding = 'Pipeline') {
  const wanted = { model_id: 'ember', min_nodes: minNodes, sharding };
  const { status, body } = await device.send('POST', '/place_instance', wanted);
  assert.equal(status, 200, JSON.stringify(body));
  assert.ok(body.instance_id);
  await untilReady(device, body.instance_id);
  return body.instance_id;
}

/** The instance once `device` sees it ready, and (if given) planned after `epoch`. */
export async function untilReady(device, id, { epoch = 0, boundMs = readyMs } = {}) {
  return eventually(`${device.name} sees instance ${id} ready after epoch ${epoch}`, boundMs, async () => {
    const instance = await device.get(`/instance/${id}`);
    if (instance.status === 'ready' && instance.epoch > epoch) return instance;
    throw new Error(`${instance.status}: ${instance.statusMessage}`);
  });
}

/** An instance's ranks, head first: [{ device, layers: [begin, end] }]. */
export function ranksOf(instance) {
  const { nodeToRunner, runnerToShard } = instance.shardAssignments;
  return Object.entries(nodeToRunner)
    .map(([device, runner]) => ({ device, ...Object.values(runnerToShard[runner])[0] }))
    .sort((a, b) => a.deviceRank - b.deviceRank)
    .map(({ device, startLayer, endLayer }) => ({ device, layers: [startLayer, endLayer] }));
}

/** What one device answers without any cluster: the reference. */
export function answerOfOneDevice(question, maxTokens = 48) {
  const args = ['run', 'ember', question, '--max-tokens', String(maxTokens), '--temperature', '0'];
  const env = { ...process.env, ...models };
  return execFileSync(hearth, args, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
}
