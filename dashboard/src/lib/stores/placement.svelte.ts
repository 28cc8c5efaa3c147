import { fetchPreviews, placeInstance } from '../api/client';
import { isAbort, toApiError } from '../api/errors';
import type { KvType, Model, Sharding } from '../api/types';
import { optionsOf, preferredOption, type Option } from '../model/placement';
import { cluster } from './cluster.svelte';

/** The instance being considered: shown on the devices before anything is started. */
class Placement {
  model = $state.raw<Model | null>(null);
  options = $state.raw<Option[]>([]);
  devices = $state(1);
  sharding = $state<Sharding>('Auto');
  kv = $state<KvType>('');
  loading = $state(false);
  launching = $state(false);
  error = $state('');
  #request: AbortController | null = null;

  chosen = $derived(this.options.find((option) => option.devices === this.devices));
  fits = $derived(this.chosen !== undefined && this.chosen.error === '');

  /** What a plan depends on besides the model: previews are asked for again when this changes. */
  signature = $derived(
    JSON.stringify([
      this.sharding,
      this.kv,
      cluster.devices.map(({ id, status }) => [id, status]),
      cluster.instances.map(({ id }) => id),
    ]),
  );

  async open(model: Model): Promise<void> {
    this.model = model;
    this.options = [];
    this.sharding = 'Auto';
    this.kv = '';
    this.error = '';
    await this.refresh();
    this.devices = preferredOption(this.options)?.devices ?? 1;
  }

  close(): void {
    this.#request?.abort();
    this.model = null;
    this.options = [];
  }

  async refresh(): Promise<void> {
    if (!this.model) return;
    this.#request?.abort();
    const request = new AbortController();
    this.#request = request;
    this.loading = true;
    try {
      this.options = optionsOf(await fetchPreviews(this.#wanted(this.model), request.signal));
      this.error = '';
    } catch (error) {
      if (isAbort(error)) return;
      this.error = toApiError(error).message;
    }
    this.loading = false;
  }

  async launch(): Promise<void> {
    if (!this.model || !this.fits) return;
    this.launching = true;
    try {
      await placeInstance({ ...this.#wanted(this.model), min_nodes: this.devices });
      this.close();
    } catch (error) {
      this.error = toApiError(error).message;
    }
    this.launching = false;
  }

  #wanted(model: Model) {
    return { model_id: model.id, sharding: this.sharding, kv: this.kv };
  }
}

export const placement = new Placement();
