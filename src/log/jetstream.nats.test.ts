import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { nkeys } from "@nats-io/transport-node";
import { readConfig } from "../base/config.ts";
import { hasCode } from "../base/error.ts";
import { jetStreamSettings, logConfig } from "./config.ts";
import type { JetStreamSettings } from "./jetstream.ts";
import { NatsCluster, natsMissing } from "./nats-cluster.ts";

const skip = natsMissing();
const opensslMissing = (): string | false => {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return false;
  } catch {
    return "openssl, which makes the certificates, is not installed";
  }
};

async function withServer(
  options: { config: string; credentials: Partial<JetStreamSettings> },
  body: (server: NatsCluster) => Promise<void>,
): Promise<void> {
  const server = await NatsCluster.start({ nodes: 1, ...options });
  try {
    await body(server);
  } finally {
    await server.stop();
  }
}

const refused = (error: unknown): boolean => hasCode(error, "LOG_REFUSED");

test("a token or a key lets in, a wrong one and none are refused by name", { skip }, async () => {
  await withServer({ config: `authorization { token: "right" }`, credentials: { token: "right" } }, async (server) => {
    await assert.rejects(server.connect({ token: "wrong" }), refused);
  });
  const user = nkeys.createUser();
  const nkeySeed = new TextDecoder().decode(user.getSeed());
  const stranger = new TextDecoder().decode(nkeys.createUser().getSeed());
  const config = `authorization { users: [ { nkey: ${user.getPublicKey()} } ] }`;
  await withServer({ config, credentials: { nkeySeed } }, async (server) => {
    await assert.rejects(server.connect({ nkeySeed: stranger }), refused);
    await assert.rejects(server.connect({ nkeySeed: "not a seed" }), refused);
  });
});

test("over TLS both sides are verified", { skip: skip || opensslMissing() }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-tls-"));
  const path = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): void => void execFileSync("openssl", args, { cwd: folder, stdio: "ignore" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const authority = (name: string): void =>
    openssl(
      "req",
      "-x509",
      ...key,
      "-days",
      "2",
      "-subj",
      `/CN=${name}`,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.pem`,
    );
  const certificate = (name: string, by: string): void => {
    openssl("req", ...key, "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.csr`);
    writeFileSync(path("ext"), "subjectAltName=IP:127.0.0.1,DNS:localhost");
    const signed = ["-CA", `${by}.pem`, "-CAkey", `${by}.key`, "-CAcreateserial", "-days", "2", "-extfile", "ext"];
    openssl("x509", "-req", "-in", `${name}.csr`, ...signed, "-out", `${name}.pem`);
  };
  try {
    authority("ca");
    authority("other-ca");
    certificate("server", "ca");
    certificate("client", "ca");
    certificate("stranger", "other-ca");
    const files = { cert_file: "server.pem", key_file: "server.key", ca_file: "ca.pem" };
    const lines = Object.entries(files).map(([name, file]) => `${name}: "${path(file)}"`);
    const config = `tls { ${lines.join(", ")}, verify: true, timeout: 10 }`;
    const tls = (name: string, ca: string) => ({
      caFile: path(`${ca}.pem`),
      certFile: path(`${name}.pem`),
      keyFile: path(`${name}.key`),
    });
    await withServer({ config, credentials: { tls: tls("client", "ca") } }, async (server) => {
      await assert.rejects(server.connect({ tls: tls("client", "other-ca") }), refused);
      // The server ends the connection without a word of why: it counts as one that cannot be had.
      for (const wrong of [tls("stranger", "ca"), { caFile: path("ca.pem") }])
        await assert.rejects(
          server.connect({ tls: wrong, openTimeoutMs: 1_000 }),
          (error) => refused(error) || hasCode(error, "LOG_UNAVAILABLE"),
        );
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("servers that are not there end a start with their names", { skip }, async () => {
  await withServer({ config: "", credentials: {} }, async (server) => {
    const [address] = server.servers;
    await server.kill("n0");
    await assert.rejects(server.connect({ openTimeoutMs: 500 }), (error) => {
      assert.ok(hasCode(error, "LOG_UNAVAILABLE"));
      return error.message.includes(address as string);
    });
  });
});

test("settings that contradict each other name both variables", () => {
  const settings = (env: Record<string, string>): JetStreamSettings => jetStreamSettings(readConfig(logConfig, env));
  const invalid = (names: RegExp) => (error: unknown) => hasCode(error, "CONFIG_INVALID") && names.test(error.message);
  assert.deepEqual(settings({ SHEAF_LOG_NATS_SERVERS: "a:1, tls://b:2" }).servers, ["a:1", "tls://b:2"]);
  assert.deepEqual(settings({ SHEAF_LOG_NATS_SERVERS: "tls://b:2" }).tls, {});
  assert.equal(settings({}).tls, undefined);
  assert.throws(
    () => settings({ SHEAF_LOG_NATS_TOKEN: "t", SHEAF_LOG_NATS_NKEY_SEED: "s" }),
    invalid(/SHEAF_LOG_NATS_TOKEN.*SHEAF_LOG_NATS_NKEY_SEED/),
  );
  assert.throws(
    () => settings({ SHEAF_LOG_NATS_CERT_FILE: "c" }),
    invalid(/SHEAF_LOG_NATS_CERT_FILE.*SHEAF_LOG_NATS_KEY_FILE/),
  );
  assert.throws(() => settings({ SHEAF_LOG_NATS_PREFIX: "a.b" }), invalid(/SHEAF_LOG_NATS_PREFIX/));
  assert.throws(() => settings({ SHEAF_LOG_NATS_SERVERS: "a,,b" }), invalid(/SHEAF_LOG_NATS_SERVERS/));
});
