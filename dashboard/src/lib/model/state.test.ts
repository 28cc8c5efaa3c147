import { describe, expect, it } from 'vitest';
import type { ClusterState, Instance, Runner } from '../api/types';
import { statusChanges } from './announcements';
import { assignColors, seriesCount } from './colors';
import { devicesOf, linksOf, onlineCount } from './devices';
import { instancesOf, layerText, phaseOf, readyModels } from './instances';
import { optionsOf, preferredOption } from './placement';

const address = { sinkMultiaddr: { address: '10.0.0.2:1', address_type: 'ip4', ip_address: '10.0.0.2', port: 1 } };

function shard(rank: number, startLayer: number, endLayer: number) {
  return {
    PipelineShardMetadata: { deviceRank: rank, worldSize: 2, startLayer, endLayer, nLayers: 6, memory: { inBytes: 100 } },
  };
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
    expect(linksOf(stateWith({}))).toEqual([{ a: 'a', b: 'b', mutual: true }]);
  });

  it('marks a link that only one side has', () => {
    const state = stateWith({});
    state.topology.connections = { b: { a: [address] } };
    expect(linksOf(state)).toEqual([{ a: 'a', b: 'b', mutual: false }]);
  });
});

describe('instancesOf', () => {
  it('counts the layers loaded over all ranks, in the order of the ranks', () => {
    const runners = { r0: { RunnerReady: {} }, r1: { RunnerLoading: { layersLoaded: 1, totalLayers: 3 } } };
    const [instance] = instancesOf(stateWith(runners));
    expect(instance).toMatchObject({ loadedLayers: 4, totalLayers: 6 });
    expect(instance!.shards.map(({ deviceId }) => deviceId)).toEqual(['a', 'b']);
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
    expect(layerText({ startLayer: 0, endLayer: 3, totalLayers: 6 })).toBe('layers 0–2 of 6');
    expect(layerText({ startLayer: 5, endLayer: 6, totalLayers: 6 })).toBe('layer 5 of 6');
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
