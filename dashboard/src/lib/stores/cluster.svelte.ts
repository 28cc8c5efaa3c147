import { fetchState, streamState } from '../api/client';
import type { ClusterState } from '../api/types';
import { assignColors } from '../model/colors';
import { devicesOf, linksOf } from '../model/devices';
import { instancesOf } from '../model/instances';

export type Connection = 'connecting' | 'live' | 'polling' | 'lost';

const retryMs = 2000;
const openMs = 5000;
// Two keep-alive comments and some: a stream silent for longer hangs on a device that is gone.
const silentMs = 35_000;

/** The cluster as the device serving this page sees it: followed live, polled where the stream does not pass. */
class ClusterFeed {
  state = $state.raw<ClusterState | null>(null);
  connection = $state<Connection>('connecting');
  colors = $state.raw<ReadonlyMap<string, number>>(new Map());

  devices = $derived(this.state ? devicesOf(this.state) : []);
  links = $derived(this.state ? linksOf(this.state) : []);
  instances = $derived(this.state ? instancesOf(this.state) : []);

  /** Runs as long as the page does. */
  async follow(): Promise<never> {
    for (;;) {
      // A state first: a stream that does not pass through a proxy then still leaves a page that works.
      await this.#poll();
      if (this.connection !== 'lost') await this.#stream().catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
  }

  async #stream(): Promise<void> {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), openMs);
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), silentMs);
    };
    try {
      for await (const state of streamState(silence.signal, heard)) this.#accept(state, 'live');
    } finally {
      clearTimeout(timer);
    }
  }

  async #poll(): Promise<void> {
    try {
      this.#accept(await fetchState(AbortSignal.timeout(openMs)), 'polling');
    } catch {
      this.connection = 'lost';
    }
  }

  #accept(state: ClusterState, connection: Connection): void {
    this.colors = assignColors(this.colors, Object.keys(state.instances));
    this.state = state;
    this.connection = connection;
  }
}

export const cluster = new ClusterFeed();
