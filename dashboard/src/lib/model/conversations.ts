import type { ChatMessage } from '../api/types';

export interface AnswerStats {
  firstTokenMs: number;
  tokens: number;
  tokensPerSecond: number;
}

export interface TurnError {
  message: string;
  advice: string;
}

export interface Turn {
  id: string;
  role: 'user' | 'assistant';
  content: string;
  model?: string;
  stats?: AnswerStats;
  error?: TurnError;
  stopped?: boolean;
}

export interface Conversation {
  id: string;
  title: string;
  updatedAt: number;
  turns: Turn[];
}

const titleLength = 48;
const kept = 100;

/** A title from the first question: its first line, cut at a word. */
export function titleFrom(question: string): string {
  const line = question.trim().split('\n')[0] ?? '';
  if (line.length <= titleLength) return line;
  const cut = line.slice(0, titleLength);
  const space = cut.lastIndexOf(' ');
  return `${cut.slice(0, space > titleLength / 2 ? space : titleLength)}…`;
}

/**
 * What the model is sent. A question whose answer never began is left out with it, unless it is the one being
 * asked: chat templates want questions and answers to alternate.
 */
export function promptOf(turns: Turn[]): ChatMessage[] {
  const isAnswered = (index: number) => index === turns.length - 1 || turns[index + 1]?.content !== '';
  return turns
    .filter(({ role, content }, index) => content !== '' && (role === 'assistant' || isAnswered(index)))
    .map(({ role, content }) => ({ role, content }));
}

/** The turns to ask again with: everything up to the last question. */
export function turnsForRetry(turns: Turn[]): Turn[] {
  const question = turns.findLastIndex(({ role }) => role === 'user');
  return turns.slice(0, question + 1);
}

export function statsOf(startedAt: number, firstAt: number, endedAt: number, tokens: number): AnswerStats {
  const seconds = (endedAt - firstAt) / 1000;
  // The first token's time belongs to the prompt, so the rate is that of the tokens after it.
  const tokensPerSecond = tokens > 1 && seconds > 0 ? (tokens - 1) / seconds : 0;
  return { firstTokenMs: firstAt - startedAt, tokens, tokensPerSecond };
}

export function serialize(conversations: Conversation[]): string {
  const used = conversations.filter(({ turns }) => turns.length > 0);
  return JSON.stringify(used.sort((a, b) => b.updatedAt - a.updatedAt).slice(0, kept));
}

/** What was stored, or nothing where it is missing or of another shape. */
export function deserialize(text: string | null): Conversation[] {
  try {
    const value: unknown = JSON.parse(text ?? '[]');
    return Array.isArray(value) ? value.filter(isConversation) : [];
  } catch {
    return [];
  }
}

function isConversation(value: unknown): value is Conversation {
  const { id, title, updatedAt, turns } = (value ?? {}) as Partial<Conversation>;
  return typeof id === 'string' && typeof title === 'string' && typeof updatedAt === 'number' && Array.isArray(turns);
}
