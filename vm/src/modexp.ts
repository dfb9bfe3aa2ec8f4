/**
 * Owns modular exponentiation of any length for the MODEXP precompile: base-2^32 digits, little-endian, in memory the
 * caller provides. Odd moduli use Montgomery multiplication, even ones divide after each product.
 */

/** Reads `length` big-endian bytes as digits; returns the number of digits, ceil(length / 4). */
function readDigits(to: usize, from: usize, length: usize): usize {
  const digits = (length + 3) >> 2;
  memory.fill(to, 0, digits << 2);
  for (let i: usize = 0; i < length; i++) store<u8>(to + i, load<u8>(from + length - 1 - i));
  return digits;
}

@inline function digit(p: usize, i: usize): u64 {
  return <u64>load<u32>(p + (i << 2));
}

function trim(p: usize, n: usize): usize {
  while (n > 0 && load<u32>(p + ((n - 1) << 2)) == 0) n--;
  return n;
}

/**
 * u %= v, in place (Knuth D without the quotient). `un` digits at u with one spare digit above; vn >= 1 digits at v
 * with a non-zero top; `vs` is scratch of vn digits. Leaves the remainder in the low vn digits.
 */
function remainder(u: usize, un: usize, v: usize, vn: usize, vs: usize): void {
  if (vn == 1) {
    const d = digit(v, 0);
    let r: u64 = 0;
    for (let i = un; i > 0; i--) r = ((r << 32) | digit(u, i - 1)) % d;
    store<u32>(u, <u32>r);
    return;
  }
  if (un < vn) {
    memory.fill(u + (un << 2), 0, (vn - un) << 2);
    return;
  }
  const shift = <u64>clz<u32>(load<u32>(v + ((vn - 1) << 2)));
  let low: u64 = 0;
  for (let i: usize = 0; i < vn; i++) {
    const x = (digit(v, i) << shift) | low;
    store<u32>(vs + (i << 2), <u32>x);
    low = x >> 32;
  }
  low = 0;
  for (let i: usize = 0; i < un; i++) {
    const x = (digit(u, i) << shift) | low;
    store<u32>(u + (i << 2), <u32>x);
    low = x >> 32;
  }
  store<u32>(u + (un << 2), <u32>low);
  const top = digit(vs, vn - 1), next = digit(vs, vn - 2);
  for (let j = un - vn + 1; j > 0; j--) {
    const at = u + ((j - 1) << 2);
    const head = at + (vn << 2);
    const x = (digit(head, 0) << 32) | <u64>load<u32>(head - 4);
    let q = x / top;
    let r = x - q * top;
    while (q >> 32 != 0 || q * next > ((r << 32) | <u64>load<u32>(head - 8))) {
      q--;
      r += top;
      if (r >> 32 != 0) break;
    }
    let borrow: u64 = 0, carry: u64 = 0;
    for (let o: usize = 0, end = vn << 2; o < end; o += 4) {
      const p = q * <u64>load<u32>(vs + o) + carry;
      carry = p >> 32;
      const t = <u64>load<u32>(at + o) - (p & 0xffffffff) - borrow;
      store<u32>(at + o, <u32>t);
      borrow = t >> 63;
    }
    const t = <u64>load<u32>(head) - carry - borrow;
    store<u32>(head, <u32>t);
    if (t >> 63 != 0) {
      let c: u64 = 0;
      for (let o: usize = 0, end = vn << 2; o < end; o += 4) {
        const s = <u64>load<u32>(at + o) + <u64>load<u32>(vs + o) + c;
        store<u32>(at + o, <u32>s);
        c = s >> 32;
      }
      store<u32>(head, load<u32>(head) + <u32>c);
    }
  }
  for (let i: usize = 0; i < vn; i++) {
    const x = digit(u, i) | (digit(u, i + 1) << 32);
    store<u32>(u + (i << 2), <u32>(x >> shift));
  }
}

/** to (2n digits) = a * b, both of n digits; no overlap. */
function multiply(to: usize, a: usize, b: usize, n: usize): void {
  memory.fill(to, 0, n << 3);
  for (let i: usize = 0; i < n; i++) {
    const x = digit(a, i);
    if (x == 0) continue;
    const row = to + (i << 2);
    let carry: u64 = 0;
    for (let o: usize = 0, end = n << 2; o < end; o += 4) {
      const t = x * <u64>load<u32>(b + o) + <u64>load<u32>(row + o) + carry;
      store<u32>(row + o, <u32>t);
      carry = t >> 32;
    }
    store<u32>(row + (n << 2), <u32>carry);
  }
}

