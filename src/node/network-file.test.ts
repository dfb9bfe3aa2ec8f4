/** The network file: what is wrong in it is told with line and path; keys are files for their owner alone. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { hasCode } from "../base/error.ts";
import { identitiesOf } from "../link/certificate.ts";
import { environmentOf, findProcess, parseNetwork } from "./network-file.ts";
import { credentialsOf, initAuthority, issueFor, readAccountKey, writeAccountKey } from "./pki.ts";

const GOOD = `version: 1
network: testnet
dataDir: data
pki: pki
l1: { chainId: 1, rpc: ["http://127.0.0.1:8545"], beacon: "http://127.0.0.1:8545" }
clusters:
  one: { chainId: 901, inbox: "0x00000000000000000000000000000000000000aa" }
settings:
  SHEAF_EXECUTORS: 1
processes:
  seq:
    cluster: one
    roles: [sequencer]
    rpc: 127.0.0.1:9545
    links: 127.0.0.1:9601
  exec:
    cluster: one
    roles: [executor]
  posts:
    cluster: one
    roles: [publisher]
    keys: { posters: [keys/a.key] }
    settings: { SHEAF_EXECUTORS: 3 }
`;

/** What is said about a file with `from` replaced by `to`. */
function complaint(from: string, to: string): string {
  assert.ok(GOOD.includes(from), from);
  try {
    parseNetwork(GOOD.replace(from, to), "/net/network.yaml");
  } catch (error) {
    assert.ok(hasCode(error, "NETWORK_FILE_INVALID"), String(error));
    return error.message;
  }
  return assert.fail("it was taken");
}

test("a good file gives its processes, found by name or by roles", () => {
  const network = parseNetwork(GOOD, "/net/network.yaml");
  assert.equal(findProcess(network, { roles: ["executor"] }).name, "exec");
  assert.equal(findProcess(network, { name: "seq", roles: [] }).cluster, "one");
  for (const wanted of [
    { roles: ["verifier"] },
    { name: "other", roles: [] },
    { name: "seq", roles: ["executor"] },
    { roles: [] },
  ])
    assert.throws(
      () => findProcess(network, wanted),
      (error) => hasCode(error, "NETWORK_NO_PROCESS"),
    );
  const posts = findProcess(network, { name: "posts", roles: [] });
  assert.equal(environmentOf(network, posts, {})["SHEAF_EXECUTORS"], "3");
  assert.equal(environmentOf(network, posts, { SHEAF_EXECUTORS: "5" })["SHEAF_EXECUTORS"], "5");
  const replicated = parseNetwork(`${GOOD}logs: { servers: ["n1:4222", "n2:4222"], tls: true }`, "f");
  const env = environmentOf(replicated, posts, {});
  assert.equal(env["SHEAF_LOG"], "nats");
  assert.equal(env["SHEAF_LOG_NATS_SERVERS"], "tls://n1:4222,tls://n2:4222");
});

