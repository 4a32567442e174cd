/**
 * js-libp2p, which runs on Node: starts `rivals/libp2p.mjs` there, with the same arguments, stdin and stdout.
 *
 * @module
 */

const script = decodeURIComponent(new URL("../rivals/libp2p.mjs", import.meta.url).pathname);
const node = new Deno.Command("node", { args: [script, ...Deno.args] });
const { code } = await node.spawn().status;
Deno.exit(code);
