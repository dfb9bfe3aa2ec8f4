/**
 * The same chain of events told to anvil and to this endpoint, then the same questions to both: answers must have the
 * same shape (fields, nulls, encodings), and the same value wherever the value does not depend on the chain.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { toHex } from "../base/bytes.ts";
import { Anvil } from "../l1/anvil.ts";
import { signTransaction, type TransactionFields } from "../protocol/transaction-codec.ts";
import {
  CONTEXT,
  CONTRACTS,
  GAS_CHECKER,
  KEYS,
  LOG_TOPIC,
  LOGGER,
  NESTED,
  PANICKER,
  READER_CODE,
  REVERTER,
} from "./testing/memory-chain.ts";
import { type Answer, RpcFixture } from "./testing/rpc-fixture.ts";

let ours: RpcFixture;
let anvil: Anvil;
let anvilUrl: string;

async function askAnvil(method: string, params: unknown[] = []): Promise<Answer> {
  const response = await fetch(anvilUrl, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  return (await response.json()) as Answer;
}

const word = (value: number): string => value.toString(16).padStart(64, "0");
const addressOf = (i: number): string => toHex(KEYS[i]?.address as Uint8Array);

function signed(i: number, fields: Partial<TransactionFields>): { raw: string; hash: string } {
  const tx = signTransaction(
    { type: 2, chainId: 901, nonce: 0n, gasLimit: 200_000n, maxFeePerGasWei: 10n ** 10n, ...fields },
    KEYS[i]?.secret as Uint8Array,
  );
  return { raw: toHex(tx.raw), hash: toHex(tx.hash) };
}

const store = Buffer.from(`${word(1)}${word(5)}`, "hex");
const TRANSACTIONS = [
  signed(0, { to: KEYS[1]?.address, valueWei: 5n }),
  signed(0, { nonce: 1n, to: LOGGER, data: store }),
  signed(1, { type: 0, to: KEYS[2]?.address, valueWei: 1n }),
  signed(2, { type: 1, to: LOGGER, data: store, accessList: [{ address: LOGGER, slots: [new Uint8Array(32)] }] }),
  signed(3, { data: Buffer.from("600160005260206000f3", "hex") }),
  signed(4, { to: REVERTER }),
];

before(async () => {
  ours = await RpcFixture.create();
  anvil = await Anvil.start({ chainId: 901, manualMining: true, hardfork: "prague" });
  anvilUrl = anvil.rpcUrl;
  for (const key of KEYS) await askAnvil("anvil_setBalance", [toHex(key.address), "0x3635c9adc5dea00000"]);
  for (const [address, code] of CONTRACTS) await askAnvil("anvil_setCode", [toHex(address), toHex(code)]);
  for (const { raw } of TRANSACTIONS) {
    assert.equal((await ours.request("eth_sendRawTransaction", [raw])).error, undefined);
    assert.equal((await askAnvil("eth_sendRawTransaction", [raw])).error, undefined);
  }
  await ours.chain.mine();
  await askAnvil("anvil_mine", ["0x1"]);
});
after(async () => {
  await ours.close();
  await anvil.stop();
});

/** Fields one side has and the other does not, by choice. */
const OP_FIELDS = new Set(
  "l1GasPrice l1GasUsed l1Fee l1BlobBaseFee l1BaseFeeScalar l1BlobBaseFeeScalar depositNonce depositReceiptVersion".split(
    " ",
  ),
);
const ANVIL_FIELDS = new Set(["totalDifficulty", "blobGasPrice", "blobGasUsed", "authorizationList", "blockTimestamp"]);

type Shape = string | { [key: string]: Shape } | Shape[];

/** What an answer looks like: encodings instead of values. */
function shapeOf(value: unknown): Shape {
  if (value === null) return "null";
  if (Array.isArray(value)) return value.length === 0 ? [] : [shapeOf(value.at(-1))];
  if (typeof value === "object")
    return Object.fromEntries(
      Object.entries(value)
        .filter(([key]) => !OP_FIELDS.has(key) && !ANVIL_FIELDS.has(key))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, entry]) => [key, shapeOf(entry)]),
    );
  if (typeof value !== "string") return typeof value;
  if (!/^0x[0-9a-f]*$/.test(value)) return "text";
  if ([42, 66, 18, 514].includes(value.length)) return `data of ${(value.length - 2) / 2} bytes`;
  return /^0x(0|[1-9a-f][0-9a-f]{0,16})$/.test(value) ? "quantity" : "data";
}

function sameShape(name: string, mine: unknown, theirs: unknown): void {
  assert.deepEqual(shapeOf(mine), shapeOf(theirs), name);
}

