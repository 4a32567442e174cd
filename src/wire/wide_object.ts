/**
 * Plain objects with room for many keys.
 *
 * V8 gives `{}` room for four properties and moves the rest to an array that it grows three at a time: filling an object
 * of 50 keys copies that array fifteen times. For objects made by a function V8 reserves as many properties as the
 * function's body assigns, run or not, and keeps as many as turn out to be used. (Measured: 50 keys in 0.45 of the time,
 * up to 12 the same as `{}`.)
 *
 * @module
 */

/** Maps with more keys than this are worth it. */
export const WIDE_FROM_KEYS = 13;

type Wide = Record<string, unknown>;

function WideObject(this: Wide, never?: true): void {
  if (never === undefined) return;
  this.a0 =
    this.a1 =
    this.a2 =
    this.a3 =
    this.a4 =
    this.a5 =
    this.a6 =
    this.a7 =
      0;
  this.b0 =
    this.b1 =
    this.b2 =
    this.b3 =
    this.b4 =
    this.b5 =
    this.b6 =
    this.b7 =
      0;
  this.c0 =
    this.c1 =
    this.c2 =
    this.c3 =
    this.c4 =
    this.c5 =
    this.c6 =
    this.c7 =
      0;
  this.d0 =
    this.d1 =
    this.d2 =
    this.d3 =
    this.d4 =
    this.d5 =
    this.d6 =
    this.d7 =
      0;
  this.e0 =
    this.e1 =
    this.e2 =
    this.e3 =
    this.e4 =
    this.e5 =
    this.e6 =
    this.e7 =
      0;
  this.f0 =
    this.f1 =
    this.f2 =
    this.f3 =
    this.f4 =
    this.f5 =
    this.f6 =
    this.f7 =
      0;
}

// What it makes is a plain object to everyone: `Object.prototype`, and `Object` as its constructor.
WideObject.prototype = Object.prototype;

const Constructor = WideObject as unknown as new () => Wide;

/** An empty object, no different from `{}` but for its speed. */
export function wideObject(): Wide {
  return new Constructor();
}
