/**
 * Owns 256-bit arithmetic on words of four little-endian 64-bit limbs in linear memory. Results may overwrite an
 * operand unless said otherwise. No allocation; scratch at SCRATCH.
 */
import { SCRATCH } from "./layout";

// Scratch words of this file.
@inline const U: usize = SCRATCH; // dividend digits, up to 17 x u32 + pad
@inline const V: usize = SCRATCH + 96; // divisor digits
@inline const PRODUCT: usize = SCRATCH + 160; // 64 bytes
@inline const T0: usize = SCRATCH + 256;
@inline const T1: usize = SCRATCH + 288;
@inline const T2: usize = SCRATCH + 320;
@inline const QUOTIENT: usize = SCRATCH + 352; // 64 bytes

@inline export function copy32(to: usize, from: usize): void {
  const a = load<u64>(from), b = load<u64>(from, 8), c = load<u64>(from, 16), d = load<u64>(from, 24);
  store<u64>(to, a);
  store<u64>(to, b, 8);
  store<u64>(to, c, 16);
  store<u64>(to, d, 24);
}

@inline export function zero32(to: usize): void {
  store<u64>(to, 0);
  store<u64>(to, 0, 8);
  store<u64>(to, 0, 16);
  store<u64>(to, 0, 24);
}

@inline export function set64(to: usize, value: u64): void {
  store<u64>(to, value);
  store<u64>(to, 0, 8);
  store<u64>(to, 0, 16);
  store<u64>(to, 0, 24);
}

@inline export function isZero(p: usize): bool {
  return (load<u64>(p) | load<u64>(p, 8) | load<u64>(p, 16) | load<u64>(p, 24)) == 0;
}

/** True when the word is below 2^64. */
@inline export function fits64(p: usize): bool {
  return (load<u64>(p, 8) | load<u64>(p, 16) | load<u64>(p, 24)) == 0;
}

@inline export function equal32(a: usize, b: usize): bool {
  return (
    ((load<u64>(a) ^ load<u64>(b)) |
      (load<u64>(a, 8) ^ load<u64>(b, 8)) |
      (load<u64>(a, 16) ^ load<u64>(b, 16)) |
      (load<u64>(a, 24) ^ load<u64>(b, 24))) == 0
  );
}

/** a < b, unsigned. */
@inline export function less(a: usize, b: usize): bool {
  const a3 = load<u64>(a, 24), b3 = load<u64>(b, 24);
  if (a3 != b3) return a3 < b3;
  const a2 = load<u64>(a, 16), b2 = load<u64>(b, 16);
  if (a2 != b2) return a2 < b2;
  const a1 = load<u64>(a, 8), b1 = load<u64>(b, 8);
  if (a1 != b1) return a1 < b1;
  return load<u64>(a) < load<u64>(b);
}

/** a < b, two's complement. */
@inline export function signedLess(a: usize, b: usize): bool {
  const a3 = load<i64>(a, 24), b3 = load<i64>(b, 24);
  if (a3 != b3) return a3 < b3;
  const a2 = load<u64>(a, 16), b2 = load<u64>(b, 16);
  if (a2 != b2) return a2 < b2;
  const a1 = load<u64>(a, 8), b1 = load<u64>(b, 8);
  if (a1 != b1) return a1 < b1;
  return load<u64>(a) < load<u64>(b);
}

@inline export function add(to: usize, a: usize, b: usize): void {
  const a0 = load<u64>(a), a1 = load<u64>(a, 8), a2 = load<u64>(a, 16), a3 = load<u64>(a, 24);
  const s0 = a0 + load<u64>(b);
  const c0 = u64(s0 < a0);
  const t1 = a1 + load<u64>(b, 8);
  const s1 = t1 + c0;
  const c1 = u64(t1 < a1) | u64(s1 < t1);
  const t2 = a2 + load<u64>(b, 16);
  const s2 = t2 + c1;
  const c2 = u64(t2 < a2) | u64(s2 < t2);
  const s3 = a3 + load<u64>(b, 24) + c2;
  store<u64>(to, s0);
  store<u64>(to, s1, 8);
  store<u64>(to, s2, 16);
  store<u64>(to, s3, 24);
}

