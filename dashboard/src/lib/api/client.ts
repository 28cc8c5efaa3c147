import { ApiError, errorFromBody, isAbort, toApiError } from './errors';
import { readEvents, type ServerEvent } from './sse';
import type {
  ChatChunk,
  ChatMessage,
  ClusterState,
  CommandAnswer,
  Model,
  ModelList,
  PlaceRequest,
  Preview,
} from './types';

async function request(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    throw isAbort(error) ? error : toApiError(error);
  }
  if (response.ok) return response;
  throw errorFromBody(await response.json().catch(() => null), response.status);
}

async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await request(path, { signal })).json() as Promise<T>;
}

function post(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  const headers = { 'Content-Type': 'application/json' };
  return request(path, { method: 'POST', headers, body: JSON.stringify(body), signal });
}

export async function fetchState(signal?: AbortSignal): Promise<ClusterState> {
  return getJson('/state', signal);
}

export async function fetchModels(): Promise<Model[]> {
  return (await getJson<ModelList>('/v1/models')).data;
}

export async function fetchPreviews(
  wanted: Omit<PlaceRequest, 'min_nodes'>,
  signal?: AbortSignal,
): Promise<Preview[]> {
  const query = new URLSearchParams(wanted);
  return (await getJson<{ previews: Preview[] }>(`/instance/previews?${query}`, signal)).previews;
}

export async function placeInstance(wanted: PlaceRequest): Promise<CommandAnswer> {
  return (await post('/place_instance', wanted)).json() as Promise<CommandAnswer>;
}

export async function deleteInstance(instanceId: string): Promise<void> {
  await request(`/instance/${encodeURIComponent(instanceId)}`, { method: 'DELETE' });
}

/** The live states of the cluster. Ends or throws when the connection does. */
export async function* streamState(signal: AbortSignal, onBytes: () => void): AsyncGenerator<ClusterState> {
  const response = await request('/events', { signal, headers: { Accept: 'text/event-stream' } });
  onBytes();
  for await (const { event, data } of readEvents(response.body!, onBytes)) {
    if (event === 'state') yield JSON.parse(data) as ClusterState;
  }
}

export async function* streamChat(
  model: string,
  messages: ChatMessage[],
  signal: AbortSignal,
): AsyncGenerator<ChatChunk> {
  const body = { model, messages, stream: true, stream_options: { include_usage: true } };
  const response = await post('/v1/chat/completions', body, signal);
  for await (const event of readEvents(response.body!)) {
    if (event.data === '[DONE]') return;
    yield chunkOf(event);
  }
  throw new ApiError('The answer broke off before its end.', 0, 'interrupted');
}

function chunkOf({ data }: ServerEvent): ChatChunk {
  const chunk = JSON.parse(data) as ChatChunk & { error?: unknown };
  if (chunk.error) throw errorFromBody(chunk, 500);
  return chunk;
}
