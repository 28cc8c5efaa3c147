import { describe, expect, it } from 'vitest';
import { layoutCards, rowMembers, rowSizes } from './layout';
import { labelPlace, linkPath } from './links';

const counts = Array.from({ length: 16 }, (_, index) => index + 1);
const widths = [328, 480, 600, 860, 1008];

describe('rowSizes', () => {
  it('keeps every card and every row within the columns', () => {
    for (const columns of [2, 3, 4, 5]) {
      for (const count of counts) {
        const sizes = rowSizes(count, columns);
        expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(count);
        expect(Math.max(...sizes)).toBeLessThanOrEqual(columns);
      }
    }
  });

  it('makes a ring from five cards on', () => {
    expect(rowSizes(5, 3)).toEqual([1, 2, 2]);
    expect(rowSizes(12, 4)).toEqual([4, 2, 2, 4]);
    expect(rowSizes(7, 2)).toEqual([1, 2, 2, 2]);
  });
});

describe('rowMembers', () => {
  it('deals clockwise from the top left', () => {
    expect(rowMembers(8, 3)).toEqual([
      [0, 1, 2],
      [7, 3],
      [6, 5, 4],
    ]);
    expect(rowMembers(2, 2)).toEqual([[0, 1]]);
    expect(rowMembers(0, 2)).toEqual([]);
  });

  it('holds every card once', () => {
    for (const count of counts) {
      expect([...rowMembers(count, 4).flat()].sort((a, b) => a - b)).toEqual(counts.slice(0, count).map((n) => n - 1));
    }
  });
});

describe('layoutCards', () => {
  it('overlaps no cards and leaves none outside, whatever their heights', () => {
    for (const width of widths) {
      for (const count of counts) {
        const heights = counts.slice(0, count).map((n) => 100 + ((n * 37) % 90));
        const { places, cardWidth, height } = layoutCards(width, heights);
        places.forEach((a, i) => {
          expect(a.x).toBeGreaterThanOrEqual(0);
          expect(a.x + cardWidth).toBeLessThanOrEqual(width);
          expect(a.y).toBeGreaterThanOrEqual(0);
          expect(a.y + heights[i]!).toBeLessThanOrEqual(height);
          places.slice(i + 1).forEach((b, j) => {
            const apart =
              Math.abs(a.x - b.x) >= cardWidth ||
              a.y + heights[i]! <= b.y ||
              b.y + heights[i + 1 + j]! <= a.y;
            expect(apart, `cards ${i} and ${i + 1 + j} of ${count} in ${width}`).toBe(true);
          });
        });
      }
    }
  });

  it('centres a single card and needs no room for none', () => {
    const { places, cardWidth } = layoutCards(800, [120]);
    expect(places[0]!.x + cardWidth / 2).toBe(400);
    expect(layoutCards(800, []).height).toBe(0);
  });
});

describe('linkPath', () => {
  const left = { x: 0, y: 0, width: 100, height: 100 };
  const right = { x: 300, y: 0, width: 100, height: 100 };

  it('joins the centres and bends towards the middle', () => {
    expect(linkPath(left, right, { x: 200, y: 150 })).toBe('M 50 50 Q 200 82 350 50');
  });

  it('moves aside for a second path between the same cards', () => {
    expect(linkPath(left, right, { x: 200, y: 57 }, 7)).toBe('M 50 57 Q 200 57 350 57');
  });
});

describe('labelPlace', () => {
  const size = { width: 120, height: 30 };
  const left = { x: 0, y: 0, width: 100, height: 100 };
  const right = { x: 300, y: 0, width: 100, height: 100 };
  const middle = { x: 200, y: 50 };

  it('stands above a level line, whichever end it begins at', () => {
    expect(labelPlace(left, right, middle, size, [left, right])).toEqual({ x: 140, y: 14, ...size });
    expect(labelPlace(right, left, middle, size, [left, right])).toEqual({ x: 140, y: 14, ...size });
  });

  it('stands away from the middle, where other lines run', () => {
    const place = labelPlace(left, right, { x: 200, y: 0 }, size, [left, right])!;
    expect(place.y).toBeGreaterThan(34);
    const below = { x: 0, y: 300, width: 100, height: 100 };
    expect(labelPlace(left, below, { x: 250, y: 200 }, size, [left, below])!.x).toBeLessThan(0);
  });

  it('moves along the line to where nothing is', () => {
    const inTheWay = { x: 100, y: 0, width: 50, height: 40 };
    expect(labelPlace(left, right, middle, size, [left, right, inTheWay])!.x).toBeGreaterThanOrEqual(150);
  });

  it('has no place between cards that are too near', () => {
    const near = { x: 110, y: 0, width: 100, height: 100 };
    expect(labelPlace(left, near, { x: 105, y: 50 }, size, [left, near])).toBeNull();
  });
});
