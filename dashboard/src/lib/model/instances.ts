import type { ClusterState, Instance, InstanceStatus, Runner } from '../api/types';

export type Phase = 'planned' | 'starting' | 'loading' | 'connecting' | 'ready' | 'failed';

export interface ShardView {
  instanceId: string;
  modelId: string;
  deviceId: string;
  rank: number;
  startLayer: number;
  endLayer: number;
  totalLayers: number;
  loadedLayers: number;
  bytes: number;
  phase: Phase;
  error: string;
}

export interface InstanceView {
  id: string;
  modelId: string;
  status: InstanceStatus;
  message: string;
  minNodes: number;
  shards: ShardView[];
  loadedLayers: number;
  totalLayers: number;
}

export function phaseOf(runner: Runner | undefined): Phase {
  if (!runner) return 'planned';
  if (runner.RunnerFailed) return 'failed';
  if (runner.RunnerReady) return 'ready';
  if (runner.RunnerLoading) return 'loading';
  if (runner.RunnerConnecting) return 'connecting';
  return 'starting';
}

function loadedLayers(runner: Runner | undefined, phase: Phase, all: number): number {
  if (phase === 'ready' || phase === 'connecting') return all;
  return Math.min(all, runner?.RunnerLoading?.layersLoaded ?? 0);
}

/** An instance's shards in the order in which a token passes through them. */
export function shardsOf(instance: Instance, runners: Record<string, Runner>): ShardView[] {
  const { nodeToRunner, runnerToShard } = instance.shardAssignments;
  const shards: ShardView[] = [];
  for (const [deviceId, runnerId] of Object.entries(nodeToRunner)) {
    const { PipelineShardMetadata, TensorShardMetadata } = runnerToShard[runnerId] ?? {};
    const shard = PipelineShardMetadata ?? TensorShardMetadata;
    if (!shard) continue;
    const phase = phaseOf(runners[runnerId]);
    shards.push({
      instanceId: instance.instanceId,
      modelId: instance.modelId,
      deviceId,
      rank: shard.deviceRank,
      startLayer: shard.startLayer,
      endLayer: shard.endLayer,
      totalLayers: shard.nLayers,
      loadedLayers: loadedLayers(runners[runnerId], phase, shard.endLayer - shard.startLayer),
      bytes: shard.memory.inBytes,
      phase,
      error: runners[runnerId]?.RunnerFailed?.errorMessage ?? '',
    });
  }
  return shards.sort((a, b) => a.rank - b.rank);
}

export function instancesOf(state: ClusterState): InstanceView[] {
  return Object.values(state.instances)
    .map((instance) => instanceOf(instance, state.runners))
    .sort((a, b) => a.modelId.localeCompare(b.modelId) || a.id.localeCompare(b.id));
}

function instanceOf(instance: Instance, runners: Record<string, Runner>): InstanceView {
  const shards = shardsOf(instance, runners);
  return {
    id: instance.instanceId,
    modelId: instance.modelId,
    status: instance.status,
    message: instance.statusMessage || shards.find((shard) => shard.error)?.error || '',
    minNodes: instance.minNodes,
    shards,
    loadedLayers: shards.reduce((sum, shard) => sum + shard.loadedLayers, 0),
    totalLayers: shards[0]?.totalLayers ?? 0,
  };
}

/** The models that can be chatted with, each once. */
export function readyModels(instances: InstanceView[]): string[] {
  return [...new Set(instances.filter(({ status }) => status === 'ready').map(({ modelId }) => modelId))];
}

/** 'layers 0–2 of 6': people count what is there, so the half-open end is shown as the last layer held. */
export function layerText(shard: Pick<ShardView, 'startLayer' | 'endLayer' | 'totalLayers'>): string {
  const { startLayer, endLayer, totalLayers } = shard;
  if (endLayer - startLayer === 1) return `layer ${startLayer} of ${totalLayers}`;
  return `layers ${startLayer}–${endLayer - 1} of ${totalLayers}`;
}
