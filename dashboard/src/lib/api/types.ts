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

export interface Instance {
  instanceId: string;
  modelId: string;
  status: InstanceStatus;
  statusMessage: string;
  epoch: number;
  minNodes: number;
  shardAssignments: ShardAssignments;
}

export interface Runner {
  RunnerStarting?: object;
  RunnerLoading?: { layersLoaded: number; totalLayers: number };
  RunnerConnecting?: object;
  RunnerReady?: object;
  RunnerFailed?: { errorMessage: string };
}

export interface ClusterState {
  cluster: { name: string; locked: boolean; coordinator: string };
  self: string;
  topology: { nodes: string[]; connections: Connections };
  nodeIdentities: Record<string, NodeIdentity>;
  nodeMemory: Record<string, NodeMemory>;
  nodeStatus: Record<string, NodeStatus>;
  lastSeen: Record<string, string>;
  instances: Record<string, Instance>;
  runners: Record<string, Runner>;
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
