// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Predeploys} from "../universal/Predeploys.sol";

/// @title L1Block
/// @notice What a cluster knows of its L1 origin, written by the first transaction of each block. The storage layout is
///         that of the OP Stack, since tools and nodes read it directly.
contract L1Block {
    /// @dev Only the L1-attributes transaction writes here.
    error NotDepositor();

    string public constant version = "1.5.1";

    /// @notice Number of the L1 block. Slot 0.
    uint64 public number;
    /// @notice Time of the L1 block in seconds.
    uint64 public timestamp;
    /// @notice Base fee of the L1 block in wei. Slot 1.
    uint256 public basefee;
    /// @notice Hash of the L1 block. Slot 2.
    bytes32 public hash;
    /// @notice Blocks of this cluster since the L1 block became the origin. Slot 3.
    uint64 public sequenceNumber;
    /// @notice Scalar of the blob base fee in the L1 data fee.
    uint32 public blobBaseFeeScalar;
    /// @notice Scalar of the base fee in the L1 data fee.
    uint32 public baseFeeScalar;
    /// @notice Who posts the cluster's data, as the SystemConfig states it. Slot 4.
    bytes32 public batcherHash;
    /// @notice Parameter of the fee before Ecotone; always zero. Slot 5.
    uint256 public l1FeeOverhead;
    /// @notice Parameter of the fee before Ecotone; always zero. Slot 6.
    uint256 public l1FeeScalar;
    /// @notice Blob base fee of the L1 block in wei. Slot 7.
    uint256 public blobBaseFee;

    /// @notice Takes the packed attributes that follow the selector: baseFeeScalar (4 bytes), blobBaseFeeScalar (4),
    ///         sequenceNumber (8), timestamp (8), number (8), basefee (32), blobBaseFee (32), hash (32),
    ///         batcherHash (32).
    function setL1BlockValuesEcotone() external {
        if (msg.sender != Predeploys.DEPOSITOR) revert NotDepositor();
        assembly ("memory-safe") {
            // Packed as the slots are, so each pair of words moves whole.
            sstore(sequenceNumber.slot, shr(128, calldataload(4)))
            sstore(number.slot, shr(128, calldataload(20)))
            sstore(basefee.slot, calldataload(36))
            sstore(blobBaseFee.slot, calldataload(68))
            sstore(hash.slot, calldataload(100))
            sstore(batcherHash.slot, calldataload(132))
        }
    }

    function DEPOSITOR_ACCOUNT() external pure returns (address) {
        return Predeploys.DEPOSITOR;
    }

    /// @notice Clusters charge no operator fee.
    function operatorFeeScalar() external pure returns (uint32) {
        return 0;
    }

    /// @notice Clusters charge no operator fee.
    function operatorFeeConstant() external pure returns (uint64) {
        return 0;
    }

    function gasPayingToken() external pure returns (address token, uint8 decimals) {
        return (0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE, 18);
    }

    function isCustomGasToken() external pure returns (bool) {
        return false;
    }
}