/** Adds and returns the carry out of the top. */
export function addCarry(to: usize, a: usize, b: usize): u64 {
  const a0 = load<u64>(a), a1 = load<u64>(a, 8), a2 = load<u64>(a, 16), a3 = load<u64>(a, 24);
  const s0 = a0 + load<u64>(b);
  const c0 = u64(s0 < a0);
  const t1 = a1 + load<u64>(b, 8);
  const s1 = t1 + c0;
  const c1 = u64(t1 < a1) | u64(s1 < t1);
  const t2 = a2 + load<u64>(b, 16);
  const s2 = t2 + c1;
  const c2 = u64(t2 < a2) | u64(s2 < t2);
  const t3 = a3 + load<u64>(b, 24);
  const s3 = t3 + c2;
  store<u64>(to, s0);
  store<u64>(to, s1, 8);
  store<u64>(to, s2, 16);
  store<u64>(to, s3, 24);
  return u64(t3 < a3) | u64(s3 < t3);
}

@inline export function sub(to: usize, a: usize, b: usize): void {
  const a0 = load<u64>(a), a1 = load<u64>(a, 8), a2 = load<u64>(a, 16), a3 = load<u64>(a, 24);
  const b0 = load<u64>(b), b1 = load<u64>(b, 8), b2 = load<u64>(b, 16), b3 = load<u64>(b, 24);
  const c0 = u64(a0 < b0);
  const t1 = a1 - b1;
  const c1 = u64(a1 < b1) | u64(t1 < c0);
  const t2 = a2 - b2;
  const c2 = u64(a2 < b2) | u64(t2 < c1);
  store<u64>(to, a0 - b0);
  store<u64>(to, t1 - c0, 8);
  store<u64>(to, t2 - c1, 16);
  store<u64>(to, a3 - b3 - c2, 24);
}

@inline export function negate(to: usize, a: usize): void {
  const a0 = load<u64>(a), a1 = load<u64>(a, 8), a2 = load<u64>(a, 16), a3 = load<u64>(a, 24);
  const s0 = 0 - a0;
  const c0 = u64(a0 != 0);
  const s1 = 0 - a1 - c0;
  const c1 = c0 | u64(a1 != 0);
  const s2 = 0 - a2 - c1;
  const c2 = c1 | u64(a2 != 0);
  store<u64>(to, s0);
  store<u64>(to, s1, 8);
  store<u64>(to, s2, 16);
  store<u64>(to, 0 - a3 - c2, 24);
}

/** High half of a 64x64 product. */
@inline export function mulHigh(a: u64, b: u64): u64 {
  const a0 = a & 0xffffffff, a1 = a >> 32, b0 = b & 0xffffffff, b1 = b >> 32;
  const p01 = a0 * b1;
  const mid = ((a0 * b0) >> 32) + (p01 & 0xffffffff) + a1 * b0;
  return a1 * b1 + (p01 >> 32) + (mid >> 32);
}

/** Low 256 bits of the product. */
export function mul(to: usize, a: usize, b: usize): void {
  const a0 = load<u64>(a), a1 = load<u64>(a, 8), a2 = load<u64>(a, 16), a3 = load<u64>(a, 24);
  const b0 = load<u64>(b), b1 = load<u64>(b, 8), b2 = load<u64>(b, 16), b3 = load<u64>(b, 24);
  if ((a1 | a2 | a3 | b1 | b2 | b3) == 0) {
    store<u64>(to, a0 * b0);
    store<u64>(to, (a0 | b0) >> 32 == 0 ? 0 : mulHigh(a0, b0), 8);
    store<u64>(to, 0, 16);
    store<u64>(to, 0, 24);
    return;
  }
  // Column 0
  const r0 = a0 * b0;
  // Column 1: high(a0b0) + a0b1 + a1b0
  let r1 = mulHigh(a0, b0);
  let r2: u64 = 0, r3: u64 = 0;
  let lo = a0 * b1;
  r1 += lo;
  r2 += u64(r1 < lo);
  lo = a1 * b0;
  r1 += lo;
  r2 += u64(r1 < lo);
  // Column 2
  let hi = mulHigh(a0, b1);
  r2 += hi;
  r3 += u64(r2 < hi);
  hi = mulHigh(a1, b0);
  r2 += hi;
  r3 += u64(r2 < hi);
  lo = a0 * b2;
  r2 += lo;
  r3 += u64(r2 < lo);
  lo = a1 * b1;
  r2 += lo;
  r3 += u64(r2 < lo);
  lo = a2 * b0;
  r2 += lo;
  r3 += u64(r2 < lo);
  // Column 3, high parts fall off
  r3 += mulHigh(a0, b2) + mulHigh(a1, b1) + mulHigh(a2, b0) + a0 * b3 + a1 * b2 + a2 * b1 + a3 * b0;
  store<u64>(to, r0);
  store<u64>(to, r1, 8);
  store<u64>(to, r2, 16);
  store<u64>(to, r3, 24);
}

