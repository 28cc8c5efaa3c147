// Machines on a local network: network namespaces joined by a bridge (see ./in-network), else this machine's
// loopback with a port of its own for each device.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';

const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });

const run = ([program, ...args]) => execFileSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });

// This process stands on the bridge, as a laptop on the same network would.
class BridgedNetwork {
  discovers = true;
  #machines = 0;

  constructor() {
    ip('link', 'set', 'lo', 'up');
    ip('link', 'add', 'lan', 'type', 'bridge');
    ip('address', 'add', '10.99.0.1/24', 'dev', 'lan');
    ip('link', 'set', 'lan', 'up');
  }

  async machine() {
    const number = ++this.#machines;
    const address = `10.99.0.${number + 1}`;
    const cable = `cable${number}`;
    // The namespaces live as long as the process that holds them. /sys shows the interfaces of the network it was mounted in.
    const hold = 'mount -t sysfs sysfs /sys; ip link set lo up; echo up; exec sleep infinity';
    const holder = spawn('unshare', ['--net', '--mount', 'sh', '-c', hold], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(holder.stdout, 'data');
    const inside = (...command) => ['nsenter', '--target', String(holder.pid), '--net', '--mount', '--wd', '--', ...command];
    ip('link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(holder.pid));
    ip('link', 'set', cable, 'master', 'lan', 'up');
    run(inside('sh', '-c', `ip address add ${address}/24 dev eth0; ip link set eth0 up`));
    return {
      namespace: String(holder.pid),
      address,
      port: 52415,
      devicePort: 52416,
      inside,
      unplug: () => ip('link', 'set', cable, 'down'),
      losePackets: () => ip('link', 'set', cable, 'nomaster'),
      plug: () => ip('link', 'set', cable, 'master', 'lan', 'up'),
      remove: () => holder.kill('SIGKILL'),
      slow: (rate) => run(inside('tc', 'qdisc', 'add', 'dev', 'eth0', 'root', 'tbf', 'rate', rate, 'burst', '32kb', 'latency', '100ms')),
    };
  }

  /** A cable straight from one machine to another, beside the bridge, with addresses that sort after the bridge's. */
  connect(one, other) {
    ip('link', 'add', 'direct0', 'netns', one.namespace, 'type', 'veth', 'peer', 'name', 'direct0', 'netns', other.namespace);
    for (const [machine, address] of [[one, '172.20.0.1'], [other, '172.20.0.2']]) {
      run(machine.inside('sh', '-c', `ip address add ${address}/24 dev direct0; ip link set direct0 up`));
    }
  }
}

class Loopback {
  discovers = false;

  async machine() {
    return {
      address: '127.0.0.1',
      port: await freePort(),
      devicePort: await freePort(),
      inside: (...command) => command,
      remove: () => {},
    };
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** One network a test process; the kind that ./in-network made room for. */
export const network = process.env.HEARTH_TEST_NETWORK === 'namespaces' ? new BridgedNetwork() : new Loopback();
