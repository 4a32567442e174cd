/**
 * The permissions that verbs have in common, as their help states them: capitals stand for what the command line says.
 *
 * @module
 */

/** Variables: what stands for options, and where the home is. Deno takes one list of them, not several. */
export const HOME_ENV: string = "KITH_*,XDG_STATE_HOME,HOME,LOCALAPPDATA";

/** The files of the home. */
export const HOME_FILES: string = "--allow-read=HOME --allow-write=HOME";

/** What verbs need that use the home alone. */
export const HOME_PERMISSIONS: string = `--allow-env=${HOME_ENV} ${HOME_FILES}`;

/** Sockets, and on which interfaces. */
export const NETWORK_PERMISSIONS: string = "--allow-net --allow-sys=networkInterfaces";

/** What verbs need that look for a peer. */
export const REACH_PERMISSIONS: string = `${NETWORK_PERMISSIONS} ${HOME_PERMISSIONS}`;

/** What verbs need that take files. */
export const RECEIVE_PERMISSIONS: string = `${NETWORK_PERMISSIONS},statfs ${HOME_PERMISSIONS} ` +
  "--allow-read=DIR --allow-write=DIR";
