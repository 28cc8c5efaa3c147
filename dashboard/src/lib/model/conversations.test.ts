import { describe, expect, it } from 'vitest';
import { deserialize, promptOf, serialize, statsOf, titleFrom, turnsForRetry, type Turn } from './conversations';

const turn = (role: Turn['role'], content: string): Turn => ({ id: content, role, content });

describe('promptOf', () => {
  it('leaves out questions whose answer never began, but not the one being asked', () => {
    const turns = [turn('user', 'one'), turn('assistant', ''), turn('user', 'two'), turn('assistant', 'b'), turn('user', 'three')];
    expect(promptOf(turns)).toEqual([
      { role: 'user', content: 'two' },
      { role: 'assistant', content: 'b' },
      { role: 'user', content: 'three' },
    ]);
  });
});

describe('turnsForRetry', () => {
  it('drops what came after the last question', () => {
    const turns = [turn('user', 'one'), turn('assistant', 'a')];
    expect(turnsForRetry(turns)).toEqual(turns.slice(0, 1));
  });
});

describe('titleFrom', () => {
  it('takes the first line, cut at a word', () => {
    expect(titleFrom('  Hello\nworld')).toBe('Hello');
    expect(titleFrom('What is the difference between a hearth and a fireplace?')).toBe(
      'What is the difference between a hearth and a…',
    );
    expect(titleFrom('x'.repeat(80))).toBe(`${'x'.repeat(48)}…`);
  });
});

describe('statsOf', () => {
  it('counts the rate from the first token on', () => {
    expect(statsOf(1000, 1200, 3200, 41)).toEqual({ firstTokenMs: 200, tokens: 41, tokensPerSecond: 20 });
  });

  it('has no rate for a single token', () => {
    expect(statsOf(0, 100, 100, 1).tokensPerSecond).toBe(0);
  });
});

describe('storage', () => {
  const conversation = (id: string, updatedAt: number, turns: Turn[]) => ({ id, title: id, updatedAt, turns });

  it('keeps used conversations, newest first', () => {
    const stored = serialize([
      conversation('old', 1, [turn('user', 'x')]),
      conversation('unused', 3, []),
      conversation('new', 2, [turn('user', 'y')]),
    ]);
    expect(deserialize(stored).map(({ id }) => id)).toEqual(['new', 'old']);
  });

  it('starts empty when what is stored is missing, broken or of another shape', () => {
    for (const text of [null, '{', '{"a":1}', 'null', '[null, 1, {"id":"x"}]']) expect(deserialize(text)).toEqual([]);
  });
});
