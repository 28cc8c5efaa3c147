import type { Point } from './layout';

export interface Size {
  width: number;
  height: number;
}

export type Box = Point & Size;

const pull = 0.32;
const labelDistance = 6;
// Along a curve, from its middle outwards.
const labelPlaces = Array.from({ length: 21 }, (_, index) => 0.5 + (index % 2 ? 0.015 : -0.015) * (index + (index % 2)));

function centre(box: Box): Point {
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

interface Curve {
  a: Point;
  bend: Point;
  b: Point;
}

function curveBetween(from: Box, to: Box, middle: Point, aside: number): Curve {
  const a = shifted(centre(from), from, to, aside);
  const b = shifted(centre(to), from, to, aside);
  const x = (a.x + b.x) / 2;
  const y = (a.y + b.y) / 2;
  return { a, bend: { x: x + (middle.x - x) * pull, y: y + (middle.y - y) * pull }, b };
}

/**
 * A curve between two cards, bent towards the middle so that it clears the cards standing between them.
 * `aside` moves it sideways, for several curves between the same two cards.
 */
export function linkPath(from: Box, to: Box, middle: Point, aside = 0): string {
  const { a, bend, b } = curveBetween(from, to, middle, aside);
  return `M ${round(a.x)} ${round(a.y)} Q ${round(bend.x)} ${round(bend.y)} ${round(b.x)} ${round(b.y)}`;
}

/**
 * The room of a label beside the curve between two cards, on the side away from the middle, where it covers nothing
 * that is `taken`; null where there is none.
 */
export function labelPlace(from: Box, to: Box, middle: Point, size: Size, taken: Box[]): Box | null {
  const curve = curveBetween(from, to, middle, 0);
  const boxes = labelPlaces.map((t) => beside(curve, t, middle, size));
  return boxes.find((box) => !taken.some((other) => overlaps(box, other))) ?? null;
}

/** A box of that size near the curve at `t`. */
function beside({ a, bend, b }: Curve, t: number, middle: Point, size: Size): Box {
  const along = (from: number, over: number, to: number) =>
    (1 - t) ** 2 * from + 2 * t * (1 - t) * over + t ** 2 * to;
  const point = { x: along(a.x, bend.x, b.x), y: along(a.y, bend.y, b.y) };
  const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
  const normal = { x: (a.y - b.y) / length, y: (b.x - a.x) / length };
  const outwards = (point.x - middle.x) * normal.x + (point.y - middle.y) * normal.y;
  // Above a line through the middle.
  const side = Math.abs(outwards) < 1 ? -Math.sign(normal.y) || 1 : Math.sign(outwards);
  const distance = labelDistance + (Math.abs(normal.x) * size.width + Math.abs(normal.y) * size.height) / 2;
  return {
    x: round(point.x + side * normal.x * distance - size.width / 2),
    y: round(point.y + side * normal.y * distance - size.height / 2),
    ...size,
  };
}

function overlaps(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
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
