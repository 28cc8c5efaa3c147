// Waiting for what must become true within a bound.

import { setTimeout as sleep } from 'node:timers/promises';

/** The first truthy value of `probe`, asked until then. A probe that throws is asked again; the last error is told. */
export async function eventually(what, boundMs, probe) {
  const deadline = performance.now() + boundMs;
  let last = 'never true';
  for (;;) {
    try {
      const value = await probe();
      if (value) return value;
    } catch (error) {
      last = error.message;
    }
    if (performance.now() > deadline) throw new Error(`not within ${boundMs / 1000} s: ${what} (${last})`);
    await sleep(100);
  }
}
