export interface Args {
  _: (string | number)[];
  "--"?: string[];
  [name: string]: unknown;
}
export interface ParseOptions {
  string?: readonly string[];
  boolean?: readonly string[];
  collect?: readonly string[];
  alias?: Readonly<Record<string, string | readonly string[]>>;
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}
export function parseArgs(args: string[], options?: ParseOptions): Args;
