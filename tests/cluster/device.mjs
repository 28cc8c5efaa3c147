// A device under test: a real `hearth serve` with a data directory of its own.

import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from './eventually.mjs';
import { network } from './network.mjs';

const root = new URL('../../', import.meta.url).pathname;

/** The program under test. It finds the models of the source tree wherever it was built. */
export const hearth = process.env.HEARTH_BINARY ?? `${root}build/hearth`;
export const models = { HEARTH_MODELS_DIR: `${root}models` };

const startMs = 20_000;

const made = new Set();

/** Removes every device of this process. Belongs into an `after` at a test file's root. */
export async function removeDevices(devices = [...made]) {
  for (const device of devices) await device.remove();
}

// However this process ends, nothing is left behind.
process.on('exit', () => {
  for (const device of made) device.discard();
});

// Nothing of the user's: no settings, no data, and no Avahi of the machine outside the namespace.
function environment(home) {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(HEARTH|XDG)_/.test(name)));
  return {
    ...env,
    ...models,
    HOME: home,
    XDG_CONFIG_HOME: join(home, 'config'),
    XDG_DATA_HOME: join(home, 'data'),
    XDG_CACHE_HOME: join(home, 'cache'),
    DBUS_SYSTEM_BUS_ADDRESS: 'unix:path=/nonexistent',
  };
}

export class Device {
  #machine;
  #home;
  #options;
  #process;
  #output = '';

  /**
   * A machine with nothing running. `cluster`: the cluster's name; `peers`: devices to dial where there is no discovery.
   * `fresh`: it never ran before, and so places Ember by itself.
   */
  static async make(name, { cluster = 'test', peers = [], fresh = false } = {}) {
    const device = new Device();
    device.name = name;
    device.#machine = await network.machine();
    device.#home = mkdtempSync(join(tmpdir(), `hearth-${name}-`));
    device.#options = { cluster, peers };
    made.add(device);
    mkdirSync(device.dataDir);
    if (!fresh) writeFileSync(join(device.dataDir, 'started'), '');
    return device;
  }

  get port() {
    return this.#machine.port;
  }
  get url() {
    return `http://${this.#machine.address}:${this.#machine.port}`;
  }
  get deviceAddress() {
    return `${this.#machine.address}:${this.#machine.devicePort}`;
  }
  get dataDir() {
    return join(this.#home, 'device');
  }
  get environment() {
    return environment(this.#home);
  }
  get pid() {
    return this.#process.pid;
  }
  /** What the device printed, on either stream. */
  get output() {
    return this.#output;
  }
  get exitCode() {
    return this.#process.exitCode;
  }

  /** Starts the daemon and waits until its API answers. */
  async start(...flags) {
    const { port, devicePort } = this.#machine;
    const listen = network.discovers ? '0.0.0.0' : '127.0.0.1';
    const peers = network.discovers ? [] : this.#options.peers;
    const command = [
      hearth, 'serve', '--name', this.name, '--cluster', this.#options.cluster,
      '--data-dir', this.dataDir, '--listen', listen, '--port', String(port),
      '--device-port', String(devicePort), '--threads', '1', '--verbose',
      ...peers.flatMap((peer) => ['--peer', peer]),
      ...(network.discovers ? [] : ['--no-discovery']),
      ...flags,
    ];
    const [program, ...args] = this.#machine.inside(...command);
    this.#process = spawn(program, args, { env: this.environment, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.on('data', (text) => {
        this.#output += text;
        if (process.env.HEARTH_TEST_LOG) process.stderr.write(`[${this.name}] ${text}`);
      });
    }
    await eventually(`${this.name} answers`, startMs, async () => {
      if (this.#process.exitCode !== null) throw new Error(`${this.name} ended: ${this.#output}`);
      return (await this.get('/health')).status === 'ok';
    });
    return this;
  }

  /** Ends the daemon as Ctrl-C does, or with another signal; resolves once the process is gone. */
  async stop(signal = 'SIGINT', { withinMs = 10_000 } = {}) {
    if (!this.#process || this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = once(this.#process, 'exit', { signal: AbortSignal.timeout(withinMs) });
    this.#process.kill(signal);
    await gone;
  }

  /** Runs a command of the program on this machine. Rejects, with `code` and `stderr`, when it fails. */
  run(command, ...args) {
    const [program, ...rest] = this.#machine.inside(hearth, command, ...args, '--port', String(this.#machine.port));
    return promisify(execFile)(program, rest, { env: this.environment, timeout: 20_000 });
  }

  writeConfig(text) {
    const folder = join(this.#home, 'config', 'hearth');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'config.toml'), text);
  }

  async remove() {
    await this.stop('SIGKILL');
    this.discard();
  }

  discard() {
    this.#process?.kill('SIGKILL');
    this.#machine.remove();
    rmSync(this.#home, { recursive: true, force: true });
    made.delete(this);
  }

  /** The other ends' addresses of this machine's TCP connections, but for those of device and API ports. */
  connectedTo() {
    const [program, ...args] = this.#machine.inside('ss', '-Htn', 'state', 'established');
    const ends = execFileSync(program, args, { encoding: 'utf8' }).trim().split('\n').filter(Boolean);
    const ports = [this.#machine.port, this.#machine.devicePort].map((port) => `:${port}`);
    return ends
      .map((line) => line.trim().split(/\s+/).slice(2, 4))
      .filter((pair) => !pair.some((end) => ports.some((port) => end.endsWith(port))))
      .map(([, peer]) => peer.slice(0, peer.lastIndexOf(':')).replace('[::ffff:', '').replace(']', ''));
  }
  /** A second cable, straight to the other device. */
  connect(other) {
    network.connect(this.#machine, other.#machine);
  }
  /** Lets the first cable send no more than, say, '50mbit'. */
  slow(rate) {
    this.#machine.slow(rate);
  }

  unplug() {
    this.#machine.unplug();
  }
  /** What it sends and what is sent to it vanishes, while its link stays up. */
  losePackets() {
    this.#machine.losePackets();
  }
  /** Undoes either. */
  plug() {
    this.#machine.plug();
  }

  /** The processes that are this device's ranks. */
  runnerPids() {
    const pids = [];
    for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
        const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
        const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0');
        if (parent === this.pid && command[1] === 'runner') pids.push(Number(entry));
      } catch {
        // It ended while we looked.
      }
    }
    return pids;
  }

  async get(path) {
    const response = await fetch(this.url + path, { signal: AbortSignal.timeout(5_000) });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  async send(method, path, body) {
    const response = await fetch(this.url + path, {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
      signal: AbortSignal.timeout(30_000),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? null : JSON.parse(text) };
  }

  state() {
    return this.get('/state');
  }

  /** The answer of Ember (or `model`) at temperature 0. Throws on any error. */
  async ask(question, { model = 'ember', maxTokens = 48 } = {}) {
    const answer = await this.send('POST', '/v1/chat/completions', {
      model,
      messages: [{ role: 'user', content: question }],
      temperature: 0,
      max_tokens: maxTokens,
    });
    if (answer.status !== 200) throw new Error(`${answer.status}: ${JSON.stringify(answer.body)}`);
    return answer.body.choices[0].message.content;
  }
}