/** Full 512-bit product at `to`, which must not overlap the operands. */
export function mulFull(to: usize, a: usize, b: usize): void {
  const b0 = load<u64>(b), b1 = load<u64>(b, 8), b2 = load<u64>(b, 16), b3 = load<u64>(b, 24);
  let r0: u64 = 0, r1: u64 = 0, r2: u64 = 0, r3: u64 = 0;
  for (let i: usize = 0; i < 32; i += 8) {
    const x = load<u64>(a + i);
    // Each step: hi:lo = x * b[j] + r[j] + carry, which cannot overflow 128 bits. One limb leaves at the bottom.
    let lo = x * b0, t = r0 + lo;
    let carry = mulHigh(x, b0) + u64(t < lo);
    store<u64>(to + i, t);
    lo = x * b1;
    t = r1 + lo;
    let c = u64(t < lo);
    r0 = t + carry;
    carry = mulHigh(x, b1) + c + u64(r0 < t);
    lo = x * b2;
    t = r2 + lo;
    c = u64(t < lo);
    r1 = t + carry;
    carry = mulHigh(x, b2) + c + u64(r1 < t);
    lo = x * b3;
    t = r3 + lo;
    c = u64(t < lo);
    r2 = t + carry;
    carry = mulHigh(x, b3) + c + u64(r2 < t);
    r3 = carry;
  }
  store<u64>(to, r0, 32);
  store<u64>(to, r1, 40);
  store<u64>(to, r2, 48);
  store<u64>(to, r3, 56);
}

/** Number of u32 digits in use of a number of `digits` digits. */
@inline function significantDigits(p: usize, digits: i32): i32 {
  let n = digits;
  while (n > 0 && load<u32>(p + (<usize>(n - 1) << 2)) == 0) n--;
  return n;
}

/**
 * Knuth's algorithm D in base 2^32. Divides the number of `un` digits at `num` by the word of `vn` digits (vn >= 1,
 * top digit not zero) at `den`. The quotient goes to QUOTIENT (16 digits, zeroed), the remainder to `rem` (a word).
 */
