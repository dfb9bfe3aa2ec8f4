/** Owns running the TrieTests of ethereum/tests against the plain trie; the stored trie is tested against that. */
import { fromHex, toHexKey } from "../../base/bytes.ts";
import { keccak256 } from "../../protocol/keccak.ts";
import { differs, type VectorCase, vectorCase } from "../../protocol/testing/vectors.ts";
import { PlainTrie } from "../plain-trie.ts";

type TrieVector = {
  readonly in: readonly (readonly [string, string | null])[] | Readonly<Record<string, string | null>>;
  readonly root?: string;
};

const bytes = (text: string): Uint8Array =>
  text.startsWith("0x") ? fromHex(text) : Uint8Array.from(Buffer.from(text, "utf8"));

/** In files named "…secure…" keys are hashed before they enter the trie. */
export function trieCases(fileName: string, file: Readonly<Record<string, TrieVector>>): VectorCase[] {
  const secure = /secure/i.test(fileName);
  return Object.entries(file).map(([name, { in: input, root }]) => {
    if (root === undefined)
      return {
        name: `${fileName} ${name}`,
        skipped: "asks for a key's neighbours, which no reader of the state needs",
      };
    return vectorCase(name, () => {
      const steps = Array.isArray(input) ? (input as [string, string | null][]) : Object.entries(input);
      const entries = new Map<string, Uint8Array>();
      for (const [key, value] of steps) {
        const at = toHexKey(secure ? keccak256(bytes(key)) : bytes(key));
        if (value === null) entries.delete(at);
        else entries.set(at, bytes(value));
      }
      const trie = new PlainTrie([...entries].map(([key, value]) => ({ key: fromHex(key), value })));
      return differs("root", toHexKey(trie.root), root.replace(/^0x/, ""));
    });
  });
}
