// Devices of different clusters on one network leave each other alone.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { allSee, seenBy, startDevices } from './cluster.mjs';
import { removeDevices } from './device.mjs';

after(() => removeDevices());
const [a, b] = await startDevices(['a', 'b'], { cluster: 'attic' });
const [c, d] = await startDevices(['c', 'd'], { cluster: 'cellar', peersOf: [a] });

test('each cluster finds its own devices, and none of the other', async () => {
  await allSee([a, b], ['a', 'b']);
  await allSee([c, d], ['c', 'd']);
  // Both pairs have found each other on the same network; a device of the other cluster would be here too.
  await sleep(3_000);
  for (const [device, names] of [[a, 'a,b'], [b, 'a,b'], [c, 'c,d'], [d, 'c,d']]) {
    const { online, suspect, offline } = await seenBy(device);
    assert.equal([...online, ...suspect, ...offline].sort().join(), names);
  }
});
