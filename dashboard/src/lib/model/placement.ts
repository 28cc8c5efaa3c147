import type { KvType, Preview, Sharding } from '../api/types';
import { predictionOf, shardsOf, type Prediction, type ShardView } from './instances';

/** The ways to cut a model over several devices, and what they mean. */
export const shardings: { value: Sharding; meaning: string }[] = [
  { value: 'Auto', meaning: 'What is predicted to be the fastest over the links between the devices.' },
  { value: 'Pipeline', meaning: 'Each device holds some of the layers; little is sent, and slow links will do.' },
  { value: 'Tensor', meaning: 'Each device holds a part of every layer and all work at once; wants fast links.' },
];

/** The numbers that the KV cache can be kept in. */
export const kvTypes: { value: KvType; label: string }[] = [
  { value: '', label: 'As this device was started' },
  { value: 'q16', label: 'q16: 2 bytes a number, nearly exact' },
  { value: 'bf16', label: 'bf16: 2 bytes, less exact' },
  { value: 'q8', label: 'q8: 1 byte, the least exact' },
  { value: 'f32', label: 'f32: 4 bytes, exact' },
];

/** One number of devices that can be asked for, and what would come of it. */
export interface Option {
  devices: number;
  shards: ShardView[];
  /** Bytes each device would use more. */
  memory: Record<string, number>;
  prediction: Prediction | null;
  error: string;
}

export function optionsOf(previews: Preview[]): Option[] {
  return previews
    .map((preview) => ({
      devices: preview.min_nodes,
      shards: preview.instance ? shardsOf(preview.instance, {}) : [],
      memory: preview.memory_delta_by_node ?? {},
      prediction: predictionOf(preview.instance?.plan ?? null),
      error: preview.instance ? '' : (preview.error ?? 'No plan fits.'),
    }))
    .sort((a, b) => a.devices - b.devices);
}

/** The fewest devices that fit, or the first option when none does, so that its reason is shown. */
export function preferredOption(options: Option[]): Option | undefined {
  return options.find((option) => option.error === '') ?? options[0];
}
