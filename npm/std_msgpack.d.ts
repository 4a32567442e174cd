export interface ValueMap {
  [index: string | number]: ValueType;
}
export type ValueType =
  | number
  | bigint
  | string
  | boolean
  | null
  | Uint8Array<ArrayBufferLike>
  | readonly ValueType[]
  | ValueMap;
export function encode(object: ValueType): Uint8Array<ArrayBuffer>;
export function decode(data: Uint8Array<ArrayBufferLike>): ValueType;
