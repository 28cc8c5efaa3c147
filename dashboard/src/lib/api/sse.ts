// Server-sent events over fetch. EventSource can neither POST nor tell that only comments arrive, and
// comments are how a quiet but living stream is told from a dead one.

export interface ServerEvent {
  event: string;
  data: string;
}

export class EventParser {
  #rest = '';
  #event = '';
  #data: string[] = [];

  /** Takes the next piece of the stream, cut anywhere, and returns the events it completes. */
  push(piece: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    this.#rest += piece;
    for (;;) {
      const line = this.#takeLine();
      if (line === null) return events;
      const event = this.#line(line);
      if (event) events.push(event);
    }
  }

  #takeLine(): string | null {
    const end = this.#rest.search(/[\r\n]/);
    if (end < 0) return null;
    const isReturn = this.#rest[end] === '\r';
    // The next piece may begin with the line feed that belongs to this carriage return.
    if (isReturn && end + 1 === this.#rest.length) return null;
    const line = this.#rest.slice(0, end);
    const width = isReturn && this.#rest[end + 1] === '\n' ? 2 : 1;
    this.#rest = this.#rest.slice(end + width);
    return line;
  }

  #line(line: string): ServerEvent | null {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.#event = value;
    if (field === 'data') this.#data.push(value);
    return null;
  }

  #dispatch(): ServerEvent | null {
    const event = { event: this.#event || 'message', data: this.#data.join('\n') };
    const hasData = this.#data.length > 0;
    this.#event = '';
    this.#data = [];
    return hasData ? event : null;
  }
}

/** Yields a response's events; `onBytes` is called whenever anything arrives, comments included. */
export async function* readEvents(
  body: ReadableStream<Uint8Array>,
  onBytes: () => void = () => {},
): AsyncGenerator<ServerEvent> {
  const parser = new EventParser();
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      onBytes();
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    // A consumer that leaves early must close the connection, or the server goes on generating.
    await reader.cancel().catch(() => {});
  }
}
