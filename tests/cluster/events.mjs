// GET /events: every state a device reports, kept.

export class Events {
  #abort = new AbortController();
  states = [];

  static async of(device) {
    const events = new Events();
    const response = await fetch(`${device.url}/events`, { signal: events.#abort.signal });
    events.#read(response.body).catch(() => {}); // ends with close() or with the device
    return events;
  }

  async #read(body) {
    let text = '';
    for await (const bytes of body.pipeThrough(new TextDecoderStream())) {
      text += bytes;
      const blocks = text.split('\n\n');
      text = blocks.pop();
      for (const block of blocks) {
        const data = block.split('\n').filter((line) => line.startsWith('data:'));
        if (data.length > 0) this.states.push(JSON.parse(data.map((line) => line.slice(5)).join('\n')));
      }
    }
  }

  close() {
    this.#abort.abort();
  }
}
