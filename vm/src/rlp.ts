/** Owns RLP reading: strict (canonical lengths only), in place, one item at a time. */

/** The item read last: its payload and whether it is a list. */
export let itemAt: usize = 0;
export let itemLength: u32 = 0;
export let itemIsList: bool = false;

/** Reads the item at `at`, which must end at or before `end`. Returns where the next one starts, 0 when malformed. */
export function readItem(at: usize, end: usize): usize {
  if (at >= end) return 0;
  const first = <u32>load<u8>(at);
  if (first < 0x80) {
    itemAt = at;
    itemLength = 1;
    itemIsList = false;
    return at + 1;
  }
  const list = first >= 0xc0;
  const short = first - (list ? 0xc0 : 0x80);
  let length = short;
  let start = at + 1;
  if (short > 55) {
    const bytes = short - 55;
    if (start + bytes > end || bytes > 4) return 0;
    if (load<u8>(start) == 0) return 0;
    length = 0;
    for (let i: u32 = 0; i < bytes; i++) length = (length << 8) | <u32>load<u8>(start + i);
    if (length < 56) return 0;
    start += bytes;
  } else if (!list && length == 1 && start < end && load<u8>(start) < 0x80) return 0;
  if (<u64>start + <u64>length > <u64>end) return 0;
  itemAt = start;
  itemLength = length;
  itemIsList = list;
  return start + length;
}

/** The last item as an unsigned integer of at most `bytes` bytes, no leading zero. */
@inline export function isInteger(bytes: u32): bool {
  return !itemIsList && itemLength <= bytes && (itemLength == 0 || load<u8>(itemAt) != 0);
}

export function itemU64(): u64 {
  let value: u64 = 0;
  for (let i: u32 = 0; i < itemLength; i++) value = (value << 8) | <u64>load<u8>(itemAt + i);
  return value;
}
