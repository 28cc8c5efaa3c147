import { describe, expect, it } from 'vitest';
import { EventParser, readEvents } from './sse';

const stream = 'event: state\ndata: {"a":1}\n\n: keep-alive\n\ndata: one\r\ndata: two\r\n\r\nid: 7\ndata:bare\n\ndata: cut';
const events = [
  { event: 'state', data: '{"a":1}' },
  { event: 'message', data: 'one\ntwo' },
  { event: 'message', data: 'bare' },
];

describe('EventParser', () => {
  it('reads events, joins data lines, and skips comments and unfinished events', () => {
    expect(new EventParser().push(stream)).toEqual(events);
  });

  it('reads the same whatever the cuts are', () => {
    for (let size = 1; size < 12; size += 1) {
      const parser = new EventParser();
      const read = [];
      for (let at = 0; at < stream.length; at += size) read.push(...parser.push(stream.slice(at, at + size)));
      expect(read, `pieces of ${size}`).toEqual(events);
    }
  });

  it('forgets the event name after each event', () => {
    expect(new EventParser().push('event: state\n\ndata: x\n\n')).toEqual([{ event: 'message', data: 'x' }]);
  });
});

function bodyOf(pieces: Uint8Array[], cancelled: () => void = () => {}): ReadableStream<Uint8Array> {
  return new ReadableStream({
    pull(controller) {
      const piece = pieces.shift();
      if (piece) controller.enqueue(piece);
      else controller.close();
    },
    cancel: cancelled,
  });
}

describe('readEvents', () => {
  it('joins characters that are cut between pieces, and reports every piece', async () => {
    const bytes = new TextEncoder().encode('data: Kö\n\n: keep-alive\n\n');
    const read = [];
    let heard = 0;
    for await (const event of readEvents(bodyOf([bytes.slice(0, 8), bytes.slice(8)]), () => (heard += 1))) {
      read.push(event.data);
    }
    expect(read).toEqual(['Kö']);
    expect(heard).toBe(2);
  });

  it('closes the connection when the consumer leaves', async () => {
    let cancelled = false;
    const bytes = new TextEncoder().encode('data: 1\n\ndata: 2\n\n');
    for await (const event of readEvents(bodyOf([bytes, bytes], () => (cancelled = true)))) {
      expect(event.data).toBe('1');
      break;
    }
    expect(cancelled).toBe(true);
  });
});
