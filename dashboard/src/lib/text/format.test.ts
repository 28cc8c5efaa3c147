import { describe, expect, it } from 'vitest';
import {
  formatAgo, formatBitRate, formatBytes, formatContext, formatCount, formatLatency, formatMilliseconds, formatRate,
  formatShare,
} from './format';

describe('format', () => {
  it('writes sizes in decimal units', () => {
    expect([0, 999, 1000, 6_300_000, 25_000_000_000, 999_600_000].map(formatBytes)).toEqual([
      '0 B', '999 B', '1 kB', '6.3 MB', '25 GB', '1 GB',
    ]);
  });

  it('writes a shared unit once', () => {
    expect(formatShare(9_200_000_000, 25_000_000_000)).toBe('9.2 / 25 GB');
    expect(formatShare(900_000_000, 4_000_000_000)).toBe('900 MB / 4 GB');
  });

  it('writes counts, times and rates', () => {
    expect(formatCount(1, 'device')).toBe('1 device');
    expect(formatCount(2, 'device')).toBe('2 devices');
    expect([180, 1500, 12_000].map(formatMilliseconds)).toEqual(['180 ms', '1.5 s', '12 s']);
    expect([3.14159, 41.5].map(formatRate)).toEqual(['3.1', '42']);
    expect([8.37, 31.2, 999.6, 12_000].map(formatLatency)).toEqual(['8.4 µs', '31 µs', '1.0 ms', '12 ms']);
    expect([5e6, 940e6, 9.4e9, 100e9].map(formatBitRate)).toEqual([
      '5.0 Mbit/s', '940 Mbit/s', '9.4 Gbit/s', '100 Gbit/s',
    ]);
    expect([800, 20_000, 600_000, 7_200_000].map(formatAgo)).toEqual(['just now', '20 s ago', '10 min ago', '2 h ago']);
    expect([512, 4096, 131_072, 10_000].map(formatContext)).toEqual(['512', '4k', '128k', '10k']);
  });
});