function divide(num: usize, un: i32, den: usize, vn: i32, rem: usize): void {
  memory.fill(QUOTIENT, 0, 64);
  if (vn == 1) {
    const d = <u64>load<u32>(den);
    let r: u64 = 0;
    for (let i = un - 1; i >= 0; i--) {
      const x = (r << 32) | <u64>load<u32>(num + (<usize>i << 2));
      const q = x / d;
      r = x - q * d;
      store<u32>(QUOTIENT + (<usize>i << 2), <u32>q);
    }
    set64(rem, r);
    return;
  }
  if (un < vn) {
    // The dividend is shorter than the divisor, so it fits a word.
    copy32(T0, num);
    zero32(rem);
    memory.copy(rem, T0, <usize>un << 2);
    return;
  }
  const shift = <u64>clz<u32>(load<u32>(den + (<usize>(vn - 1) << 2)));
  // Normalise the divisor into V and the dividend into U.
  let low: u64 = 0;
  for (let i = 0; i < vn; i++) {
    const x = (<u64>load<u32>(den + (<usize>i << 2)) << shift) | low;
    store<u32>(V + (<usize>i << 2), <u32>x);
    low = x >> 32;
  }
  low = 0;
  for (let i = 0; i < un; i++) {
    const x = (<u64>load<u32>(num + (<usize>i << 2)) << shift) | low;
    store<u32>(U + (<usize>i << 2), <u32>x);
    low = x >> 32;
  }
  store<u32>(U + (<usize>un << 2), <u32>low);
  const top = <u64>load<u32>(V + (<usize>(vn - 1) << 2));
  const next = <u64>load<u32>(V + (<usize>(vn - 2) << 2));
  for (let j = un - vn; j >= 0; j--) {
    const at = U + (<usize>j << 2);
    const head = at + (<usize>vn << 2);
    const x = (<u64>load<u32>(head) << 32) | <u64>load<u32>(head - 4);
    let q = x / top;
    let r = x - q * top;
    while (q >> 32 != 0 || q * next > ((r << 32) | <u64>load<u32>(head - 8))) {
      q--;
      r += top;
      if (r >> 32 != 0) break;
    }
    // Multiply and subtract.
    let borrow: u64 = 0;
    let carry: u64 = 0;
    for (let i = 0; i < vn; i++) {
      const o = <usize>i << 2;
      const p = q * <u64>load<u32>(V + o) + carry;
      carry = p >> 32;
      const t = <u64>load<u32>(at + o) - (p & 0xffffffff) - borrow;
      store<u32>(at + o, <u32>t);
      borrow = t >> 63;
    }
    const t = <u64>load<u32>(head) - carry - borrow;
    store<u32>(head, <u32>t);
    if (t >> 63 != 0) {
      // q was one too large: add the divisor back.
      q--;
      let c: u64 = 0;
      for (let i = 0; i < vn; i++) {
        const o = <usize>i << 2;
        const s = <u64>load<u32>(at + o) + <u64>load<u32>(V + o) + c;
        store<u32>(at + o, <u32>s);
        c = s >> 32;
      }
      store<u32>(head, load<u32>(head) + <u32>c);
    }
    store<u32>(QUOTIENT + (<usize>j << 2), <u32>q);
  }
  // Denormalise the remainder.
  zero32(rem);
  for (let i = 0; i < vn; i++) {
    const x = <u64>load<u32>(U + (<usize>i << 2)) | (<u64>load<u32>(U + (<usize>i << 2), 4) << 32);
    store<u32>(rem + (<usize>i << 2), <u32>(x >> shift));
  }
}

@inline function isPowerOfTwo(p: usize): bool {
  return (
    popcnt<u64>(load<u64>(p)) + popcnt<u64>(load<u64>(p, 8)) + popcnt<u64>(load<u64>(p, 16)) + popcnt<u64>(load<u64>(p, 24)) == 1
  );
}

/** a / b, 0 when b is 0. */
export function div(to: usize, a: usize, b: usize): void {
  if (fits64(b)) {
    const d = load<u64>(b);
    if (d == 0) {
      zero32(to);
      return;
    }
    if (fits64(a)) {
      set64(to, load<u64>(a) / d);
      return;
    }
    if ((d & (d - 1)) == 0) {
      shiftRight(to, a, <u64>ctz<u64>(d));
      return;
    }
  }
  if (less(a, b)) {
    zero32(to);
    return;
  }
  if (isPowerOfTwo(b)) {
    shiftRight(to, a, <u64>(bitLength(b) - 1));
    return;
  }
  divide(a, significantDigits(a, 8), b, significantDigits(b, 8), T1);
  copy32(to, QUOTIENT);
}

/** a % b, 0 when b is 0. */
export function mod(to: usize, a: usize, b: usize): void {
  if (fits64(b)) {
    const d = load<u64>(b);
    if (d == 0) {
      zero32(to);
      return;
    }
    if (fits64(a)) {
      set64(to, load<u64>(a) % d);
      return;
    }
    if ((d & (d - 1)) == 0) {
      set64(to, load<u64>(a) & (d - 1));
      return;
    }
  }
  if (less(a, b)) {
    copy32(to, a);
    return;
  }
  divide(a, significantDigits(a, 8), b, significantDigits(b, 8), T1);
  copy32(to, T1);
}

export function sdiv(to: usize, a: usize, b: usize): void {
  const na = load<i64>(a, 24) < 0, nb = load<i64>(b, 24) < 0;
  copy32(T2, b);
  if (na) negate(to, a);
  else copy32(to, a);
  if (nb) negate(T2, T2);
  div(to, to, T2);
  if (na != nb) negate(to, to);
}

export function smod(to: usize, a: usize, b: usize): void {
  const na = load<i64>(a, 24) < 0, nb = load<i64>(b, 24) < 0;
  copy32(T2, b);
  if (na) negate(to, a);
  else copy32(to, a);
  if (nb) negate(T2, T2);
  mod(to, to, T2);
  if (na) negate(to, to);
}

