import type { ClusterState, Instance, InstanceStatus, Plan, Runner } from '../api/types';
import { formatCount } from '../text/format';

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
  /** Shards of the same layers are a stage. */
  stage: number;
  /** The part that it has of every layer of its stage, 1 for whole layers, and where that part begins. */
  share: number;
  shareStart: number;
  bytes: number;
  phase: Phase;
  error: string;
}

/** How fast an instance will be, if enough is measured to tell. */
export interface Prediction {
  tokensPerSecond: number;
  firstTokenSeconds: number;
  promptTokens: number;
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
  prediction: Prediction | null;
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

function partOf(plan: Plan | null, rank: number): Pick<ShardView, 'stage' | 'share' | 'shareStart'> {
  const planned = plan?.ranks.find((other) => other.rank === rank);
  if (!plan || !planned) return { stage: rank, share: 1, shareStart: 0 };
  const sum = (ranks: { share: number }[]) => ranks.reduce((all, { share }) => all + share, 0);
  const team = plan.ranks.filter(({ stage }) => stage === planned.stage);
  const before = team.filter(({ slice }) => slice < planned.slice);
  const { stage, share } = planned;
  return { stage, share: share / sum(team), shareStart: sum(before) / sum(team) };
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
      ...partOf(instance.plan, shard.deviceRank),
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
    loadedLayers: Math.floor(shards.reduce((sum, { loadedLayers, share }) => sum + loadedLayers * share, 0) + 1e-9),
    totalLayers: shards[0]?.totalLayers ?? 0,
    prediction: predictionOf(instance.plan),
  };
}

export function predictionOf(plan: Plan | null): Prediction | null {
  const { tokensPerSecond, firstTokenSeconds, promptTokens } = plan ?? {};
  return tokensPerSecond && firstTokenSeconds && promptTokens
    ? { tokensPerSecond, firstTokenSeconds, promptTokens }
    : null;
}

/** The shards of each stage, in the order in which a token passes through the stages. */
export function stagesOf<Part extends { stage: number }>(parts: Part[]): Part[][] {
  const stages = [...new Set(parts.map(({ stage }) => stage))].sort((a, b) => a - b);
  return stages.map((stage) => parts.filter((part) => part.stage === stage));
}

/** Pairs of devices that talk while a token is computed: sums within a stage, hidden states to the next. */
export function routesOf(shards: ShardView[]): [string, string][] {
  const stages = stagesOf(shards).map((stage) => stage.map(({ deviceId }) => deviceId));
  return stages.flatMap((devices, index) => {
    const sums = devices.flatMap((a, i) => devices.slice(i + 1).map((b): [string, string] => [a, b]));
    const next = stages[index + 1] ?? [];
    return [...sums, ...next.map((device, slice): [string, string] => [devices[slice]!, device])];
  });
}

/** The models that can be chatted with, each once. */
export function readyModels(instances: InstanceView[]): string[] {
  return [...new Set(instances.filter(({ status }) => status === 'ready').map(({ modelId }) => modelId))];
}

/**
 * 'layers 0–2 of 6', 'layers 0–5, share 60 %': people count what is there, so the half-open end is shown as the
 * last layer held.
 */
export function layerText(shard: Pick<ShardView, 'startLayer' | 'endLayer' | 'totalLayers' | 'share'>): string {
  const { startLayer, endLayer, totalLayers, share } = shard;
  const layers = endLayer - startLayer === 1 ? `layer ${startLayer}` : `layers ${startLayer}–${endLayer - 1}`;
  return share < 1 ? `${layers}, share ${shareText(share)}` : `${layers} of ${totalLayers}`;
}

export function shareText(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** '28 layers in 3 stages on 3 devices', '28 layers, each shared by 2 devices', '28 layers on 1 device'. */
export function cutText(shards: ShardView[]): string {
  const stages = stagesOf(shards);
  const layers = formatCount(shards[0]?.totalLayers ?? 0, 'layer');
  const sharing = shards.length / Math.max(1, stages.length);
  if (stages.length > 1 && sharing > 1) return `${layers} in ${stages.length} stages of ${sharing} devices`;
  if (sharing > 1) return `${layers}, each shared by ${sharing} devices`;
  const way = stages.length > 1 ? ` in ${stages.length} stages` : '';
  return `${layers}${way} on ${formatCount(shards.length, 'device')}`;
}
