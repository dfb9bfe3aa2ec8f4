/**
 * Owns taking the events of an L1 block from its receipts and proving them: the receipts are encoded as consensus does,
 * and their root must be the one in the header. No event can be invented, changed, moved or left out that way, whoever
 * answers; positions (block, transaction, log index) are counted here and not read from the answer.
 * Transaction hashes are not part of receipts: they are read, and checked by whoever follows them.
 * @see EIP-658, 2718
 */
import { bigIntToMinimalBytes, bytesEqual, EMPTY_BYTES } from "../base/bytes.ts";
import { logsBloom } from "../protocol/bloom.ts";
import { orderedTrieRoot } from "../protocol/ordered-trie.ts";
import type { Log } from "../protocol/receipt.ts";
import { encodeRlp } from "../protocol/rlp.ts";
import { readBytes, readList, readNumber, readObject, readQuantity } from "./json-rpc.ts";
import { type L1Log, l1Error } from "./l1.ts";
import type { L1Header } from "./l1-header.ts";

const ONE = Uint8Array.of(1);

/** All events of the block, in order. @throws {L1Error} L1_ENDPOINT_MALFORMED when the receipts are not the block's */
export function provenLogs(answer: unknown, header: L1Header): readonly L1Log[] {
  const { number: blockNumber, hash: blockHash } = header.info;
  const out: L1Log[] = [];
  const encoded = readList(answer, "receipts").map((value, transactionIndex) => {
    const raw = readObject(value, "receipt");
    const transactionHash = readBytes(raw["transactionHash"], "receipt.transactionHash", 32);
    const logs = readList(raw["logs"], "receipt.logs").map((entry): Log => {
      const log = readObject(entry, "log");
      return {
        address: readBytes(log["address"], "log.address", 20),
        topics: readList(log["topics"], "log.topics").map((topic) => readBytes(topic, "log.topic", 32)),
        data: readBytes(log["data"], "log.data"),
      };
    });
    for (const log of logs)
      out.push({ ...log, blockNumber, blockHash, transactionHash, transactionIndex, logIndex: out.length });
    const type = raw["type"] === undefined ? 0 : readNumber(raw["type"], "receipt.type");
    return encodeRlp(
      [
        readQuantity(raw["status"], "receipt.status") === 1n ? ONE : EMPTY_BYTES,
        bigIntToMinimalBytes(readQuantity(raw["cumulativeGasUsed"], "receipt.cumulativeGasUsed")),
        logsBloom(logs),
        logs.map((log) => [log.address, log.topics, log.data]),
      ],
      type === 0 ? EMPTY_BYTES : Uint8Array.of(type & 0xff),
    );
  });
  if (!bytesEqual(orderedTrieRoot(encoded), header.receiptsRoot))
    throw l1Error("L1_ENDPOINT_MALFORMED", `the receipts of block ${blockNumber} do not make its receipts root`, {
      number: blockNumber,
    });
  return out;
}
