import type { Preview } from '../api/types';
import { shardsOf, type ShardView } from './instances';

/** One number of devices that can be asked for, and what would come of it. */
export interface Option {
  devices: number;
  shards: ShardView[];
  /** Bytes each device would use more. */
  memory: Record<string, number>;
  error: string;
}

export function optionsOf(previews: Preview[]): Option[] {
  return previews
    .map((preview) => ({
      devices: preview.min_nodes,
      shards: preview.instance ? shardsOf(preview.instance, {}) : [],
      memory: preview.memory_delta_by_node ?? {},
      error: preview.instance ? '' : (preview.error ?? 'No plan fits.'),
    }))
    .sort((a, b) => a.devices - b.devices);
}

/** The fewest devices that fit, or the first option when none does, so that its reason is shown. */
export function preferredOption(options: Option[]): Option | undefined {
  return options.find((option) => option.error === '') ?? options[0];
}
