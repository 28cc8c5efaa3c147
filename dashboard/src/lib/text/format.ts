const units = ['B', 'kB', 'MB', 'GB', 'TB'];

/** Decimal units with up to three significant digits: 6.3 MB, 940 kB, 25 GB. */
export function formatBytes(bytes: number): string {
  let value = Math.abs(bytes);
  let unit = 0;
  // 999.5 and more would be printed as 1000 of the smaller unit.
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = value < 9.95 && unit > 0 ? 1 : 0;
  return `${bytes < 0 ? '−' : ''}${value.toFixed(digits).replace(/\.0$/, '')} ${units[unit]}`;
}

/** '9.2 / 25 GB': the unit once, where both share it. */
export function formatShare(used: number, total: number): string {
  const [usedValue, usedUnit] = formatBytes(used).split(' ');
  const whole = formatBytes(total);
  return whole.endsWith(` ${usedUnit}`) ? `${usedValue} / ${whole}` : `${usedValue} ${usedUnit} / ${whole}`;
}

export function formatCount(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

export function formatMilliseconds(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(ms < 9950 ? 1 : 0)} s`;
}

export function formatRate(perSecond: number): string {
  return perSecond < 9.95 ? perSecond.toFixed(1) : perSecond.toFixed(0);
}

/** One way between two devices: 8.4 µs, 31 µs, 1.2 ms. */
export function formatLatency(us: number): string {
  if (us < 999.5) return `${us.toFixed(us < 9.95 ? 1 : 0)} µs`;
  return `${(us / 1000).toFixed(us < 9950 ? 1 : 0)} ms`;
}

/** 940 Mbit/s, 9.4 Gbit/s. */
export function formatBitRate(bitsPerSecond: number): string {
  const megabits = bitsPerSecond / 1e6;
  if (megabits < 999.5) return `${megabits.toFixed(megabits < 9.95 ? 1 : 0)} Mbit/s`;
  return `${(megabits / 1000).toFixed(megabits < 9950 ? 1 : 0)} Gbit/s`;
}

export function formatAgo(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 2) return 'just now';
  if (seconds < 90) return `${seconds} s ago`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min ago` : `${Math.round(minutes / 60)} h ago`;
}

/** Context lengths are powers of two more often than not: 4096 is '4k', 131072 '128k'. */
export function formatContext(tokens: number): string {
  if (tokens < 1024) return String(tokens);
  return tokens % 1024 === 0 ? `${tokens / 1024}k` : `${Math.round(tokens / 1000)}k`;
}
