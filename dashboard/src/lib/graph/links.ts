import type { Point } from './layout';

export interface Box extends Point {
  width: number;
  height: number;
}

const pull = 0.32;

function centre(box: Box): Point {
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

/**
 * A curve between two cards, bent towards the middle so that it clears the cards standing between them.
 * `aside` moves it sideways, for several curves between the same two cards.
 */
export function linkPath(from: Box, to: Box, middle: Point, aside = 0): string {
  const a = shifted(centre(from), from, to, aside);
  const b = shifted(centre(to), from, to, aside);
  const x = (a.x + b.x) / 2;
  const y = (a.y + b.y) / 2;
  const bend = { x: x + (middle.x - x) * pull, y: y + (middle.y - y) * pull };
  return `M ${round(a.x)} ${round(a.y)} Q ${round(bend.x)} ${round(bend.y)} ${round(b.x)} ${round(b.y)}`;
}

function shifted(point: Point, from: Box, to: Box, aside: number): Point {
  const x = centre(to).x - centre(from).x;
  const y = centre(to).y - centre(from).y;
  const length = Math.hypot(x, y) || 1;
  return { x: point.x - (y / length) * aside, y: point.y + (x / length) * aside };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
