/**
 * Owns the precompiles: prices, bounds and the hash and integer ones. The elliptic-curve ones are host operations, so
 * that they can be native here and oracle steps in a proof. Output goes to RETBUF.
 * @see EIP-152, EIP-196, EIP-197, EIP-198, EIP-2537, EIP-2565, EIP-4844, EIP-7823, EIP-7883, EIP-7951
 */
import { E_FORK, ENV, MEM_END, OSAKA, RETBUF, RETBUF_END, SCRATCH } from "./layout";
import { blake2f, ripemd160, sha256 } from "./hashes";
import { hostPrecompile } from "./host";
import { modexp } from "./modexp";
import { HALT_RESOURCE, stop } from "./state";

/** Per-mille discount by number of pairs (EIP-2537). */
const G1_DISCOUNT: usize = memory.data<u16>([
  1000, 949, 848, 797, 764, 750, 738, 728, 719, 712, 705, 698, 692, 687, 682, 677,
  673, 669, 665, 661, 658, 654, 651, 648, 645, 642, 640, 637, 635, 632, 630, 627,
  625, 623, 621, 619, 617, 615, 613, 611, 609, 608, 606, 604, 603, 601, 599, 598,
  596, 595, 593, 592, 591, 589, 588, 586, 585, 584, 582, 581, 580, 579, 577, 576,
  575, 574, 573, 572, 570, 569, 568, 567, 566, 565, 564, 563, 562, 561, 560, 559,
  558, 557, 556, 555, 554, 553, 552, 551, 550, 549, 548, 547, 547, 546, 545, 544,
  543, 542, 541, 540, 540, 539, 538, 537, 536, 536, 535, 534, 533, 532, 532, 531,
  530, 529, 528, 528, 527, 526, 525, 525, 524, 523, 522, 522, 521, 520, 520, 519,
]);
const G2_DISCOUNT: usize = memory.data<u16>([
  1000, 1000, 923, 884, 855, 832, 812, 796, 782, 770, 759, 749, 740, 732, 724, 717,
  711, 704, 699, 693, 688, 683, 679, 674, 670, 666, 663, 659, 655, 652, 649, 646,
  643, 640, 637, 634, 632, 629, 627, 624, 622, 620, 618, 615, 613, 611, 609, 607,
  606, 604, 602, 600, 598, 597, 595, 593, 592, 590, 589, 587, 586, 584, 583, 582,
  580, 579, 578, 576, 575, 574, 573, 571, 570, 569, 568, 567, 566, 565, 563, 562,
  561, 560, 559, 558, 557, 556, 555, 554, 553, 552, 552, 551, 550, 549, 548, 547,
  546, 545, 545, 544, 543, 542, 541, 541, 540, 539, 538, 537, 537, 536, 535, 535,
  534, 533, 532, 532, 531, 530, 530, 529, 528, 528, 527, 526, 526, 525, 524, 524,
]);

/** Length of the output of the last successful run. */
export let precompileOutput: u32 = 0;

@inline function wordsOf(length: u32): i64 {
  return <i64>((<u64>length + 31) >> 5);
}

function msmGas(pairs: i64, price: i64, discounts: usize): i64 {
  if (pairs == 0) return 0;
  const discount = <i64>load<u16>(discounts + (<usize>((pairs > 128 ? 128 : pairs) - 1) << 1));
  return (pairs * price * discount) / 1000;
}

/**
 * Runs precompile `id` on `length` bytes at `from`; `area` is free memory above all frames. Returns the gas left, or
 * -1 when it fails and takes all gas.
 */
export function runPrecompile(id: u32, from: usize, length: u32, gas: i64, area: usize): i64 {
  precompileOutput = 0;
  let cost: i64 = 0;
  switch (id) {
    case 1: {
      cost = 3000;
      break;
    }
    case 2: {
      cost = 60 + 12 * wordsOf(length);
      if (gas < cost) return -1;
      sha256(RETBUF, from, length);
      precompileOutput = 32;
      return gas - cost;
    }
    case 3: {
      cost = 600 + 120 * wordsOf(length);
      if (gas < cost) return -1;
      memory.fill(RETBUF, 0, 12);
      ripemd160(RETBUF + 12, from, length);
      precompileOutput = 32;
      return gas - cost;
    }
    case 4: {
      cost = 15 + 3 * wordsOf(length);
      if (gas < cost) return -1;
      if (<usize>length > RETBUF_END - RETBUF) {
        stop(HALT_RESOURCE);
        return -1;
      }
      memory.copy(RETBUF, from, length);
      precompileOutput = length;
      return gas - cost;
    }
    case 5:
      return runModexp(from, length, gas, area);
    case 6: {
      cost = 150;
      break;
    }
    case 7: {
      cost = 6000;
      break;
    }
    case 8: {
      cost = 45000 + 34000 * <i64>(length / 192);
      break;
    }
    case 9: {
      if (length != 213 || load<u8>(from, 212) > 1) return -1;
      cost = <i64>bswap<u32>(load<u32>(from));
      if (gas < cost) return -1;
      blake2f(RETBUF, from);
      precompileOutput = 64;
      return gas - cost;
    }
    case 0x0a: {
      cost = 50000;
      break;
    }
    case 0x0b: {
      cost = 375;
      break;
    }
    case 0x0c: {
      cost = msmGas(<i64>(length / 160), 12000, G1_DISCOUNT);
      break;
    }
    case 0x0d: {
      cost = 600;
      break;
    }
    case 0x0e: {
      cost = msmGas(<i64>(length / 288), 22500, G2_DISCOUNT);
      break;
    }
    case 0x0f: {
      cost = 37700 + 32600 * <i64>(length / 384);
      break;
    }
    case 0x10: {
      cost = 5500;
      break;
    }
    case 0x11: {
      cost = 23800;
      break;
    }
    case 0x100: {
      cost = 6900;
      break;
    }
    default:
      return -1;
  }
  if (gas < cost) return -1;
  const written = hostPrecompile(id, from, length, RETBUF);
  if (written < 0) return -1;
  precompileOutput = <u32>written;
  return gas - cost;
}