test("blocks, transactions, receipts and logs have the shapes anvil gives them", async () => {
  const hash = (i: number): string => TRANSACTIONS[i]?.hash as string;
  const questions: [string, unknown[]][] = [
    ["eth_chainId", []],
    ["eth_blockNumber", []],
    ["net_version", []],
    ["net_listening", []],
    ["eth_syncing", []],
    ["web3_clientVersion", []],
    ["eth_gasPrice", []],
    ["eth_maxPriorityFeePerGas", []],
    ["eth_blobBaseFee", []],
    ["eth_getBalance", [addressOf(0), "latest"]],
    ["eth_getBlockByNumber", ["latest", false]],
    ["eth_getBlockByNumber", ["0x1", true]],
    ["eth_getBlockByNumber", ["0x99999", true]],
    ["eth_getBlockByHash", [`0x${word(1)}`, false]],
    ["eth_getBlockTransactionCountByNumber", ["latest"]],
    ["eth_getUncleCountByBlockNumber", ["latest"]],
    ["eth_getUncleByBlockNumberAndIndex", ["latest", "0x0"]],
    ["eth_getTransactionByHash", [`0x${word(1)}`]],
    ["eth_getTransactionReceipt", [`0x${word(1)}`]],
    ["eth_getTransactionByBlockNumberAndIndex", ["0x1", "0x99"]],
    ["eth_getBlockReceipts", ["0x1"]],
    ["eth_getBlockReceipts", ["0x99999"]],
    ["eth_getLogs", [{ fromBlock: "0x0", toBlock: "latest" }]],
    ["eth_getLogs", [{ fromBlock: "0x0", toBlock: "latest", address: addressOf(0) }]],
    ["eth_feeHistory", ["0x2", "latest", [10, 90]]],
    ["eth_getProof", [toHex(LOGGER), [`0x${word(1)}`], "latest"]],
    ["eth_createAccessList", [{ from: addressOf(5), to: toHex(LOGGER), data: toHex(store) }, "latest"]],
    ["txpool_status", []],
    ...TRANSACTIONS.flatMap((_, i): [string, unknown[]][] => [
      ["eth_getTransactionByHash", [hash(i)]],
      ["eth_getTransactionReceipt", [hash(i)]],
    ]),
  ];
  for (const [method, params] of questions) {
    const [mine, theirs] = await Promise.all([ours.request(method, params), askAnvil(method, params)]);
    assert.equal(mine.error, undefined, `${method}: ${JSON.stringify(mine.error)}`);
    assert.equal(theirs.error, undefined, `${method}: ${JSON.stringify(theirs.error)}`);
    sameShape(`${method} ${JSON.stringify(params)}`, mine.result, theirs.result);
  }
});

test("values that do not depend on the chain are anvil's values", async () => {
  const from = addressOf(5);
  const call = (to: Uint8Array, data = "0x"): unknown[] => [{ from, to: toHex(to), data }, "latest"];
  const questions: [string, unknown[]][] = [
    ["eth_getTransactionCount", [addressOf(0), "latest"]],
    ["eth_getTransactionCount", [addressOf(0), "pending"]],
    ["eth_getCode", [toHex(LOGGER), "latest"]],
    ["eth_getCode", [addressOf(0), "latest"]],
    ["eth_getStorageAt", [toHex(LOGGER), "0x1", "latest"]],
    ["eth_getStorageAt", [toHex(LOGGER), `0x${word(1)}`, "latest"]],
    ["eth_getStorageAt", [toHex(LOGGER), "0x2", "latest"]],
    ["eth_getRawTransactionByHash", [TRANSACTIONS[3]?.hash]],
    ["web3_sha3", ["0x68656c6c6f"]],
    ["eth_call", call(LOGGER, toHex(store))],
    ["eth_call", [{ data: toHex(READER_CODE) }, "latest"]],
    [
      "eth_call",
      [
        { to: addressOf(6), data: `0x${word(3)}` },
        "latest",
        { [addressOf(6)]: { code: toHex(READER_CODE), stateDiff: { [`0x${word(3)}`]: `0x${word(77)}` } } },
      ],
    ],
    ["eth_estimateGas", call(NESTED)],
    ["eth_estimateGas", [{ from, to: addressOf(1), value: "0x1" }]],
  ];
  for (const [method, params] of questions) {
    const [mine, theirs] = await Promise.all([ours.request(method, params), askAnvil(method, params)]);
    assert.equal(mine.error, undefined, `${method}: ${JSON.stringify(mine.error)}`);
    if (method === "eth_estimateGas") {
      const [low, high] = [BigInt(mine.result as string), BigInt(theirs.result as string)];
      // Anvil stops searching early; ours is exact, so never above.
      assert.ok(low <= high && low * 100n >= high * 97n, `${JSON.stringify(params)}: ${low} and ${high}`);
    } else assert.deepEqual(mine.result, theirs.result, `${method} ${JSON.stringify(params)}`);
  }
});

