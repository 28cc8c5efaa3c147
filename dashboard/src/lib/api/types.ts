// The shapes of docs/http.md, field for field.

export interface Bytes {
  inBytes: number;
}

export interface ApiErrorBody {
  error: { message: string; type: string; param?: string | null; code?: string | null };
}

export interface Model {
  id: string;
  object: 'model';
  created: number;
  owned_by: string;
  name?: string;
  description?: string;
  storage_size_bytes?: number;
  context_length?: number;
  layers?: number;
  architecture?: string;
  encoding?: string;
  running?: boolean;
  devices?: string[];
}

export interface ModelList {
  object: 'list';
  data: Model[];
}

export interface LinkAddress {
  sinkMultiaddr: { address: string; address_type: string; ip_address: string; port: number };
}

export type Connections = Record<string, Record<string, LinkAddress[]>>;

export interface NodeIdentity {
  friendlyName: string;
  modelId: string;
  chipId: string;
  osVersion: string;
  cores: number;
  version: string;
}

export interface NodeMemory {
  ramTotal: Bytes;
  ramAvailable: Bytes;
}

export type DeviceStatus = 'online' | 'suspect' | 'offline';

export interface NodeStatus {
  status: DeviceStatus;
  addresses: string[];
  lastSeenMsAgo: number;
  joinedAt: string;
  models: string[];
}

export interface Shard {
  deviceRank: number;
  worldSize: number;
  startLayer: number;
  endLayer: number;
  nLayers: number;
  memory: Bytes;
}

export interface ShardAssignments {
  modelId: string;
  nodeToRunner: Record<string, string>;
  /** Slices of stages are tensor shards. */
  runnerToShard: Record<string, { PipelineShardMetadata?: Shard; TensorShardMetadata?: Shard }>;
}

export type InstanceStatus = 'placing' | 'loading' | 'ready' | 'failed' | 'waiting';

export interface PlannedRank {
  rank: number;
  device: string;
  stage: number;
  slice: number;
  startLayer: number;
  endLayer: number;
  /** Counts beside the shares of the other ranks of the stage. */
  share: number;
}

export interface Plan {
  stages: number;
  slices: number;
  /** Predictions are null until devices and links are measured. */
  tokensPerSecond: number | null;
  firstTokenSeconds: number | null;
  promptTokens: number;
  ranks: PlannedRank[];
}

export interface Instance {
  instanceId: string;
  modelId: string;
  status: InstanceStatus;
  statusMessage: string;
  epoch: number;
  minNodes: number;
  shardAssignments: ShardAssignments;
  plan: Plan | null;
}

export interface Runner {
  RunnerStarting?: object;
  RunnerLoading?: { layersLoaded: number; totalLayers: number };
  RunnerConnecting?: object;
  RunnerReady?: object;
  RunnerFailed?: { errorMessage: string };
}

/** A path to another device, as the device that has it measured it. */
export interface MeasuredPath {
  to: string;
  host: string;
  kind: string;
  latencyUs: number | null;
  bitsPerSecond: number;
  carriedBy: string | null;
  error: string | null;
  chosen: boolean;
}

export interface ClusterState {
  cluster: { name: string; locked: boolean; coordinator: string };
  self: string;
  topology: { nodes: string[]; connections: Connections };
  nodeIdentities: Record<string, NodeIdentity>;
  nodeMemory: Record<string, NodeMemory>;
  nodeStatus: Record<string, NodeStatus>;
  lastSeen: Record<string, string>;
  links: Record<string, MeasuredPath[]>;
  instances: Record<string, Instance>;
  runners: Record<string, Runner>;
}

/** How an instance is to be cut, as people ask for it. */
export type Sharding = 'Auto' | 'Pipeline' | 'Tensor';

/** Numbers of the KV cache; empty: as the device that is asked was told. */
export type KvType = '' | 'q16' | 'bf16' | 'q8' | 'f32';

export interface PlaceRequest {
  model_id: string;
  min_nodes: number;
  sharding: Sharding;
  kv: KvType;
}

export interface Preview {
  model_id: string;
  sharding: 'Pipeline' | 'Tensor';
  min_nodes: number;
  instance: Instance | null;
  memory_delta_by_node: Record<string, number> | null;
  error: string | null;
}

export interface CommandAnswer {
  message: string;
  command_id: string;
  instance_id: string;
}

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
}

export interface ChatChunk {
  choices: { index: number; delta: { role?: string; content?: string | null }; finish_reason: string | null }[];
  usage?: Usage | null;
}
