import { streamChat } from '../api/client';
import { advice, isAbort, toApiError } from '../api/errors';
import {
  deserialize,
  promptOf,
  serialize,
  statsOf,
  titleFrom,
  turnsForRetry,
  type Conversation,
  type Turn,
} from '../model/conversations';
import { readyModels } from '../model/instances';
import { newId } from '../text/id';
import { cluster } from './cluster.svelte';
import { load, save } from './storage';

const conversationsKey = 'hearth.conversations';
const modelKey = 'hearth.model';

function emptyConversation(): Conversation {
  return { id: newId(), title: 'New conversation', updatedAt: Date.now(), turns: [] };
}

class Chat {
  conversations = $state<Conversation[]>(deserialize(load(conversationsKey)));
  currentId = $state('');
  /** The answer being written. */
  activeTurn = $state<string | null>(null);
  #chosenModel = $state(load(modelKey) ?? '');
  #controller: AbortController | null = null;

  current = $derived(this.conversations.find(({ id }) => id === this.currentId)!);
  models = $derived(readyModels(cluster.instances));
  model = $derived(this.models.includes(this.#chosenModel) ? this.#chosenModel : (this.models[0] ?? ''));
  busy = $derived(this.activeTurn !== null);

  constructor() {
    this.start();
    addEventListener('pagehide', () => this.#save());
  }

  chooseModel(id: string): void {
    this.#chosenModel = id;
    save(modelKey, id);
  }

  /** Opens an empty conversation, the one there is if it is still unused. */
  start(): void {
    const unused = this.conversations.find(({ turns }) => turns.length === 0);
    if (!unused) this.conversations.unshift(emptyConversation());
    this.currentId = (unused ?? this.conversations[0]!).id;
  }

  open(id: string): void {
    this.currentId = id;
  }

  rename(id: string, title: string): void {
    const conversation = this.conversations.find((other) => other.id === id);
    if (!conversation || title.trim() === '') return;
    conversation.title = title.trim();
    this.#save();
  }

  remove(id: string): void {
    const removed = this.conversations.find((other) => other.id === id);
    if (removed?.turns.some((turn) => turn.id === this.activeTurn)) this.stop();
    this.conversations = this.conversations.filter((other) => other.id !== id);
    if (this.currentId === id) this.start();
    this.#save();
  }

  async send(text: string): Promise<void> {
    const conversation = this.current;
    if (conversation.turns.length === 0) conversation.title = titleFrom(text);
    conversation.turns.push({ id: newId(), role: 'user', content: text.trim() });
    await this.#answer(conversation);
  }

  async retry(): Promise<void> {
    this.current.turns = turnsForRetry(this.current.turns);
    await this.#answer(this.current);
  }

  stop(): void {
    this.#controller?.abort();
  }

  async #answer(conversation: Conversation): Promise<void> {
    const prompt = promptOf(conversation.turns);
    const controller = new AbortController();
    this.#controller = controller;
    conversation.turns.push({ id: newId(), role: 'assistant', content: '', model: this.model });
    const turn = conversation.turns.at(-1)!;
    this.activeTurn = turn.id;
    conversation.updatedAt = Date.now();
    this.#save();
    try {
      await this.#receive(turn, streamChat(this.model, prompt, controller.signal));
    } catch (error) {
      recordFailure(turn, error);
    }
    this.activeTurn = null;
    this.#save();
  }

  async #receive(turn: Turn, chunks: ReturnType<typeof streamChat>): Promise<void> {
    const startedAt = performance.now();
    let firstAt = 0;
    let lastAt = 0;
    let tokens = 0;
    for await (const { choices, usage } of chunks) {
      const piece = choices[0]?.delta.content ?? '';
      if (piece !== '') {
        lastAt = performance.now();
        firstAt ||= lastAt;
        tokens += 1;
        turn.content += piece;
      }
      if (usage) tokens = usage.completion_tokens;
      // Stopping keeps what was said, and the numbers that go with it.
      if (firstAt > 0) turn.stats = statsOf(startedAt, firstAt, lastAt, tokens);
    }
  }

  #save(): void {
    save(conversationsKey, serialize($state.snapshot(this.conversations)));
  }
}

function recordFailure(turn: Turn, error: unknown): void {
  if (isAbort(error)) {
    turn.stopped = true;
    return;
  }
  const failure = toApiError(error);
  turn.error = { message: failure.message, advice: advice(failure) };
}

export const chat = new Chat();
