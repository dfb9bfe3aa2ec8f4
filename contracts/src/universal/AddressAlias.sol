// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title AddressAlias
/// @notice Keeps L1 contracts and L2 contracts of the same address apart: on L2, a deposit made by an L1 contract
///         comes from the contract's address plus an offset.
library AddressAlias {
    uint160 private constant OFFSET = uint160(0x1111000000000000000000000000000000001111);

    /// @dev First bytes of the code of an account that delegates by EIP-7702.
    bytes3 private constant DELEGATION_PREFIX = 0xef0100;

    function toL2(address l1) internal pure returns (address) {
        unchecked {
            return address(uint160(l1) + OFFSET);
        }
    }

    function toL1(address l2) internal pure returns (address) {
        unchecked {
            return address(uint160(l2) - OFFSET);
        }
    }

    /// @notice True when the caller is an account with a key: the sender of the transaction, or one whose code is an
    ///         EIP-7702 delegation. Such an account has the same owner on both layers and needs no alias.
    function callerHasKey() internal view returns (bool) {
        if (msg.sender == tx.origin) return true;
        if (msg.sender.code.length != 23) return false;
        bytes32 head;
        address account = msg.sender;
        assembly ("memory-safe") {
            extcodecopy(account, 0, 0, 3)
            head := mload(0)
        }
        return bytes3(head) == DELEGATION_PREFIX;
    }
}
