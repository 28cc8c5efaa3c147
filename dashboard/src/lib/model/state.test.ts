import { describe, expect, it } from 'vitest';
import type { ClusterState, Instance, MeasuredPath, Plan, Runner } from '../api/types';
import { statusChanges } from './announcements';
import { assignColors, seriesCount } from './colors';
import { devicesOf, linksOf, neighboursOf, onlineCount, pathText } from './devices';
import { cutText, instancesOf, layerText, phaseOf, readyModels, routesOf, shardsOf, stagesOf } from './instances';
import { optionsOf, preferredOption } from './placement';

const address = { sinkMultiaddr: { address: '10.0.0.2:1', address_type: 'ip4', ip_address: '10.0.0.2', port: 1 } };

function shard(rank: number, startLayer: number, endLayer: number) {
  return {
    PipelineShardMetadata: { deviceRank: rank, worldSize: 2, startLayer, endLayer, nLayers: 6, memory: { inBytes: 100 } },
  };
}

/** Four devices: two stages of layers, in each a device with 60 and one with 40 percent of every layer. */
const grid: Plan = {
  stages: 2,
  slices: 2,
  tokensPerSecond: 41.5,
  firstTokenSeconds: 0.9,
  promptTokens: 512,
  ranks: ['a', 'b', 'c', 'd'].map((device, rank) => ({
    rank,
    device,
    stage: Math.floor(rank / 2),
    slice: rank % 2,
    startLayer: rank < 2 ? 0 : 4,
    endLayer: rank < 2 ? 4 : 6,
    share: rank % 2 === 0 ? 600 : 400,
  })),
};

function measured(to: string, path: Partial<MeasuredPath> = {}): MeasuredPath {
  const facts = { host: '10.0.0.2', kind: 'ethernet', latencyUs: 31, bitsPerSecond: 9.4e9, carriedBy: 'ucx: tcp eth0' };
  return { to, ...facts, error: null, chosen: true, ...path };
}

const ember: Instance = {
  instanceId: 'i1',
  modelId: 'ember',
  status: 'loading',
  statusMessage: '',
  epoch: 1,
  minNodes: 2,
  shardAssignments: {
    modelId: 'ember',
    nodeToRunner: { b: 'r1', a: 'r0' },
    runnerToShard: { r0: shard(0, 0, 3), r1: shard(1, 3, 6) },
  },
  plan: null,
};

const shared: Instance = {
  ...ember,
  shardAssignments: {
    modelId: 'ember',
    nodeToRunner: { a: 'r0', b: 'r1', c: 'r2', d: 'r3' },
    runnerToShard: { r0: shard(0, 0, 4), r1: shard(1, 0, 4), r2: shard(2, 4, 6), r3: shard(3, 4, 6) },
  },
  plan: grid,
};

function status(joinedAt: string, kind: 'online' | 'suspect' | 'offline' = 'online') {
  return { status: kind, addresses: [], lastSeenMsAgo: 0, joinedAt, models: ['ember'] };
}

function stateWith(runners: Record<string, Runner>): ClusterState {
  return {
    cluster: { name: 'hearth', locked: false, coordinator: 'b' },
    self: 'a',
    topology: { nodes: ['a', 'b', 'c'], connections: { a: { b: [address], c: [address] }, b: { a: [address] } } },
    nodeIdentities: {
      a: { friendlyName: 'studio', modelId: 'Mac', chipId: 'M2', osVersion: '15', cores: 8, version: '0.1.0' },
    },
    nodeMemory: { a: { ramTotal: { inBytes: 100 }, ramAvailable: { inBytes: 30 } } },
    nodeStatus: {
      a: status('2026-01-02T00:00:00Z'),
      b: status('2026-01-01T00:00:00Z', 'suspect'),
      c: status('2026-01-03T00:00:00Z', 'offline'),
    },
    lastSeen: {},
    links: {},
    instances: { i1: ember },
    runners,
  };
}

describe('devicesOf', () => {
  const devices = devicesOf(stateWith({}));

  it('lists every device in the order of joining', () => {
    expect(devices.map(({ id }) => id)).toEqual(['b', 'a', 'c']);
    expect(onlineCount(devices)).toBe(2);
  });

  it('says which one is asked, which one coordinates, and what each holds', () => {
    const [b, a] = devices;
    expect(a).toMatchObject({ name: 'studio', isSelf: true, isCoordinator: false, usedBytes: 70, totalBytes: 100 });
    expect(b).toMatchObject({ name: 'b', isSelf: false, isCoordinator: true, status: 'suspect', usedBytes: 0 });
    expect(b!.shards).toMatchObject([{ startLayer: 3, endLayer: 6, totalLayers: 6 }]);
  });
});

