/**
 * Who is in a group, and who is alive, without a server.
 *
 * @module
 */

export {
  type AliveClaim,
  type LeftClaim,
  MAX_TAG_CHARS,
  MAX_TAGS,
  type SuspectClaim,
} from "./claims.ts";
export { type Claim, type Signer, type Tags } from "./claims.ts";
export {
  describeEvent,
  describeMember,
  type EventDescription,
  type MemberDescription,
} from "./description.ts";
export {
  type MemberChange,
  type MemberEvent,
  type MemberInfo,
  type MemberPath,
  type MemberState,
} from "./member.ts";
export { Membership, MEMBERSHIP_CAPABILITY } from "./membership.ts";
export {
  type MemberDirectory,
  type MemberMemory,
  type MembershipOptions,
  type MembershipParts,
} from "./membership_options.ts";
export {
  type AskOptions,
  type SelfDescription,
  SWIM_DEFAULTS,
  type SwimPorts,
  type SwimTuning,
} from "./options.ts";
export { incarnationAt, Swim, type SwimOptions } from "./swim.ts";