/** A big-endian word of the input, zero beyond its end; saturates at 2^63. */
function lengthAt(from: usize, length: u32, offset: u32): u64 {
  let value: u64 = 0;
  for (let i: u32 = 0; i < 32; i++) {
    const byte = offset + i < length ? <u64>load<u8>(from + offset + i) : 0;
    if (value >> 55 != 0) return <u64>1 << 63;
    value = (value << 8) | byte;
  }
  return value;
}

/** Copies input bytes, zero beyond the end. */
function copyInput(to: usize, from: usize, length: u32, offset: u64, count: usize): void {
  memory.fill(to, 0, count);
  if (offset >= <u64>length) return;
  const have = <usize>(<u64>length - offset);
  memory.copy(to, from + <usize>offset, have < count ? have : count);
}

function runModexp(from: usize, length: u32, gas: i64, area: usize): i64 {
  const osaka = load<u32>(ENV, E_FORK) >= OSAKA;
  const baseLen = lengthAt(from, length, 0), expLen = lengthAt(from, length, 32), modLen = lengthAt(from, length, 64);
  if (osaka && (baseLen > 1024 || expLen > 1024 || modLen > 1024)) return -1;
  // The first word of the exponent gives the iteration count.
  const headLen: usize = expLen > 32 ? 32 : <usize>expLen;
  const head = SCRATCH + 0x400;
  let bits: u64 = 0;
  if (baseLen < 0x100000000) {
    copyInput(head, from, length, 96 + baseLen, headLen);
    for (let i: usize = 0; i < headLen; i++) {
      const byte = <u32>load<u8>(head + i);
      if (byte != 0) {
        bits = (<u64>(headLen - i) << 3) - <u64>(clz<u32>(byte) - 24) - 1;
        break;
      }
    }
  }
  const longest = baseLen > modLen ? baseLen : modLen;
  let iterations = bits;
  if (expLen > 32) {
    const more = expLen - 32;
    if (more >> 50 != 0) iterations = <u64>1 << 54;
    else iterations += more * (osaka ? 16 : 8);
  }
  if (iterations == 0) iterations = 1;
  let cost: u64;
  if (longest >> 32 != 0) {
    // Words squared alone exceed any gas, unless nothing is multiplied: then the length itself decides below.
    return -1;
  }
  const words = (longest + 7) >> 3;
  let complexity = words * words;
  if (osaka) complexity = longest <= 32 ? 16 : complexity * 2;
  if (complexity != 0 && iterations > (<u64>1 << 62) / complexity) return -1;
  cost = complexity * iterations;
  if (!osaka) cost /= 3;
  const least: u64 = osaka ? 500 : 200;
  if (cost < least) cost = least;
  if (<u64>gas < cost) return -1;
  if (modLen == 0) return gas - <i64>cost;
  const b = area, e = b + <usize>baseLen, m = e + <usize>expLen, work = (m + <usize>modLen + 7) & ~7;
  if (
    expLen >> 30 != 0 || work + <usize>baseLen + 8 * <usize>modLen + 256 > MEM_END || <usize>modLen > RETBUF_END - RETBUF
  ) {
    stop(HALT_RESOURCE);
    return -1;
  }
  copyInput(b, from, length, 96, <usize>baseLen);
  copyInput(e, from, length, 96 + baseLen, <usize>expLen);
  copyInput(m, from, length, 96 + baseLen + expLen, <usize>modLen);
  modexp(RETBUF, b, <usize>baseLen, e, <usize>expLen, m, <usize>modLen, work);
  precompileOutput = <u32>modLen;
  return gas - <i64>cost;
}