/** (a + b) % m over the whole sum. `to` may be `m`. */
export function addmod(to: usize, a: usize, b: usize, m: usize): void {
  if (isZero(m)) {
    zero32(to);
    return;
  }
  // The common case: both operands reduced already, one conditional subtraction.
  if (less(a, m) && less(b, m)) {
    const carry = addCarry(T0, a, b);
    if (carry != 0 || !less(T0, m)) sub(to, T0, m);
    else copy32(to, T0);
    return;
  }
  const carry = addCarry(PRODUCT, a, b);
  store<u64>(PRODUCT, carry, 32);
  divide(PRODUCT, significantDigits(PRODUCT, 10), m, significantDigits(m, 8), T1);
  copy32(to, T1);
}

/**
 * The modulus used last, made ready: shifted until its top bit is set, with the reciprocal of its two top limbs
 * (Möller and Granlund, Improved division by invariant integers, 3-by-2). Programs that multiply modulo something
 * rarely change it.
 */
@inline const MODULUS: usize = SCRATCH + 0x700; // as given
@inline const DIVISOR: usize = SCRATCH + 0x720; // shifted
@inline const RECIPROCAL: usize = SCRATCH + 0x740; // u64
@inline const SHIFT: usize = SCRATCH + 0x748; // u64
@inline const NUMERATOR: usize = SCRATCH + 0x760; // 192 bits, all ones
@inline const TOP_TWO: usize = SCRATCH + 0x780;

/** Prepares a modulus of at least 2^192. */
function prepareModulus(m: usize): void {
  copy32(MODULUS, m);
  const shift = <u64>clz<u64>(load<u64>(m, 24));
  store<u64>(SHIFT, shift);
  shiftLeft(DIVISOR, m, shift);
  // floor((2^192 - 1) / (d3 2^64 + d2)) - 2^64
  store<u64>(NUMERATOR, u64.MAX_VALUE);
  store<u64>(NUMERATOR, u64.MAX_VALUE, 8);
  store<u64>(NUMERATOR, u64.MAX_VALUE, 16);
  store<u64>(TOP_TWO, load<u64>(DIVISOR, 16));
  store<u64>(TOP_TWO, load<u64>(DIVISOR, 24), 8);
  divide(NUMERATOR, 6, TOP_TWO, 4, T1);
  store<u64>(RECIPROCAL, load<u64>(QUOTIENT));
}

