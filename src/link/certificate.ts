/**
 * Owns the identities of processes: a certificate authority per network, and certificates that say in URIs which roles
 * of which cluster their holder may speak as (`sheaf://network/cluster/role/process`). Addresses play no part: a process
 * may move. Keys are P-256, made here, never logged; whoever stores them does so for their owner alone.
 * @see docs/decisions/0015-network.md; RFC 5280 for the certificates, which node:crypto reads but cannot make
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from "node:crypto";
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  id_kp_clientAuth,
  id_kp_serverAuth,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from "@peculiar/asn1-x509";
import { assert } from "../base/assert.ts";

/** What a certificate lets its holder speak as. */
export type Identity = {
  readonly network: string;
  readonly cluster: string;
  readonly role: string;
  /** Name of the process. */
  readonly process: string;
};

/** A certificate and its private key, both PEM. The key is a secret. */
export type KeyedCertificate = { readonly certificate: string; readonly key: string };

/** What names of networks, clusters, roles and processes are made of: they stand in URIs and file names. */
export const NAME_PATTERN = /^[a-z0-9][a-z0-9-]{0,62}$/;

const ECDSA_SHA256 = "1.2.840.10045.4.3.2";
const COMMON_NAME = "2.5.4.3";
const DAY_MS = 86_400_000;
/** Clocks of machines differ a little; a certificate is good from before it was made. */
const BACKDATED_MS = 3_600_000;

const text = (identity: Identity): string =>
  `sheaf://${identity.network}/${identity.cluster}/${identity.role}/${identity.process}`;

/** Makes the authority of a network. */
export function makeAuthority(p: {
  readonly network: string;
  readonly nowMs: number;
  readonly days: number;
}): KeyedCertificate {
  assert(NAME_PATTERN.test(p.network), "a network's name fits into a URI");
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const name = `sheaf ${p.network} authority`;
  return keyed(privateKey, {
    issuer: name,
    subject: name,
    publicKey,
    signer: privateKey,
    nowMs: p.nowMs,
    days: p.days,
    extensions: [
      extension(id_ce_basicConstraints, new BasicConstraints({ cA: true, pathLenConstraint: 0 }), true),
      extension(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign), true),
    ],
  });
}

/** Issues a process its certificate, good for both ends of a link. */
export function issueCertificate(
  authority: KeyedCertificate,
  p: {
    readonly network: string;
    readonly process: string;
    readonly roles: readonly { readonly cluster: string; readonly role: string }[];
    readonly nowMs: number;
    readonly days: number;
  },
): KeyedCertificate {
  const names = p.roles.map(({ cluster, role }) => ({ network: p.network, cluster, role, process: p.process }));
  for (const identity of names)
    assert(
      Object.values(identity).every((part) => NAME_PATTERN.test(part)),
      `${text(identity)} is made of names`,
    );
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const uris = names.map((identity) => new GeneralName({ uniformResourceIdentifier: text(identity) }));
  return keyed(privateKey, {
    issuer: `sheaf ${p.network} authority`,
    subject: p.process,
    publicKey,
    signer: createPrivateKey(authority.key),
    signerCertificate: authority.certificate,
    nowMs: p.nowMs,
    days: p.days,
    extensions: [
      extension(id_ce_basicConstraints, new BasicConstraints({ cA: false }), true),
      extension(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.digitalSignature), true),
      extension(id_ce_extKeyUsage, new ExtendedKeyUsage([id_kp_serverAuth, id_kp_clientAuth]), false),
      extension(id_ce_subjectAltName, new SubjectAlternativeName(uris), false),
    ],
  });
}

/** Identities that a certificate (DER, of a chain that was verified) gives; names of other kinds are passed over. */
export function identitiesOf(certificate: Uint8Array): Identity[] {
  const { subjectAltName } = new X509Certificate(certificate);
  return (subjectAltName ?? "").split(", ").flatMap((name) => {
    const match = /^URI:sheaf:\/\/([a-z0-9-]+)\/([a-z0-9-]+)\/([a-z0-9-]+)\/([a-z0-9-]+)$/.exec(name);
    if (match === null) return [];
    const [, network = "", cluster = "", role = "", process = ""] = match;
    return [{ network, cluster, role, process }];
  });
}

function keyed(
  privateKey: KeyObject,
  p: {
    readonly issuer: string;
    readonly subject: string;
    readonly publicKey: KeyObject;
    readonly signer: KeyObject;
    /** Absent: it signs itself. */
    readonly signerCertificate?: string;
    readonly nowMs: number;
    readonly days: number;
    readonly extensions: readonly Extension[];
  },
): KeyedCertificate {
  const spki = AsnConvert.parse(p.publicKey.export({ type: "spki", format: "der" }), SubjectPublicKeyInfo);
  const keyId = randomBytes(20);
  const signerId =
    p.signerCertificate === undefined
      ? keyId
      : Buffer.from(subjectKeyId(new X509Certificate(p.signerCertificate).raw).buffer);
  const algorithm = new AlgorithmIdentifier({ algorithm: ECDSA_SHA256 });
  const tbs = new TBSCertificate({
    version: Version.v3,
    serialNumber: serialNumber(),
    signature: algorithm,
    issuer: nameOf(p.issuer),
    validity: new Validity({
      notBefore: new Date(p.nowMs - BACKDATED_MS),
      notAfter: new Date(p.nowMs + p.days * DAY_MS),
    }),
    subject: nameOf(p.subject),
    subjectPublicKeyInfo: spki,
    extensions: new Extensions([
      ...p.extensions,
      extension(id_ce_subjectKeyIdentifier, new SubjectKeyIdentifier(keyId), false),
      extension(
        id_ce_authorityKeyIdentifier,
        new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(signerId) }),
        false,
      ),
    ]),
  });
  const signature = sign("sha256", Buffer.from(AsnConvert.serialize(tbs)), p.signer);
  const certificate = new Certificate({
    tbsCertificate: tbs,
    signatureAlgorithm: algorithm,
    signatureValue: new Uint8Array(signature).buffer,
  });
  return {
    certificate: new X509Certificate(Buffer.from(AsnConvert.serialize(certificate))).toString(),
    key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
  };
}

/** Positive and of full length, as RFC 5280 asks. */
function serialNumber(): ArrayBuffer {
  const bytes = new Uint8Array(randomBytes(16));
  bytes[0] = ((bytes[0] as number) & 0x3f) | 0x40;
  return bytes.buffer;
}

function nameOf(commonName: string): Name {
  return new Name([
    new RelativeDistinguishedName([
      new AttributeTypeAndValue({ type: COMMON_NAME, value: new AttributeValue({ utf8String: commonName }) }),
    ]),
  ]);
}

function extension(id: string, value: object, critical: boolean): Extension {
  return new Extension({ extnID: id, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });
}

function subjectKeyId(certificate: Uint8Array): SubjectKeyIdentifier {
  const parsed = AsnConvert.parse(certificate, Certificate);
  const found = parsed.tbsCertificate.extensions?.find((e) => e.extnID === id_ce_subjectKeyIdentifier);
  assert(found !== undefined, "an authority's certificate names its key");
  return AsnConvert.parse(found.extnValue, SubjectKeyIdentifier);
}