describe('linksOf', () => {
  it('joins both directions into one link and leaves out devices that are gone', () => {
    expect(linksOf(stateWith({}))).toEqual([{ a: 'a', b: 'b', mutual: true, path: null }]);
  });

  it('marks a link that only one side has', () => {
    const state = stateWith({});
    state.topology.connections = { b: { a: [address] } };
    expect(linksOf(state)).toMatchObject([{ a: 'a', b: 'b', mutual: false }]);
  });

  it('says how fast the path is that instances take, whichever end measured it', () => {
    const state = stateWith({});
    const slow = measured('a', { bitsPerSecond: 1e8, carriedBy: 'tcp wlan0', chosen: false });
    state.links = { a: [measured('b', { error: 'no route', chosen: false })], b: [slow, measured('a')] };
    const [link] = linksOf(state);
    expect(link!.path).toEqual({ latencyUs: 31, bitsPerSecond: 9.4e9, carriedBy: 'ucx: tcp eth0' });
    expect(pathText(link!.path!)).toBe('31 µs, 9.4 Gbit/s, ucx: tcp eth0');
  });

  it('tells of each neighbour how it is reached, or why it is not', () => {
    const state = stateWith({});
    const down = { latencyUs: null, bitsPerSecond: 0, carriedBy: null, error: 'no route to host', chosen: false };
    state.links = { a: [measured('b', down)] };
    expect(neighboursOf(state, devicesOf(state), 'a')).toEqual([{ name: 'b', path: null, error: 'no route to host' }]);
    state.links = { a: [measured('b', down), measured('b')] };
    expect(neighboursOf(state, devicesOf(state), 'a')).toMatchObject([{ path: { latencyUs: 31 }, error: '' }]);
  });
});

describe('instancesOf', () => {
  it('counts the layers loaded over all ranks, in the order of the ranks', () => {
    const runners = { r0: { RunnerReady: {} }, r1: { RunnerLoading: { layersLoaded: 1, totalLayers: 3 } } };
    const [instance] = instancesOf(stateWith(runners));
    expect(instance).toMatchObject({ loadedLayers: 4, totalLayers: 6 });
    expect(instance!.shards.map(({ deviceId }) => deviceId)).toEqual(['a', 'b']);
  });

  it('counts a layer that devices share once, when all have it', () => {
    const state = stateWith({ r0: { RunnerReady: {} }, r1: { RunnerLoading: { layersLoaded: 1, totalLayers: 4 } } });
    state.instances = { i1: shared };
    expect(instancesOf(state)).toMatchObject([{ loadedLayers: 2, totalLayers: 6 }]);
    state.runners = Object.fromEntries(['r0', 'r1', 'r2', 'r3'].map((id) => [id, { RunnerReady: {} }]));
    expect(instancesOf(state)).toMatchObject([{ loadedLayers: 6 }]);
  });

  it('tells how fast it is predicted to be, once that is known', () => {
    const state = stateWith({});
    expect(instancesOf(state)).toMatchObject([{ prediction: null }]);
    state.instances = { i1: shared };
    expect(instancesOf(state)).toMatchObject([{ prediction: { tokensPerSecond: 41.5, firstTokenSeconds: 0.9 } }]);
    state.instances = { i1: { ...shared, plan: { ...grid, tokensPerSecond: null } } };
    expect(instancesOf(state)).toMatchObject([{ prediction: null }]);
  });

  it('takes the reason of a failure from the runner when the instance has none', () => {
    const [instance] = instancesOf(stateWith({ r1: { RunnerFailed: { errorMessage: 'out of memory' } } }));
    expect(instance!.message).toBe('out of memory');
  });

  it('shows an instance that no runner answers for yet', () => {
    const state = stateWith({});
    const placing = { modelId: 'ember', nodeToRunner: {}, runnerToShard: {} };
    state.instances = { i1: { ...ember, status: 'placing', shardAssignments: placing } };
    expect(instancesOf(state)).toMatchObject([{ status: 'placing', shards: [], totalLayers: 0 }]);
  });

  it('offers each ready model once', () => {
    const state = stateWith({});
    const ready = (instanceId: string): Instance => ({ ...ember, instanceId, status: 'ready' });
    state.instances = { i1: ember, i2: ready('i2'), i3: ready('i3') };
    expect(readyModels(instancesOf(state))).toEqual(['ember']);
  });
});