test("what is wrong is told with its line, its path and what is wanted", () => {
  const cases: [string, string, RegExp][] = [
    ["version: 1", "version: 2", /line 1, version:/],
    ["network: testnet", "network: Test Net", /line 2, network: want up to 63 lower-case/],
    ["pki: pki\n", "", /pki: is missing/],
    ["chainId: 901", "chainId: none", /line 7, clusters\.one\.chainId/],
    ['"0x00000000000000000000000000000000000000aa"', "0x12", /line 7, clusters\.one\.inbox/],
    ["SHEAF_EXECUTORS: 1", "SHEAF_EXECUTOR: 1", /line 9, settings\.SHEAF_EXECUTOR: is not a setting/],
    ["SHEAF_EXECUTORS: 1", "SHEAF_EXECUTORS: 100", /line 9, .*want an integer from 1 to 64/],
    ["SHEAF_EXECUTORS: 1", "SHEAF_LOG_NATS_TOKEN: x", /line 9, .*is a secret/],
    ["roles: [sequencer]", "roles: [sequencer, dancer]", /line 13, processes\.seq\.roles\.1/],
    ["roles: [sequencer]", "roles: [sequencer, executor]", /line 13, .*executor runs in a process of its own/],
    ["roles: [sequencer]", "roles: [verifier]", /no process is sequencer of one/],
    ["    rpc: 127.0.0.1:9545\n", "", /processes\.seq\.rpc: is missing/],
    ["rpc: 127.0.0.1:9545", "rpc: 127.0.0.1", /line 14, .*want host:port/],
    ["rpc: 127.0.0.1:9545", "rpc: 127.0.0.1:9601", /127\.0\.0\.1:9601 is taken by seq's/],
    ["rpc: 127.0.0.1:9545", "rcp: 127.0.0.1:9545", /line 14, processes\.seq\.rcp: is no field/],
    ["roles: [executor]", "roles: [proposer]", /needs the verifier/],
    ["    keys: { posters: [keys/a.key] }\n", "", /is missing `posters`/],
    [
      "cluster: one\n    roles: [executor]",
      "cluster: two\n    roles: [executor]",
      /there is no cluster two; there are one/,
    ],
    ["processes:", "processes: [", /line \d+: /],
  ];
  for (const [from, to, expected] of cases) assert.match(complaint(from, to), expected, `${from} → ${to}`);
  // Everything at once.
  const both = complaint("version: 1\nnetwork: testnet", "version: 2\nnetwork: T");
  assert.match(both, /version/);
  assert.match(both, /line 2, network/);
  for (const rubbish of ["", "[]", "just text", "a: &a [*a]", "\0"])
    assert.throws(
      () => parseNetwork(rubbish, "f"),
      (error) => hasCode(error, "NETWORK_FILE_INVALID"),
      rubbish,
    );
});

test("several publishers take log servers and share their accounts", () => {
  const told = (text: string): string => {
    try {
      parseNetwork(text, "f");
      return "";
    } catch (error) {
      assert.ok(hasCode(error, "NETWORK_FILE_INVALID"), String(error));
      return error.message;
    }
  };
  const second = (keys: string): string =>
    `${GOOD}  posts2: { cluster: one, roles: [publisher], keys: { posters: [${keys}] } }\n`;
  const logs = 'logs: { servers: ["n1:4222"] }\n';
  assert.equal(told(`${second("keys/a.key")}${logs}`), "");
  assert.match(
    told(second("keys/a.key")),
    /posts2\.roles: posts is publisher of one already; several take log servers/,
  );
  assert.match(told(`${second("keys/b.key")}${logs}`), /posts2\.keys: posts is publisher too and has other accounts/);
  const beside = GOOD.replace(
    "roles: [sequencer]",
    "roles: [sequencer, publisher]\n    keys: { posters: [keys/a.key] }",
  );
  assert.match(told(`${beside}${logs}`), /beside sequencers or apart from them, not both: posts is the other kind/);
});

test("certificates carry the roles of the file; keys that others may read are refused", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-pki-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const network = parseNetwork(GOOD, join(folder, "network.yaml"));
  const seq = findProcess(network, { name: "seq", roles: [] });
  const nowMs = systemClock.nowMs();
  const keyFault = (error: unknown): boolean => hasCode(error, "NETWORK_KEY_FILE");
  assert.throws(() => credentialsOf(network, seq, nowMs), keyFault);
  assert.equal(initAuthority(network, nowMs), true);
  assert.equal(initAuthority(network, nowMs), false);
  issueFor(network, seq, { nowMs, days: 3 });
  const { certificate } = credentialsOf(network, seq, nowMs);
  assert.deepEqual(identitiesOf(new X509Certificate(certificate).raw), [
    { network: "testnet", cluster: "one", role: "sequencer", process: "seq" },
  ]);
  assert.throws(() => credentialsOf(network, seq, nowMs + 4 * 86_400_000), keyFault);
  const key = join(folder, "pki", "seq.key");
  assert.equal(statSync(key).mode & 0o777, 0o600);
  chmodSync(key, 0o644);
  assert.throws(() => credentialsOf(network, seq, nowMs), keyFault);

  const account = join(folder, "keys", "a.key");
  writeAccountKey(account, new Uint8Array(32).fill(7));
  assert.equal(statSync(account).mode & 0o777, 0o600);
  assert.deepEqual(readAccountKey(network, "keys/a.key"), new Uint8Array(32).fill(7));
  writeFileSync(account, "not a key");
  assert.throws(() => readAccountKey(network, "keys/a.key"), keyFault);
});
