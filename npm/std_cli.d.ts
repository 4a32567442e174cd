/** Values of options that are named by literals; of others nothing is known. */
type Named<Name extends string, Value> = { [K in Name as string extends K ? never : K]: Value };

export type Args<S extends string, B extends string, C extends string> =
  & Named<B, boolean>
  & { [K in keyof Named<Exclude<S, C>, string>]?: string }
  & Named<Extract<S, C>, string[]>
  & {
    _: (string | number)[];
    // deno-lint-ignore no-explicit-any -- as the official package types the rest
    [name: string]: any;
  };

export interface ParseOptions<S extends string, B extends string, C extends string> {
  string?: readonly S[];
  boolean?: readonly B[];
  collect?: readonly C[];
  alias?: Readonly<Record<string, string | readonly string[]>>;
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

export function parseArgs<
  const S extends string = never,
  const B extends string = never,
  const C extends string = never,
>(args: string[], options?: ParseOptions<S, B, C>): Args<S, B, C>;