/** Montgomery product to = a * b / 2^(32 n) mod m (odd, n digits, inv = -1/m mod 2^32); t is scratch of n + 2 digits. */
function montgomery(to: usize, a: usize, b: usize, m: usize, n: usize, inv: u32, t: usize): void {
  const end = n << 2;
  memory.fill(t, 0, end + 8);
  for (let i: usize = 0; i < n; i++) {
    const x = digit(a, i);
    let carry: u64 = 0;
    for (let o: usize = 0; o < end; o += 4) {
      const s = x * <u64>load<u32>(b + o) + <u64>load<u32>(t + o) + carry;
      store<u32>(t + o, <u32>s);
      carry = s >> 32;
    }
    let s = <u64>load<u32>(t + end) + carry;
    store<u32>(t + end, <u32>s);
    store<u32>(t + end + 4, <u32>(s >> 32));
    // In two steps: inside <u64>( ) the product would be taken in 64 bits.
    const q32: u32 = load<u32>(t) * inv;
    const q = <u64>q32;
    carry = (q * <u64>load<u32>(m) + <u64>load<u32>(t)) >> 32;
    for (let o: usize = 4; o < end; o += 4) {
      s = q * <u64>load<u32>(m + o) + <u64>load<u32>(t + o) + carry;
      store<u32>(t + o - 4, <u32>s);
      carry = s >> 32;
    }
    s = <u64>load<u32>(t + end) + carry;
    store<u32>(t + end - 4, <u32>s);
    store<u32>(t + end, load<u32>(t + end + 4) + <u32>(s >> 32));
  }
  // Subtract m once when t >= m.
  let greater = load<u32>(t + end) != 0;
  if (!greater) {
    greater = true;
    for (let o = end; o > 0; o -= 4) {
      const x = load<u32>(t + o - 4), y = load<u32>(m + o - 4);
      if (x != y) {
        greater = x > y;
        break;
      }
    }
  }
  if (!greater) {
    memory.copy(to, t, end);
    return;
  }
  let borrow: u64 = 0;
  for (let o: usize = 0; o < end; o += 4) {
    const s = <u64>load<u32>(t + o) - <u64>load<u32>(m + o) - borrow;
    store<u32>(to + o, <u32>s);
    borrow = s >> 63;
  }
}

/**
 * Writes base ^ exponent mod modulus as `modLen` big-endian bytes. `area` is working memory of at least
 * `baseLen + 8 * modLen + 64` bytes; the operands are plain big-endian bytes outside of it.
 */
export function modexp(
  to: usize, base: usize, baseLen: usize, exponent: usize, expLen: usize, modulus: usize, modLen: usize, area: usize,
): void {
  const pad = (modLen + 3) & ~3;
  const m = area;
  let n = trim(m, readDigits(m, modulus, modLen));
  memory.fill(to, 0, modLen);
  if (n == 0 || (n == 1 && load<u32>(m) == 1)) return;
  const size = n << 2;
  const result = m + pad + 8, power = result + pad + 8, scratch = power + pad + 8, product = scratch + pad + 8;
  const long = product + (pad << 1) + 16;
  // base mod m
  const baseDigits = readDigits(long, base, baseLen);
  remainder(long, baseDigits, m, n, scratch);
  memory.fill(power, 0, size);
  memory.copy(power, long, size);
  // Skip leading zero bits of the exponent.
  let bits = expLen << 3;
  let at: usize = 0;
  while (at < expLen && load<u8>(exponent + at) == 0) {
    at++;
    bits -= 8;
  }
  if (at < expLen) bits -= <usize>(clz<u32>(<u32>load<u8>(exponent + at)) - 24);
  memory.fill(result, 0, size);
  store<u32>(result, 1);
  if (bits == 0) {
    // x^0 = 1, and m > 1 here.
  } else if ((load<u32>(m) & 1) != 0 && bits > 1) {
    const m0 = load<u32>(m);
    let inv: u32 = m0; // Newton: correct to 3 bits, then 6, 12, 24, 48
    for (let i = 0; i < 4; i++) inv *= 2 - m0 * inv;
    inv = 0 - inv;
    // power and result to Montgomery form: x * 2^(32 n) mod m
    memory.fill(product, 0, size);
    memory.copy(product + size, power, size);
    remainder(product, n << 1, m, n, scratch);
    memory.copy(power, product, size);
    memory.copy(result, power, size);
    for (let i = bits - 1; i > 0; i--) {
      montgomery(result, result, result, m, n, inv, product);
      const bit = i - 1;
      if ((load<u8>(exponent + expLen - 1 - (bit >> 3)) >> <u8>(bit & 7)) & 1)
        montgomery(result, result, power, m, n, inv, product);
    }
    memory.fill(scratch, 0, size);
    store<u32>(scratch, 1);
    montgomery(result, result, scratch, m, n, inv, product);
  } else {
    memory.copy(result, power, size);
    for (let i = bits - 1; i > 0; i--) {
      multiply(product, result, result, n);
      remainder(product, n << 1, m, n, scratch);
      memory.copy(result, product, size);
      const bit = i - 1;
      if ((load<u8>(exponent + expLen - 1 - (bit >> 3)) >> <u8>(bit & 7)) & 1) {
        multiply(product, result, power, n);
        remainder(product, n << 1, m, n, scratch);
        memory.copy(result, product, size);
      }
    }
  }
  const bytes = size < modLen ? size : modLen;
  for (let i: usize = 0; i < bytes; i++) store<u8>(to + modLen - 1 - i, load<u8>(result + i));
}
