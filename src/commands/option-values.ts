/** Owns reading the values of options that several commands have; what cannot be read is said with what is wanted. */
import { InvalidArgumentError } from "commander";
import { fromHex } from "../base/bytes.ts";

export function readInteger(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max)
      throw new InvalidArgumentError(`want an integer from ${min} to ${max}`);
    return value;
  };
}

export function readAddress(text: string): Uint8Array {
  if (!/^0x[0-9a-fA-F]{40}$/.test(text)) throw new InvalidArgumentError("want an address: 0x and 40 hex digits");
  return fromHex(text);
}
