import { fetchModels } from '../api/client';
import { toApiError } from '../api/errors';
import type { Model } from '../api/types';
import { cluster } from './cluster.svelte';

class Models {
  all = $state.raw<Model[]>([]);
  loaded = $state(false);
  error = $state('');

  /** What the list depends on: it is asked for again when this changes. */
  signature = $derived(
    JSON.stringify([
      cluster.connection === 'lost',
      cluster.instances.map(({ id, status }) => [id, status]),
      cluster.devices.map(({ id, status, models }) => [id, status, models]),
    ]),
  );

  async refresh(): Promise<void> {
    try {
      this.all = await fetchModels();
      this.error = '';
      this.loaded = true;
    } catch (error) {
      this.error = toApiError(error).message;
    }
  }

  nameOf(id: string): string {
    return this.all.find((model) => model.id === id)?.name || id;
  }
}

export const models = new Models();
