/**
 * Which network interfaces discovery uses.
 *
 * @module
 */

/**
 * `!` for a denial, then a name in which `*` stands for anything: 1..64 visible characters, with spaces inside as
 * Windows has them. No comma, which lists are written with.
 */
const PATTERN = /^(!?)((?![\s!])[^,\p{C}\p{Zl}\p{Zp}]{1,64})(?<!\s)$/u;

/**
 * Makes a test for interface names from patterns such as `eth0`, `wl*` and `!docker*`. A denial wins over everything;
 * where there are only denials, all others pass; without any pattern all pass.
 *
 * @example
 * ```ts
 * import { interfaceFilter } from "@kith/kith/discovery";
 * import { assertEquals } from "@std/assert";
 *
 * const isUsed = interfaceFilter(["eth*", "wl*", "!eth1"]);
 * assertEquals(["eth0", "eth1", "wlan0", "docker0"].filter(isUsed), ["eth0", "wlan0"]);
 * ```
 *
 * @throws {TypeError} for a pattern that is none.
 */
export function interfaceFilter(patterns: readonly string[]): (name: string) => boolean {
  const denied: string[] = [];
  const allowed: string[] = [];
  for (const pattern of patterns) {
    const [, isDenial, name] = PATTERN.exec(pattern) ?? [];
    if (name === undefined) {
      throw new TypeError(
        `Interface pattern must be a name, with * for anything and ! before a denial: current value is ${
          JSON.stringify(pattern)
        }`,
      );
    }
    (isDenial ? denied : allowed).push(name);
  }
  return (name) => {
    if (denied.some((pattern) => fits(name, pattern))) return false;
    return allowed.length === 0 || allowed.some((pattern) => fits(name, pattern));
  };
}

/** Whether a name is what a pattern says. Each part is looked for where it comes first: no other place would do better. */
function fits(name: string, pattern: string): boolean {
  const [first = "", ...parts] = pattern.split("*");
  const last = parts.pop();
  if (last === undefined) return name === pattern;
  if (!name.startsWith(first)) return false;
  let at = first.length;
  for (const part of parts) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return name.length - last.length >= at && name.endsWith(last);
}
