/**
 * Where questions go.
 *
 * @module
 */

/** The port that questions are sent to, and the one PeerConnect uses. */
export const DISCOVERY_PORT = 3486;

/** The IPv4 group, that of PeerConnect. */
export const MULTICAST_V4 = "239.1.11.11";

/** The IPv6 group, that of PeerConnect. */
export const MULTICAST_V6 = "ff02::1:6";

/** Everybody on whatever network a packet leaves by. */
export const LIMITED_BROADCAST = "255.255.255.255";