/** (a * b) % m over the whole product. `to` may be `m`. */
export function mulmod(to: usize, a: usize, b: usize, m: usize): void {
  if (load<u64>(m, 24) == 0) {
    if (isZero(m)) {
      zero32(to);
      return;
    }
    mulFull(PRODUCT, a, b);
    divide(PRODUCT, significantDigits(PRODUCT, 16), m, significantDigits(m, 8), T1);
    copy32(to, T1);
    return;
  }
  mulFull(PRODUCT, a, b);
  if (!equal32(m, MODULUS)) prepareModulus(m);
  const shift = load<u64>(SHIFT), back = 63 - shift;
  const d0 = load<u64>(DIVISOR), d1 = load<u64>(DIVISOR, 8), d2 = load<u64>(DIVISOR, 16), d3 = load<u64>(DIVISOR, 24);
  const v = load<u64>(RECIPROCAL);
  // The four top limbs of the shifted product are the first remainder, once the divisor is taken out of them.
  const p3 = load<u64>(PRODUCT, 24), p4 = load<u64>(PRODUCT, 32), p5 = load<u64>(PRODUCT, 40);
  const p6 = load<u64>(PRODUCT, 48), p7 = load<u64>(PRODUCT, 56);
  let r0 = (p4 << shift) | ((p3 >> 1) >> back), r1 = (p5 << shift) | ((p4 >> 1) >> back);
  let r2 = (p6 << shift) | ((p5 >> 1) >> back), r3 = (p7 << shift) | ((p6 >> 1) >> back);
  if ((p7 >> 1) >> back != 0 || r3 >= d3) {
    // Only when a * b >= m * 2^256 (or nearly): not for reduced operands.
    if ((p7 >> 1) >> back != 0 || !remainderBelow(r0, r1, r2, r3)) {
      divide(PRODUCT, significantDigits(PRODUCT, 16), m, significantDigits(m, 8), T1);
      copy32(to, T1);
      return;
    }
  }
  for (let at: usize = PRODUCT + 24; at >= PRODUCT; at -= 8) {
    const below: u64 = at == PRODUCT ? 0 : load<u64>(at - 8);
    const next = (load<u64>(at) << shift) | ((below >> 1) >> back);
    if (r3 == d3 && r2 == d2) {
      // The reciprocal step asks for a remainder whose top is below the divisor's: one in 2^128.
      divide(PRODUCT, significantDigits(PRODUCT, 16), m, significantDigits(m, 8), T1);
      copy32(to, T1);
      return;
    }
    // q = floor(r3 r2 r1 / d3 d2), and what is left of r3 r2 r1 in s1 s0
    let q0 = v * r3;
    let q1 = mulHigh(v, r3);
    q0 += r2;
    q1 += r3 + u64(q0 < r2);
    let s1 = r2 - q1 * d3;
    const t0 = q1 * d2;
    const t1 = mulHigh(q1, d2);
    let s0 = r1 - t0;
    s1 = s1 - t1 - u64(r1 < t0);
    const u = s0;
    s0 -= d2;
    s1 = s1 - d3 - u64(u < d2);
    q1++;
    if (s1 >= q0) {
      q1--;
      s0 += d2;
      s1 += d3 + u64(s0 < d2);
    }
    if (s1 > d3 || (s1 == d3 && s0 >= d2)) {
      q1++;
      const w = s0;
      s0 -= d2;
      s1 = s1 - d3 - u64(w < d2);
    }
    // Take q times the two low limbs of the divisor as well.
    const l0 = q1 * d0;
    const l1 = q1 * d1;
    const h1 = mulHigh(q1, d1);
    const m1 = l1 + mulHigh(q1, d0);
    const m2 = h1 + u64(m1 < l1);
    const n0 = next - l0;
    const b0 = u64(next < l0);
    const x1 = r0 - m1;
    const n1 = x1 - b0;
    const b1 = u64(r0 < m1) | u64(x1 < b0);
    const x2 = s0 - m2;
    const n2 = x2 - b1;
    const b2 = u64(s0 < m2) | u64(x2 < b1);
    const n3 = s1 - b2;
    if (s1 < b2) {
      // One too many: put the divisor back.
      r0 = n0 + d0;
      const c0 = u64(r0 < n0);
      const y1 = n1 + d1;
      r1 = y1 + c0;
      const c1 = u64(y1 < n1) | u64(r1 < y1);
      const y2 = n2 + d2;
      r2 = y2 + c1;
      const c2 = u64(y2 < n2) | u64(r2 < y2);
      r3 = n3 + d3 + c2;
    } else {
      r0 = n0;
      r1 = n1;
      r2 = n2;
      r3 = n3;
    }
  }
  store<u64>(to, (r0 >> shift) | ((r1 << 1) << back));
  store<u64>(to, (r1 >> shift) | ((r2 << 1) << back), 8);
  store<u64>(to, (r2 >> shift) | ((r3 << 1) << back), 16);
  store<u64>(to, r3 >> shift, 24);
}

/** Is the word of these limbs below the prepared divisor? */
function remainderBelow(r0: u64, r1: u64, r2: u64, r3: u64): bool {
  if (r3 != load<u64>(DIVISOR, 24)) return r3 < load<u64>(DIVISOR, 24);
  if (r2 != load<u64>(DIVISOR, 16)) return r2 < load<u64>(DIVISOR, 16);
  if (r1 != load<u64>(DIVISOR, 8)) return r1 < load<u64>(DIVISOR, 8);
  return r0 < load<u64>(DIVISOR);
}

/** base ^ exponent; `to` must not be `exponent`. */
export function exp(to: usize, base: usize, exponent: usize): void {
  if (fits64(base) && load<u64>(base) == 2) {
    if (fits64(exponent) && load<u64>(exponent) < 256) {
      const n = load<u64>(exponent);
      zero32(to);
      store<u64>(to + <usize>((n >> 6) << 3), (<u64>1) << (n & 63));
    } else zero32(to);
    return;
  }
  copy32(T0, base);
  set64(T1, 1);
  let bits = bitLength(exponent);
  for (let i: u32 = 0; i < bits; i++) {
    if ((load<u64>(exponent + <usize>((i >> 6) << 3)) >> (i & 63)) & 1) mul(T1, T1, T0);
    if (i + 1 < bits) mul(T0, T0, T0);
  }
  copy32(to, T1);
}

