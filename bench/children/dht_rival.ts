/**
 * A rival that runs on Node: starts `rivals/dht_NAME.mjs` there, with the number of nodes, stdin and stdout.
 *
 * ```
 * SCRIPT NAME NODES     does what `dht_rounds.mjs` says
 * ```
 *
 * @module
 */

const [name, nodes = ""] = Deno.args;
const script = new URL(`../rivals/dht_${name}.mjs`, import.meta.url);
const node = new Deno.Command("node", { args: [decodeURIComponent(script.pathname), nodes] });
const { code } = await node.spawn().status;
Deno.exit(code);
