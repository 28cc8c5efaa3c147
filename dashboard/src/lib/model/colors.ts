/** How many --series-N colours tokens.css defines. */
export const seriesCount = 6;

/**
 * Gives each instance a colour and lets it keep it while it lives. The least used colour goes to a newcomer,
 * so colours repeat only when there are more instances than colours.
 */
export function assignColors(before: ReadonlyMap<string, number>, ids: string[]): Map<string, number> {
  const after = new Map<string, number>();
  for (const id of ids) {
    const color = before.get(id);
    if (color !== undefined) after.set(id, color);
  }
  for (const id of [...ids].sort()) {
    if (!after.has(id)) after.set(id, leastUsed([...after.values()]));
  }
  return after;
}

function leastUsed(colors: number[]): number {
  const uses = Array.from({ length: seriesCount }, (_, color) => colors.filter((used) => used === color).length);
  return uses.indexOf(Math.min(...uses));
}