test("receipts agree in everything that execution decides", async () => {
  for (const { hash } of TRANSACTIONS) {
    const [mine, theirs] = (await Promise.all([
      ours.result("eth_getTransactionReceipt", hash),
      askAnvil("eth_getTransactionReceipt", [hash]).then((answer) => answer.result),
    ])) as [Record<string, unknown>, Record<string, unknown>];
    for (const field of ["status", "gasUsed", "type", "from", "to", "contractAddress", "logsBloom", "transactionHash"])
      assert.deepEqual(mine[field], theirs[field], `${hash} ${field}`);
    const logs = (receipt: Record<string, unknown>): unknown =>
      (receipt["logs"] as { address: string; topics: string[]; data: string }[]).map((log) => [
        log.address,
        log.topics,
        log.data,
      ]);
    assert.deepEqual(logs(mine), logs(theirs));
  }
  const [mine, theirs] = await Promise.all([
    ours.request("eth_getLogs", [{ fromBlock: "0x0", topics: [[toHex(LOG_TOPIC)], null] }]),
    askAnvil("eth_getLogs", [{ fromBlock: "0x0", topics: [[toHex(LOG_TOPIC)], null] }]),
  ]);
  assert.equal((mine.result as unknown[]).length, (theirs.result as unknown[]).length);
});

test("errors carry anvil's codes where anvil follows the specification", async () => {
  const questions: [string, unknown[]][] = [
    ["eth_call", [{ to: toHex(REVERTER) }]],
    ["eth_call", [{ to: toHex(PANICKER) }]],
    ["eth_estimateGas", [{ to: toHex(REVERTER) }]],
    ["eth_getBalance", ["0x1234", "latest"]],
    ["eth_getBalance", [addressOf(0), "0xzz"]],
    ["eth_getBlockByNumber", ["latest", "yes"]],
    ["eth_unknown", []],
    ["eth_sendRawTransaction", [TRANSACTIONS[0]?.raw]],
  ];
  for (const [method, params] of questions) {
    const [mine, theirs] = await Promise.all([ours.request(method, params), askAnvil(method, params)]);
    assert.ok(mine.error !== undefined && theirs.error !== undefined, method);
    if (theirs.error.code === -32003) assert.equal(mine.error.code, -32000, "geth's code for refused transactions");
    else assert.equal(mine.error.code, theirs.error.code, `${method} ${JSON.stringify(params)}`);
    if (mine.error.code === 3) assert.equal(mine.error.data, theirs.error.data);
  }
});

test("simulated blocks agree in the calls of each", async () => {
  const payload = {
    blockStateCalls: [
      {
        stateOverrides: { [addressOf(6)]: { balance: "0x64" } },
        calls: [
          { from: addressOf(6), to: addressOf(7), value: "0x64" },
          { from: addressOf(5), to: toHex(LOGGER), input: toHex(store) },
          { from: addressOf(5), to: toHex(REVERTER) },
        ],
      },
      {
        calls: [{ from: addressOf(5), to: toHex(GAS_CHECKER) }],
      },
      { blockOverrides: { number: "0x10", time: "0x9999999999" }, calls: [{ to: toHex(CONTEXT) }] },
    ],
  };
  const [mine, theirs] = await Promise.all([
    ours.request("eth_simulateV1", [payload, "latest"]),
    askAnvil("eth_simulateV1", [payload, "latest"]),
  ]);
  assert.equal(mine.error, undefined, JSON.stringify(mine.error));
  type Block = { number: string; calls: { status: string; gasUsed: string; returnData: string; logs: unknown[] }[] };
  const callsOf = (answer: Answer, described: boolean): unknown =>
    (answer.result as Block[])
      .filter((block) => !described || block.calls.length > 0)
      .flatMap((block) => block.calls.map((call) => [call.status, call.gasUsed, call.logs.length]));
  assert.deepEqual(callsOf(mine, true), callsOf(theirs, true));
  const blocks = mine.result as Block[];
  assert.equal(blocks.at(-1)?.number, "0x10");
  assert.equal(blocks.at(-1)?.calls[0]?.returnData.slice(66, 130), word(0x10));
  assert.equal(blocks.length, 0x10 - 1, "gaps are filled");
});
