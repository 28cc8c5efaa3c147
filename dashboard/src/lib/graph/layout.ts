// Where the devices stand: around a ring bent to a rectangle, so that cards of any height never overlap,
// the middle stays free for the links, and a phone gets the same picture with two columns.

export interface Point {
  x: number;
  y: number;
}

export interface Layout {
  cardWidth: number;
  height: number;
  /** Top left corners, in the order of the heights given. */
  places: Point[];
}

interface Style {
  cardWidth: number;
  columns: number;
  gap: number;
  rowGap: number;
  archDepth: number;
}

const compactBelow = 560;
const denseAbove = 8;
const aloneWidth = 340;
const margin = 4;
const minColumns = 2;

function styleFor(width: number, count: number): Style {
  const room = width - 2 * margin;
  const compact = width < compactBelow;
  const dense = count > denseAbove;
  const gap = compact ? 18 : dense ? 28 : 44;
  const cardWidth = compact ? Math.min(224, (room - gap) / 2) : dense ? 188 : 216;
  return {
    cardWidth: count === 1 ? Math.min(aloneWidth, room) : cardWidth,
    columns: Math.max(minColumns, Math.floor((room + gap) / (cardWidth + gap))),
    gap,
    rowGap: compact ? 22 : 48,
    archDepth: compact ? 0 : 22,
  };
}

/** Splits the cards into a top row, pairs at both sides and a bottom row: the number in each. */
export function rowSizes(count: number, columns: number): number[] {
  if (count <= minColumns) return count > 0 ? [count] : [];
  const pairs = Math.max(count >= 5 ? 1 : 0, Math.ceil((count - 2 * columns) / 2));
  const ends = count - 2 * pairs;
  const top = Math.floor(ends / 2);
  return [top, ...Array<number>(pairs).fill(2), ends - top].filter((size) => size > 0);
}

/** The cards of each row from left to right, when they are dealt clockwise from the top left. */
export function rowMembers(count: number, columns: number): number[][] {
  const sizes = rowSizes(count, columns);
  const last = sizes.length - 1;
  let next = 0;
  const deal = (size: number) => Array.from({ length: size }, () => next++);
  const rows = sizes.map((size, row) => deal(row === 0 || row === last ? size : 1));
  if (last > 0) rows[last]!.reverse();
  for (let row = last - 1; row > 0; row -= 1) rows[row]!.unshift(...deal(1));
  return rows;
}

export function layoutCards(width: number, heights: number[]): Layout {
  const style = styleFor(width, heights.length);
  const rows = rowMembers(heights.length, style.columns);
  const places: Point[] = heights.map(() => ({ x: 0, y: 0 }));
  const topArch = archDepth(rows[0], rows.length, style);
  const bottomArch = archDepth(rows.at(-1), rows.length, style);
  let y = margin + topArch;
  rows.forEach((row, index) => {
    const tallest = Math.max(...row.map((card) => heights[card]!));
    const isSide = index > 0 && index < rows.length - 1;
    const xs = rowXs(row.length, width, style, isSide, rows.length === 1);
    row.forEach((card, position) => {
      const slack = isSide ? (tallest - heights[card]!) / 2 : 0;
      const lift = index === 0 ? -topArch : index === rows.length - 1 ? bottomArch : 0;
      places[card] = { x: xs[position]!, y: y + slack + lift * bulge(row.length, position) };
    });
    y += tallest + style.rowGap;
  });
  const height = rows.length > 0 ? y - style.rowGap + bottomArch + margin : 0;
  return { cardWidth: style.cardWidth, height, places };
}

/** Side pairs stand at the edges, out of the middle; the other rows spread around it. */
function rowXs(length: number, width: number, style: Style, isSide: boolean, isOnly: boolean): number[] {
  const room = width - 2 * margin;
  const airy = length * style.cardWidth + (length - 1) * style.gap * (isOnly ? 3 : 2);
  const span = isSide ? room : Math.min(room, airy);
  const start = (width - span) / 2;
  const step = length > 1 ? (span - style.cardWidth) / (length - 1) : 0;
  return Array.from({ length }, (_, position) => start + position * step);
}

/** 0 at the ends of a row, 1 in its middle: how far its cards stand out from the ring's straight side. */
function bulge(length: number, position: number): number {
  return length > 2 ? Math.sin((Math.PI * position) / (length - 1)) : 0;
}

function archDepth(row: number[] | undefined, rowCount: number, style: Style): number {
  return rowCount > 1 && row && row.length > 2 ? style.archDepth : 0;
}
