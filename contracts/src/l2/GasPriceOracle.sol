// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Predeploys} from "../universal/Predeploys.sol";
import {FastLz} from "./FastLz.sol";
import {L1Block} from "./L1Block.sol";

/// @title GasPriceOracle
/// @notice Tells users the L1 data fee that the node charges: the formula of Fjord, in integer arithmetic, over the
///         size that FastLZ would compress the transaction to.
contract GasPriceOracle {
    /// @dev The parameter has no meaning since Ecotone.
    error Deprecated();

    string public constant version = "1.4.0";

    /// @notice Decimals of the scalars.
    uint256 public constant DECIMALS = 6;
    /// @dev Regression of compressed size on FastLZ size, both scaled by 1e6.
    int256 private constant COST_INTERCEPT = -42_585_600;
    uint256 private constant COST_FASTLZ_COEFFICIENT = 836_500;
    /// @dev Smallest estimate of a transaction's size in bytes.
    uint256 private constant MIN_TRANSACTION_SIZE = 100;
    /// @dev Bytes of a signature, which an unsigned transaction still lacks and which do not compress.
    uint256 private constant SIGNATURE_SIZE = 68;
    L1Block private constant L1_BLOCK = L1Block(Predeploys.L1_BLOCK);

    /// @notice L1 data fee in wei of an unsigned, RLP-encoded transaction.
    function getL1Fee(bytes memory data) external view returns (uint256) {
        return _cost(FastLz.compressedLength(data) + SIGNATURE_SIZE);
    }

    /// @notice An upper bound in wei for a transaction of `unsignedTxSize` bytes, whatever it holds.
    function getL1FeeUpperBound(uint256 unsignedTxSize) external view returns (uint256) {
        // Where nothing repeats, FastLZ adds one byte to each 32 or fewer.
        return _cost(unsignedTxSize + (unsignedTxSize + 31) / 32 + SIGNATURE_SIZE);
    }

    /// @notice Gas of the estimated size at 16 a byte.
    function getL1GasUsed(bytes memory data) external pure returns (uint256) {
        return (_estimatedSize(FastLz.compressedLength(data) + SIGNATURE_SIZE) * 16) / (10 ** DECIMALS);
    }

    /// @notice Clusters charge no operator fee.
    function getOperatorFee(uint256) external pure returns (uint256) {
        return 0;
    }

    function gasPrice() external view returns (uint256) {
        return block.basefee;
    }

    function baseFee() external view returns (uint256) {
        return block.basefee;
    }

    function l1BaseFee() external view returns (uint256) {
        return L1_BLOCK.basefee();
    }

    function blobBaseFee() external view returns (uint256) {
        return L1_BLOCK.blobBaseFee();
    }

    function baseFeeScalar() external view returns (uint32) {
        return L1_BLOCK.baseFeeScalar();
    }

    function blobBaseFeeScalar() external view returns (uint32) {
        return L1_BLOCK.blobBaseFeeScalar();
    }

    function overhead() external pure returns (uint256) {
        revert Deprecated();
    }

    function scalar() external pure returns (uint256) {
        revert Deprecated();
    }

    function decimals() external pure returns (uint256) {
        return DECIMALS;
    }

    function isEcotone() external pure returns (bool) {
        return true;
    }

    function isFjord() external pure returns (bool) {
        return true;
    }

    function isIsthmus() external pure returns (bool) {
        return false;
    }

    function isJovian() external pure returns (bool) {
        return false;
    }

    function _cost(uint256 fastLzSize) private view returns (uint256) {
        uint256 weighted = uint256(L1_BLOCK.baseFeeScalar()) * 16 * L1_BLOCK.basefee()
            + uint256(L1_BLOCK.blobBaseFeeScalar()) * L1_BLOCK.blobBaseFee();
        return (_estimatedSize(fastLzSize) * weighted) / (10 ** (DECIMALS * 2));
    }

    /// @dev Bytes scaled by 1e6.
    function _estimatedSize(uint256 fastLzSize) private pure returns (uint256) {
        int256 size = COST_INTERCEPT + int256(COST_FASTLZ_COEFFICIENT * fastLzSize);
        int256 least = int256(MIN_TRANSACTION_SIZE * 10 ** DECIMALS);
        return uint256(size < least ? least : size);
    }
}
