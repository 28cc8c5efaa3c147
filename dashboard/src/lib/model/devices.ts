import type { ClusterState, DeviceStatus, MeasuredPath } from '../api/types';
import { formatBitRate, formatLatency } from '../text/format';
import { shardsOf, type ShardView } from './instances';

export interface DeviceView {
  id: string;
  name: string;
  chip: string;
  os: string;
  machine: string;
  cores: number;
  version: string;
  status: DeviceStatus;
  isSelf: boolean;
  isCoordinator: boolean;
  usedBytes: number;
  totalBytes: number;
  addresses: string[];
  lastSeenMsAgo: number;
  models: string[];
  shards: ShardView[];
}

export interface LinkView {
  a: string;
  b: string;
  /** False when only one of the two has reported a path to the other. */
  mutual: boolean;
  /** The path that instances take, as measured; null before that. */
  path: PathView | null;
}

export interface PathView {
  latencyUs: number;
  bitsPerSecond: number;
  carriedBy: string;
}

export function pathText({ latencyUs, bitsPerSecond, carriedBy }: PathView): string {
  return [formatLatency(latencyUs), formatBitRate(bitsPerSecond), carriedBy].filter(Boolean).join(', ');
}

/** What one device knows of its way to another. */
export interface NeighbourView {
  name: string;
  path: PathView | null;
  error: string;
}

const neverJoined = '9999';

/** Every device known, in the order in which they joined: a place on the screen stays the same device's. */
export function devicesOf(state: ClusterState): DeviceView[] {
  const shards = Object.values(state.instances).flatMap((instance) => shardsOf(instance, state.runners));
  const ids = new Set([...state.topology.nodes, ...Object.keys(state.nodeStatus)]);
  const joined = (id: string) => state.nodeStatus[id]?.joinedAt ?? neverJoined;
  return [...ids]
    .sort((a, b) => joined(a).localeCompare(joined(b)) || a.localeCompare(b))
    .map((id) => deviceOf(state, id, shards.filter((shard) => shard.deviceId === id)));
}

function deviceOf(state: ClusterState, id: string, shards: ShardView[]): DeviceView {
  const identity = state.nodeIdentities[id];
  const memory = state.nodeMemory[id];
  const status = state.nodeStatus[id];
  const totalBytes = memory?.ramTotal.inBytes ?? 0;
  return {
    id,
    name: deviceName(state, id),
    chip: identity?.chipId ?? '',
    os: identity?.osVersion ?? '',
    machine: identity?.modelId ?? '',
    cores: identity?.cores ?? 0,
    version: identity?.version ?? '',
    status: status?.status ?? 'online',
    isSelf: id === state.self,
    isCoordinator: id === state.cluster.coordinator,
    usedBytes: Math.max(0, totalBytes - (memory?.ramAvailable.inBytes ?? totalBytes)),
    totalBytes,
    addresses: status?.addresses ?? [],
    lastSeenMsAgo: status?.lastSeenMsAgo ?? 0,
    models: status?.models ?? [],
    shards,
  };
}

export function deviceName(state: ClusterState, id: string): string {
  return state.nodeIdentities[id]?.friendlyName || id.slice(0, 8);
}

/** Links between live devices, each pair once. */
export function linksOf(state: ClusterState): LinkView[] {
  const isLive = (id: string) => state.nodeStatus[id]?.status !== 'offline';
  const reaches = (from: string, to: string) => (state.topology.connections[from]?.[to]?.length ?? 0) > 0;
  const ids = [...new Set([...state.topology.nodes, ...Object.keys(state.topology.connections)])].filter(isLive);
  const links: LinkView[] = [];
  ids.forEach((a, index) => {
    for (const b of ids.slice(index + 1)) {
      const there = reaches(a, b);
      const back = reaches(b, a);
      if (there || back) links.push({ a, b, mutual: there && back, path: pathBetween(state, a, b) });
    }
  });
  return links;
}

/** As the first measured it, else as the second did. */
export function pathBetween(state: ClusterState, a: string, b: string): PathView | null {
  const paths = [...chosenPaths(state, a, b), ...chosenPaths(state, b, a)];
  const { latencyUs, bitsPerSecond, carriedBy } = paths[0] ?? {};
  return latencyUs && bitsPerSecond ? { latencyUs, bitsPerSecond, carriedBy: carriedBy ?? '' } : null;
}

function chosenPaths(state: ClusterState, from: string, to: string): MeasuredPath[] {
  return pathsTo(state, from, to).filter(({ chosen }) => chosen);
}

function pathsTo(state: ClusterState, from: string, to: string): MeasuredPath[] {
  return (state.links[from] ?? []).filter((path) => path.to === to);
}

/** The other live devices, and how `id` reaches them or why it does not. */
export function neighboursOf(state: ClusterState, devices: DeviceView[], id: string): NeighbourView[] {
  return devices
    .filter((device) => device.id !== id && device.status !== 'offline')
    .map(({ id: other, name }) => {
      const path = pathBetween(state, id, other);
      const error = pathsTo(state, id, other).find((tried) => tried.error)?.error ?? '';
      return { name, path, error: path ? '' : error };
    });
}

export function onlineCount(devices: DeviceView[]): number {
  return devices.filter((device) => device.status !== 'offline').length;
}