/** Number of bits up to the highest one set. */
export function bitLength(p: usize): u32 {
  let x = load<u64>(p, 24);
  if (x != 0) return 256 - <u32>clz<u64>(x);
  x = load<u64>(p, 16);
  if (x != 0) return 192 - <u32>clz<u64>(x);
  x = load<u64>(p, 8);
  if (x != 0) return 128 - <u32>clz<u64>(x);
  return 64 - <u32>clz<u64>(load<u64>(p));
}

/** a << n for n < 256. */
@inline export function shiftLeft(to: usize, a: usize, n: u64): void {
  const a0 = load<u64>(a), a1 = load<u64>(a, 8), a2 = load<u64>(a, 16), a3 = load<u64>(a, 24);
  const bits = n & 63, back = 63 - bits;
  const words = n >> 6;
  if (words == 0) {
    store<u64>(to, a0 << bits);
    store<u64>(to, (a1 << bits) | ((a0 >> 1) >> back), 8);
    store<u64>(to, (a2 << bits) | ((a1 >> 1) >> back), 16);
    store<u64>(to, (a3 << bits) | ((a2 >> 1) >> back), 24);
  } else if (words == 1) {
    store<u64>(to, 0);
    store<u64>(to, a0 << bits, 8);
    store<u64>(to, (a1 << bits) | ((a0 >> 1) >> back), 16);
    store<u64>(to, (a2 << bits) | ((a1 >> 1) >> back), 24);
  } else if (words == 2) {
    store<u64>(to, 0);
    store<u64>(to, 0, 8);
    store<u64>(to, a0 << bits, 16);
    store<u64>(to, (a1 << bits) | ((a0 >> 1) >> back), 24);
  } else {
    store<u64>(to, 0);
    store<u64>(to, 0, 8);
    store<u64>(to, 0, 16);
    store<u64>(to, a0 << bits, 24);
  }
}

/** a >> n for n < 256. */
@inline export function shiftRight(to: usize, a: usize, n: u64): void {
  const a0 = load<u64>(a), a1 = load<u64>(a, 8), a2 = load<u64>(a, 16), a3 = load<u64>(a, 24);
  const bits = n & 63, back = 63 - bits;
  const words = n >> 6;
  if (words == 0) {
    store<u64>(to, (a0 >> bits) | ((a1 << 1) << back));
    store<u64>(to, (a1 >> bits) | ((a2 << 1) << back), 8);
    store<u64>(to, (a2 >> bits) | ((a3 << 1) << back), 16);
    store<u64>(to, a3 >> bits, 24);
  } else if (words == 1) {
    store<u64>(to, (a1 >> bits) | ((a2 << 1) << back));
    store<u64>(to, (a2 >> bits) | ((a3 << 1) << back), 8);
    store<u64>(to, a3 >> bits, 16);
    store<u64>(to, 0, 24);
  } else if (words == 2) {
    store<u64>(to, (a2 >> bits) | ((a3 << 1) << back));
    store<u64>(to, a3 >> bits, 8);
    store<u64>(to, 0, 16);
    store<u64>(to, 0, 24);
  } else {
    store<u64>(to, a3 >> bits);
    store<u64>(to, 0, 8);
    store<u64>(to, 0, 16);
    store<u64>(to, 0, 24);
  }
}