describe('phases and layers', () => {
  it('reads every state of a runner', () => {
    expect(phaseOf(undefined)).toBe('planned');
    expect(phaseOf({ RunnerStarting: {} })).toBe('starting');
    expect(phaseOf({ RunnerLoading: { layersLoaded: 0, totalLayers: 1 } })).toBe('loading');
    expect(phaseOf({ RunnerConnecting: {} })).toBe('connecting');
    expect(phaseOf({ RunnerReady: {} })).toBe('ready');
    expect(phaseOf({ RunnerFailed: { errorMessage: '' } })).toBe('failed');
  });

  it('names the last layer held, not the one after it', () => {
    expect(layerText({ startLayer: 0, endLayer: 3, totalLayers: 6, share: 1 })).toBe('layers 0–2 of 6');
    expect(layerText({ startLayer: 5, endLayer: 6, totalLayers: 6, share: 1 })).toBe('layer 5 of 6');
    expect(layerText({ startLayer: 0, endLayer: 6, totalLayers: 6, share: 0.6 })).toBe('layers 0–5, share 60 %');
  });
});

describe('shared layers', () => {
  const shards = shardsOf(shared, {});

  it('puts the shards of the same layers into one stage, each with its part', () => {
    expect(stagesOf(shards).map((stage) => stage.map(({ deviceId }) => deviceId))).toEqual([['a', 'b'], ['c', 'd']]);
    expect(shards[0]).toMatchObject({ share: 0.6, shareStart: 0 });
    expect(shards[3]).toMatchObject({ share: 0.4, shareStart: 0.6 });
  });

  it('routes sums within a stage and hidden states to the same slice of the next', () => {
    expect(routesOf(shards)).toEqual([['a', 'b'], ['a', 'c'], ['b', 'd'], ['c', 'd']]);
    expect(routesOf(shardsOf(ember, {}))).toEqual([['a', 'b']]);
  });

  it('says what the cut is', () => {
    expect(cutText(shards)).toBe('6 layers in 2 stages of 2 devices');
    expect(cutText(shards.slice(0, 2))).toBe('6 layers, each shared by 2 devices');
    expect(cutText(shardsOf(ember, {}))).toBe('6 layers in 2 stages on 2 devices');
    expect(cutText(shardsOf(ember, {}).slice(0, 1))).toBe('6 layers on 1 device');
  });
});

describe('assignColors', () => {
  it('keeps the colours of those that stay and gives free ones to newcomers', () => {
    const before = assignColors(new Map(), ['b', 'c']);
    const after = assignColors(before, ['a', 'c']);
    expect(after.get('c')).toBe(before.get('c'));
    expect(after.get('a')).not.toBe(after.get('c'));
  });

  it('repeats a colour only when all are used', () => {
    const ids = Array.from({ length: seriesCount }, (_, index) => `i${index}`);
    expect(new Set(assignColors(new Map(), ids).values()).size).toBe(seriesCount);
    expect(assignColors(new Map(), [...ids, 'more']).get('more')).toBeLessThan(seriesCount);
  });
});

describe('placement options', () => {
  const preview = (devices: number, fits: boolean) => ({
    model_id: 'ember',
    sharding: 'Pipeline' as const,
    min_nodes: devices,
    instance: fits ? ember : null,
    memory_delta_by_node: fits ? { a: 10 } : null,
    error: fits ? null : 'too large',
  });

  it('prefers the fewest devices that fit', () => {
    const options = optionsOf([preview(3, true), preview(1, false), preview(2, true)]);
    expect(options.map(({ devices }) => devices)).toEqual([1, 2, 3]);
    expect(preferredOption(options)).toMatchObject({ devices: 2, memory: { a: 10 }, error: '' });
  });

  it('shows a reason when nothing fits', () => {
    expect(preferredOption(optionsOf([preview(1, false)]))).toMatchObject({ devices: 1, error: 'too large' });
    expect(preferredOption([])).toBeUndefined();
  });
});

describe('statusChanges', () => {
  it('tells what became of each instance', () => {
    const [loading] = instancesOf(stateWith({}));
    const before = new Map([['i1', loading!]]);
    const ready = new Map([['i1', { ...loading!, status: 'ready' as const }]]);
    const name = () => 'Ember';
    expect(statusChanges(before, ready, name)).toEqual(['Ember is ready.']);
    expect(statusChanges(ready, ready, name)).toEqual([]);
    expect(statusChanges(ready, new Map(), name)).toEqual(['Ember was deleted.']);
  });
});
