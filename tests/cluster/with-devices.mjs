// with-devices.mjs COUNT COMMAND...: starts a cluster of COUNT devices with Ember ready on all of them, runs COMMAND
// with HEARTH_URL, HEARTH_URL_2, HEARTH_DEVICES and HEARTH_MODEL, and ends with its exit code.
// `--empty` before COUNT: without any instance.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { allSee, placeEmber, startDevices, untilReady } from './cluster.mjs';
import { removeDevices } from './device.mjs';

const args = process.argv.slice(2);
const empty = args[0] === '--empty';
if (empty) args.shift();
const count = Number(args.shift());
const names = ['studio', 'attic', 'cellar', 'garden'].slice(0, count);

let code = 1;
try {
  const devices = await startDevices(names);
  await allSee(devices, names);
  if (!empty) {
    const instance = await placeEmber(devices[0], count);
    for (const device of devices) await untilReady(device, instance);
  }
  const env = {
    ...process.env,
    HEARTH_URL: devices[0].url,
    ...(count > 1 && { HEARTH_URL_2: devices[1].url }),
    HEARTH_DEVICES: String(count),
    HEARTH_MODEL: 'ember',
  };
  const [program, ...rest] = args;
  const command = spawn(program, rest, { env, stdio: 'inherit' });
  [code] = await once(command, 'exit');
  if (code !== 0) {
    for (const device of devices) console.error(`--- ${device.name} said:\n${device.output.replace(/^.* debug .*\n/gm, '')}`);
  }
} catch (error) {
  console.error(error);
} finally {
  await removeDevices();
}
process.exit(code ?? 1);