/** Arithmetic a >> n; n is a word at `by`. */
export function sar(to: usize, a: usize, by: usize): void {
  const a3 = load<i64>(a, 24);
  const fill = <u64>(a3 >> 63);
  if (!fits64(by) || load<u64>(by) > 255) {
    store<u64>(to, fill);
    store<u64>(to, fill, 8);
    store<u64>(to, fill, 16);
    store<u64>(to, fill, 24);
    return;
  }
  const n = load<u64>(by);
  const bits = n & 63, back = 63 - bits;
  const words = n >> 6;
  const a0 = load<u64>(a), a1 = load<u64>(a, 8), a2 = load<u64>(a, 16);
  const top = <u64>(a3 >> (<i64>bits));
  const u3 = <u64>a3;
  if (words == 0) {
    store<u64>(to, (a0 >> bits) | ((a1 << 1) << back));
    store<u64>(to, (a1 >> bits) | ((a2 << 1) << back), 8);
    store<u64>(to, (a2 >> bits) | ((u3 << 1) << back), 16);
    store<u64>(to, top, 24);
  } else if (words == 1) {
    store<u64>(to, (a1 >> bits) | ((a2 << 1) << back));
    store<u64>(to, (a2 >> bits) | ((u3 << 1) << back), 8);
    store<u64>(to, top, 16);
    store<u64>(to, fill, 24);
  } else if (words == 2) {
    store<u64>(to, (a2 >> bits) | ((u3 << 1) << back));
    store<u64>(to, top, 8);
    store<u64>(to, fill, 16);
    store<u64>(to, fill, 24);
  } else {
    store<u64>(to, top);
    store<u64>(to, fill, 8);
    store<u64>(to, fill, 16);
    store<u64>(to, fill, 24);
  }
}

/** Extends the sign of the byte at index `at` (counted from the low end). */
export function signExtend(to: usize, at: usize, value: usize): void {
  if (!fits64(at) || load<u64>(at) > 30) {
    copy32(to, value);
    return;
  }
  const bit = (load<u64>(at) << 3) + 7;
  const word = bit >> 6;
  const up = 63 - (bit & 63);
  const limb = <u64>((<i64>(load<u64>(value + <usize>(word << 3)) << up)) >> (<i64>up));
  const fill = <u64>((<i64>limb) >> 63);
  const a0 = load<u64>(value), a1 = load<u64>(value, 8), a2 = load<u64>(value, 16);
  store<u64>(to, word == 0 ? limb : a0);
  store<u64>(to, word == 1 ? limb : word < 1 ? fill : a1, 8);
  store<u64>(to, word == 2 ? limb : word < 2 ? fill : a2, 16);
  store<u64>(to, word == 3 ? limb : fill, 24);
}

/** Reads 32 big-endian bytes into a word. */
@inline export function fromBytes(to: usize, from: usize): void {
  const a = bswap<u64>(load<u64>(from)), b = bswap<u64>(load<u64>(from, 8));
  const c = bswap<u64>(load<u64>(from, 16)), d = bswap<u64>(load<u64>(from, 24));
  store<u64>(to, d);
  store<u64>(to, c, 8);
  store<u64>(to, b, 16);
  store<u64>(to, a, 24);
}

/** Writes a word as 32 big-endian bytes. */
@inline export function toBytes(to: usize, from: usize): void {
  const a = bswap<u64>(load<u64>(from)), b = bswap<u64>(load<u64>(from, 8));
  const c = bswap<u64>(load<u64>(from, 16)), d = bswap<u64>(load<u64>(from, 24));
  store<u64>(to, d);
  store<u64>(to, c, 8);
  store<u64>(to, b, 16);
  store<u64>(to, a, 24);
}

/** Reads 0 to 32 big-endian bytes into a word. */
export function fromShortBytes(to: usize, from: usize, length: u32): void {
  zero32(to);
  for (let i: u32 = 0; i < length; i++) store<u8>(to + <usize>(length - 1 - i), load<u8>(from + <usize>i));
}

/** to = a * x; returns what does not fit. */
export function mulBy64(to: usize, a: usize, x: u64): u64 {
  const a0 = load<u64>(a), a1 = load<u64>(a, 8), a2 = load<u64>(a, 16), a3 = load<u64>(a, 24);
  const r0 = a0 * x;
  let carry = mulHigh(a0, x);
  let lo = a1 * x;
  const r1 = lo + carry;
  carry = mulHigh(a1, x) + u64(r1 < lo);
  lo = a2 * x;
  const r2 = lo + carry;
  carry = mulHigh(a2, x) + u64(r2 < lo);
  lo = a3 * x;
  const r3 = lo + carry;
  carry = mulHigh(a3, x) + u64(r3 < lo);
  store<u64>(to, r0);
  store<u64>(to, r1, 8);
  store<u64>(to, r2, 16);
  store<u64>(to, r3, 24);
  return carry;
}
