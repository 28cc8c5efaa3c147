import type { InstanceView } from './instances';

export type StatusById = ReadonlyMap<string, Pick<InstanceView, 'modelId' | 'status' | 'message'>>;

const sentences = {
  placing: 'is being placed.',
  loading: 'is loading.',
  ready: 'is ready.',
  failed: 'failed.',
  waiting: 'waits for devices.',
};

/** What changed between two states of the instances, as sentences for a screen reader. */
export function statusChanges(before: StatusById, after: StatusById, nameOf: (id: string) => string): string[] {
  const changes: string[] = [];
  for (const [id, { modelId, status, message }] of after) {
    if (before.get(id)?.status === status) continue;
    changes.push(`${nameOf(modelId)} ${sentences[status]}${status === 'failed' ? ` ${message}` : ''}`);
  }
  for (const [id, { modelId }] of before) {
    if (!after.has(id)) changes.push(`${nameOf(modelId)} was deleted.`);
  }
  return changes;
}
