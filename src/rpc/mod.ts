/**
 * Calls by name: servers, clients, and the mesh that servers of one project form.
 *
 * @module
 */

export { type CallOrigin } from "./call_context.ts";
export { Client } from "./client.ts";
export {
  type AnswerMessage,
  type ClientConnection,
  type Connector,
  type RequestMessage,
} from "./client_connection.ts";
export { type AdoptedClient, type ClientInfo, type NewClient } from "./client_list.ts";
export { type ClientOptions } from "./client_options.ts";
export { type ConnectionStatus } from "./connection_status.ts";
export {
  type AnyEndpoints,
  type CallArguments,
  type CallName,
  type CallResult,
  type EndpointContext,
  type EndpointFunction,
  type Endpoints,
  type FunctionOf,
  type InputOf,
  type OutputOf,
  type StreamPart,
} from "./endpoints.ts";
export {
  type BuiltIns,
  type EndpointDescription,
  type PeerListEntry,
  type Pong,
  type ServerDescription,
  type ServerInfo,
  type ServerStatus,
} from "./handlers.ts";
export {
  FIND_EVERY_MS,
  MESH_CAPABILITY,
  type MeshEvent,
  type MeshPeer,
  type ServerDirectory,
  ServerPeer,
  type ServerPeerOptions,
} from "./mesh.ts";
export { authorize, countCalls, limitRate, type LimitRateOptions, logCalls } from "./middleware.ts";
export { capabilityOf, chooseProtocol } from "./protocols.ts";
export {
  isRefusal,
  MAX_RECONNECT_DELAY_MS,
  reconnectDelayMs,
  type ReconnectOptions,
} from "./reconnect.ts";
export { MAX_ENDPOINT_NAME_CHARS } from "./registry.ts";
export {
  type Fields,
  type Infer,
  type InferFields,
  type Literal,
  Mismatch,
  type NumberOptions,
  Schema,
  schema,
  type Schemas,
} from "./schema.ts";
export { Server } from "./server.ts";
export {
  type RegisterAllOptions,
  type RegisterOptions,
  type ServerOptions,
} from "./server_options.ts";
export {
  EMPTY_SOURCE_HASH,
  hashSources,
  type HashSourcesOptions,
  SOURCE_EXTENSIONS,
} from "./source_hash.ts";
export { type WitchCallContext, type WitchCaller, type WitchHost } from "./witch_answer.ts";
export {
  connectWitch,
  type SendMediaOptions,
  type StreamMediaOptions,
  WitchClient,
  type WitchClientOptions,
  type WitchRequestOptions,
} from "./witch_client.ts";
export { type MediaEvent, type MediaSink } from "./witch_media.ts";
export {
  WITCH_REQUESTS,
  type WitchMessage,
  type WitchPeerInfo,
  type WitchRequest,
} from "./witch_message.ts";
export { serveWitch, type WitchServerOptions } from "./witch_server.ts";
