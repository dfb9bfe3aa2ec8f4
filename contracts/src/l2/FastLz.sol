// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title FastLz
/// @notice Length of the FastLZ (level 1) compression of some bytes, which the L1 data fee of Fjord is a function of.
///         Only the length is computed; nothing is compressed. It must equal what the node computes, byte for byte,
///         since users are charged by the node and told by this contract.
library FastLz {
    /// @dev The hash table has 8,192 entries of 4 bytes.
    uint256 private constant TABLE_BYTES = 32_768;

    function compressedLength(bytes memory data) internal pure returns (uint256 n) {
        assembly ("memory-safe") {
            // Three bytes at `q`, little-endian.
            function u24(q) -> v {
                let w := mload(q)
                v := or(or(byte(0, w), shl(8, byte(1, w))), shl(16, byte(2, w)))
            }
            // Place in the table for three bytes.
            function slotOf(table, v) -> s {
                s := add(table, shl(2, and(shr(19, mul(2654435769, v)), 0x1fff)))
            }
            // The table holds positions as 4-byte words.
            function get(s) -> v {
                v := shr(224, mload(s))
            }
            function put(s, v) {
                let w := mload(s)
                mstore(s, or(shl(224, v), and(w, sub(shl(224, 1), 1))))
            }
            // Bytes that a run of `r` literals takes: one of control for each 32.
            function literals(r) -> v {
                v := add(r, div(add(r, 31), 32))
            }

            let length := mload(data)
            let base := add(data, 32)
            let anchor := 0

            if gt(length, 13) {
                let table := mload(64)
                // Fresh memory is not always zero, and the table must be; 32 bytes more for the last entry's word.
                calldatacopy(table, calldatasize(), add(TABLE_BYTES, 32))
                let limit := sub(length, 13)
                let at := 2
                for {} lt(at, limit) {} {
                    let ref := 0
                    let distance := 0
                    for {} 1 {} {
                        let v := u24(add(base, at))
                        let s := slotOf(table, v)
                        ref := get(s)
                        put(s, at)
                        distance := sub(at, ref)
                        if iszero(lt(at, limit)) { break }
                        at := add(at, 1)
                        if lt(distance, 0x2000) {
                            if eq(v, u24(add(base, ref))) { break }
                        }
                    }
                    if iszero(lt(at, limit)) { break }
                    at := sub(at, 1)
                    if gt(at, anchor) { n := add(n, literals(sub(at, anchor))) }

                    // Length of the match beyond its first three bytes, up to four bytes before the end.
                    let l := 0
                    let p := add(base, add(ref, 3))
                    let q := add(base, add(at, 3))
                    for { let max := sub(add(limit, 9), add(at, 3)) } lt(l, max) {} {
                        let differs := iszero(eq(byte(0, mload(add(p, l))), byte(0, mload(add(q, l)))))
                        l := add(l, 1)
                        if differs { break }
                    }
                    at := add(at, l)
                    // A match takes three bytes for each 262 of its length, and two or three for the rest.
                    let m := sub(l, 1)
                    n := add(n, mul(3, div(m, 262)))
                    n := add(n, sub(3, lt(mod(m, 262), 6)))

                    put(slotOf(table, u24(add(base, at))), at)
                    at := add(at, 1)
                    put(slotOf(table, u24(add(base, at))), at)
                    at := add(at, 1)
                    anchor := at
                }
            }
            n := add(n, literals(sub(length, anchor)))
        }
    }
}
