/** Owns SHA-256, RIPEMD-160 and the BLAKE2b compression function (EIP-152). Working state at HASH_STATE. */
import { HASH_STATE } from "./layout";

@inline const W: usize = HASH_STATE; // message schedule, 64 x u32
@inline const H: usize = HASH_STATE + 256; // chaining value
@inline const TAIL: usize = HASH_STATE + 320; // last one or two blocks, 128 bytes

const SHA_K: usize = memory.data<u32>([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
]);

function sha256Block(from: usize): void {
  for (let i: usize = 0; i < 64; i += 4) store<u32>(W + i, bswap<u32>(load<u32>(from + i)));
  for (let i: usize = 64; i < 256; i += 4) {
    const x = load<u32>(W + i - 60), y = load<u32>(W + i - 8);
    const s0 = rotr<u32>(x, 7) ^ rotr<u32>(x, 18) ^ (x >> 3);
    const s1 = rotr<u32>(y, 17) ^ rotr<u32>(y, 19) ^ (y >> 10);
    store<u32>(W + i, load<u32>(W + i - 64) + s0 + load<u32>(W + i - 28) + s1);
  }
  let a = load<u32>(H), b = load<u32>(H, 4), c = load<u32>(H, 8), d = load<u32>(H, 12);
  let e = load<u32>(H, 16), f = load<u32>(H, 20), g = load<u32>(H, 24), h = load<u32>(H, 28);
  for (let i: usize = 0; i < 256; i += 4) {
    const s1 = rotr<u32>(e, 6) ^ rotr<u32>(e, 11) ^ rotr<u32>(e, 25);
    const t1 = h + s1 + ((e & f) ^ (~e & g)) + load<u32>(SHA_K + i) + load<u32>(W + i);
    const s0 = rotr<u32>(a, 2) ^ rotr<u32>(a, 13) ^ rotr<u32>(a, 22);
    const t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  store<u32>(H, load<u32>(H) + a);
  store<u32>(H, load<u32>(H, 4) + b, 4);
  store<u32>(H, load<u32>(H, 8) + c, 8);
  store<u32>(H, load<u32>(H, 12) + d, 12);
  store<u32>(H, load<u32>(H, 16) + e, 16);
  store<u32>(H, load<u32>(H, 20) + f, 20);
  store<u32>(H, load<u32>(H, 24) + g, 24);
  store<u32>(H, load<u32>(H, 28) + h, 28);
}

/** Copies the rest of a message to TAIL with its padding; returns the number of 64-byte blocks there. */
function padTail(from: usize, rest: usize): usize {
  memory.fill(TAIL, 0, 128);
  memory.copy(TAIL, from, rest);
  store<u8>(TAIL + rest, 0x80);
  return rest < 56 ? 1 : 2;
}

export function sha256(to: usize, from: usize, length: usize): void {
  store<u32>(H, 0x6a09e667);
  store<u32>(H, 0xbb67ae85, 4);
  store<u32>(H, 0x3c6ef372, 8);
  store<u32>(H, 0xa54ff53a, 12);
  store<u32>(H, 0x510e527f, 16);
  store<u32>(H, 0x9b05688c, 20);
  store<u32>(H, 0x1f83d9ab, 24);
  store<u32>(H, 0x5be0cd19, 28);
  let rest = length;
  for (; rest >= 64; rest -= 64) {
    sha256Block(from);
    from += 64;
  }
  const blocks = padTail(from, rest);
  store<u64>(TAIL + (blocks << 6) - 8, bswap<u64>((<u64>length) << 3));
  sha256Block(TAIL);
  if (blocks == 2) sha256Block(TAIL + 64);
  for (let i: usize = 0; i < 32; i += 4) store<u32>(to + i, bswap<u32>(load<u32>(H + i)));
}

const RIPEMD_R: usize = memory.data<u8>([
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 7, 4, 13, 1, 10, 6, 15, 3, 12, 0, 9, 5, 2, 14, 11, 8, 3, 10,
  14, 4, 9, 15, 8, 1, 2, 7, 0, 6, 13, 11, 5, 12, 1, 9, 11, 10, 0, 8, 12, 4, 13, 3, 7, 15, 14, 5, 6, 2, 4, 0, 5, 9, 7,
  12, 2, 10, 14, 1, 3, 8, 11, 6, 15, 13,
]);
const RIPEMD_R2: usize = memory.data<u8>([
  5, 14, 7, 0, 9, 2, 11, 4, 13, 6, 15, 8, 1, 10, 3, 12, 6, 11, 3, 7, 0, 13, 5, 10, 14, 15, 8, 12, 4, 9, 1, 2, 15, 5, 1,
  3, 7, 14, 6, 9, 11, 8, 12, 2, 10, 0, 4, 13, 8, 6, 4, 1, 3, 11, 15, 0, 5, 12, 2, 13, 9, 7, 10, 14, 12, 15, 10, 4, 1,
  5, 8, 7, 6, 2, 13, 14, 0, 3, 9, 11,
]);
const RIPEMD_S: usize = memory.data<u8>([
  11, 14, 15, 12, 5, 8, 7, 9, 11, 13, 14, 15, 6, 7, 9, 8, 7, 6, 8, 13, 11, 9, 7, 15, 7, 12, 15, 9, 11, 7, 13, 12, 11,
  13, 6, 7, 14, 9, 13, 15, 14, 8, 13, 6, 5, 12, 7, 5, 11, 12, 14, 15, 14, 15, 9, 8, 9, 14, 5, 6, 8, 6, 5, 12, 9, 15, 5,
  11, 6, 8, 13, 12, 5, 12, 13, 14, 11, 8, 5, 6,
]);
const RIPEMD_S2: usize = memory.data<u8>([
  8, 9, 9, 11, 13, 15, 15, 5, 7, 7, 8, 11, 14, 14, 12, 6, 9, 13, 15, 7, 12, 8, 9, 11, 7, 7, 12, 7, 6, 15, 13, 11, 9, 7,
  15, 11, 8, 6, 6, 14, 12, 13, 5, 14, 13, 13, 7, 5, 15, 5, 8, 11, 14, 14, 6, 14, 6, 9, 12, 9, 12, 5, 15, 8, 8, 5, 12,
  9, 12, 5, 14, 6, 8, 13, 6, 5, 15, 13, 11, 11,
]);
const RIPEMD_K: usize = memory.data<u32>([0, 0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xa953fd4e]);
const RIPEMD_K2: usize = memory.data<u32>([0x50a28be6, 0x5c4dd124, 0x6d703ef3, 0x7a6d76e9, 0]);

@inline function ripemdF(j: u32, x: u32, y: u32, z: u32): u32 {
  if (j == 0) return x ^ y ^ z;
  if (j == 1) return (x & y) | (~x & z);
  if (j == 2) return (x | ~y) ^ z;
  if (j == 3) return (x & z) | (y & ~z);
  return x ^ (y | ~z);
}

function ripemdBlock(from: usize): void {
  let a = load<u32>(H), b = load<u32>(H, 4), c = load<u32>(H, 8), d = load<u32>(H, 12), e = load<u32>(H, 16);
  let a2 = a, b2 = b, c2 = c, d2 = d, e2 = e;
  for (let i: usize = 0; i < 80; i++) {
    const j = <u32>i >> 4;
    let t = a + ripemdF(j, b, c, d) + load<u32>(from + (<usize>load<u8>(RIPEMD_R + i) << 2)) + load<u32>(RIPEMD_K + (<usize>j << 2));
    t = rotl<u32>(t, load<u8>(RIPEMD_S + i)) + e;
    a = e;
    e = d;
    d = rotl<u32>(c, 10);
    c = b;
    b = t;
    t = a2 + ripemdF(4 - j, b2, c2, d2) + load<u32>(from + (<usize>load<u8>(RIPEMD_R2 + i) << 2)) + load<u32>(RIPEMD_K2 + (<usize>j << 2));
    t = rotl<u32>(t, load<u8>(RIPEMD_S2 + i)) + e2;
    a2 = e2;
    e2 = d2;
    d2 = rotl<u32>(c2, 10);
    c2 = b2;
    b2 = t;
  }
  const t = load<u32>(H, 4) + c + d2;
  store<u32>(H, load<u32>(H, 8) + d + e2, 4);
  store<u32>(H, load<u32>(H, 12) + e + a2, 8);
  store<u32>(H, load<u32>(H, 16) + a + b2, 12);
  store<u32>(H, load<u32>(H) + b + c2, 16);
  store<u32>(H, t);
}

/** Writes the 20 hash bytes. */
export function ripemd160(to: usize, from: usize, length: usize): void {
  store<u32>(H, 0x67452301);
  store<u32>(H, 0xefcdab89, 4);
  store<u32>(H, 0x98badcfe, 8);
  store<u32>(H, 0x10325476, 12);
  store<u32>(H, 0xc3d2e1f0, 16);
  let rest = length;
  for (; rest >= 64; rest -= 64) {
    ripemdBlock(from);
    from += 64;
  }
  const blocks = padTail(from, rest);
  store<u64>(TAIL + (blocks << 6) - 8, (<u64>length) << 3);
  ripemdBlock(TAIL);
  if (blocks == 2) ripemdBlock(TAIL + 64);
  memory.copy(to, H, 20);
}

const BLAKE_IV: usize = memory.data<u64>([
  0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1, 0x510e527fade682d1,
  0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
]);
const BLAKE_SIGMA: usize = memory.data<u8>([
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3, 11, 8, 12,
  0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4, 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8, 9, 0, 5, 7, 2, 4, 10,
  15, 14, 1, 11, 12, 6, 8, 3, 13, 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9, 12, 5, 1, 15, 14, 13, 4, 10, 0,
  7, 6, 3, 9, 2, 8, 11, 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10, 6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7,
  1, 4, 10, 5, 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0,
]);
@inline const BV: usize = HASH_STATE; // 16 x u64

@inline function blakeG(a: usize, b: usize, c: usize, d: usize, x: u64, y: u64): void {
  let va = load<u64>(BV + a), vb = load<u64>(BV + b), vc = load<u64>(BV + c), vd = load<u64>(BV + d);
  va = va + vb + x;
  vd = rotr<u64>(vd ^ va, 32);
  vc = vc + vd;
  vb = rotr<u64>(vb ^ vc, 24);
  va = va + vb + y;
  vd = rotr<u64>(vd ^ va, 16);
  vc = vc + vd;
  vb = rotr<u64>(vb ^ vc, 63);
  store<u64>(BV + a, va);
  store<u64>(BV + b, vb);
  store<u64>(BV + c, vc);
  store<u64>(BV + d, vd);
}

@inline function blakeM(m: usize, sigma: usize, i: usize): u64 {
  return load<u64>(m + (<usize>load<u8>(sigma + i) << 3));
}

/** The 213 input bytes of EIP-152 at `from`; writes 64 bytes. The caller checked length and final flag. */
export function blake2f(to: usize, from: usize): void {
  const rounds = bswap<u32>(load<u32>(from));
  const h = from + 4, m = from + 68;
  memory.copy(BV, h, 64);
  memory.copy(BV + 64, BLAKE_IV, 64);
  store<u64>(BV + 96, load<u64>(BV + 96) ^ load<u64>(from + 196));
  store<u64>(BV + 104, load<u64>(BV + 104) ^ load<u64>(from + 204));
  if (load<u8>(from + 212) != 0) store<u64>(BV + 112, ~load<u64>(BV + 112));
  let row: usize = 0;
  for (let i: u32 = 0; i < rounds; i++) {
    const s = BLAKE_SIGMA + (row << 4);
    row = row == 9 ? 0 : row + 1;
    blakeG(0, 32, 64, 96, blakeM(m, s, 0), blakeM(m, s, 1));
    blakeG(8, 40, 72, 104, blakeM(m, s, 2), blakeM(m, s, 3));
    blakeG(16, 48, 80, 112, blakeM(m, s, 4), blakeM(m, s, 5));
    blakeG(24, 56, 88, 120, blakeM(m, s, 6), blakeM(m, s, 7));
    blakeG(0, 40, 80, 120, blakeM(m, s, 8), blakeM(m, s, 9));
    blakeG(8, 48, 88, 96, blakeM(m, s, 10), blakeM(m, s, 11));
    blakeG(16, 56, 64, 104, blakeM(m, s, 12), blakeM(m, s, 13));
    blakeG(24, 32, 72, 112, blakeM(m, s, 14), blakeM(m, s, 15));
  }
  for (let i: usize = 0; i < 64; i += 8) store<u64>(to + i, load<u64>(h + i) ^ load<u64>(BV + i) ^ load<u64>(BV + 64 + i));
}
