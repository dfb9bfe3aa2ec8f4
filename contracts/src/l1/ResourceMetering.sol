// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title ResourceMetering
/// @notice Sells the L2 gas of deposits. Deposits are forced on the cluster, so their gas per L1 block is capped and has
///         a price of its own, which moves with demand as EIP-1559's does and is paid by burning L1 gas.
///         Invariant: at most `MAX_RESOURCE_LIMIT` gas is sold in one L1 block.
abstract contract ResourceMetering {
    /// @dev This L1 block has too little deposit gas left.
    error ResourceLimitExceeded(uint64 bought, uint64 asked, uint64 limit);

    /// @notice L2 gas that deposits may buy in one L1 block.
    uint64 public constant MAX_RESOURCE_LIMIT = 20_000_000;
    /// @notice The price stays when this share (one tenth) of the limit is bought.
    uint64 public constant ELASTICITY_MULTIPLIER = 10;
    /// @notice The price moves by at most one eighth a block below, and nine eighths above the target.
    uint64 public constant BASE_FEE_MAX_CHANGE_DENOMINATOR = 8;
    /// @notice Floor of the price, in wei.
    uint128 public constant MINIMUM_BASE_FEE = 1 gwei;
    /// @notice Ceiling of the price, in wei: far above all use, low enough that nothing overflows.
    uint128 public constant MAXIMUM_BASE_FEE = 1e24;

    uint64 private constant TARGET = MAX_RESOURCE_LIMIT / ELASTICITY_MULTIPLIER;

    /// @notice State of the market.
    /// @custom:field prevBaseFee   Price of L2 gas in wei, as of the last deposit.
    /// @custom:field prevBoughtGas L2 gas bought in the L1 block of the last deposit.
    /// @custom:field prevBlockNum  L1 block of the last deposit.
    struct ResourceParams {
        uint128 prevBaseFee;
        uint64 prevBoughtGas;
        uint64 prevBlockNum;
    }

    ResourceParams public params;
    /// @dev Room for later versions.
    uint256[49] private __gap;

    /// @dev Buys `amount` of L2 gas for the body: what the body leaves unpaid is burnt.
    modifier metered(uint64 amount) {
        uint256 gasAtStart = gasleft();
        _;
        _buy(amount, gasAtStart);
    }

    function _initResourceMetering() internal {
        params = ResourceParams({prevBaseFee: MINIMUM_BASE_FEE, prevBoughtGas: 0, prevBlockNum: uint64(block.number)});
    }

    function _buy(uint64 amount, uint256 gasAtStart) private {
        ResourceParams memory market = params;
        uint256 elapsed = block.number - market.prevBlockNum;
        if (elapsed > 0) {
            market.prevBaseFee = _nextBaseFee(market.prevBaseFee, market.prevBoughtGas, elapsed);
            market.prevBoughtGas = 0;
            market.prevBlockNum = uint64(block.number);
        }
        // Not `prevBoughtGas + amount`, which the caller could make overflow.
        if (amount > MAX_RESOURCE_LIMIT - market.prevBoughtGas) {
            revert ResourceLimitExceeded(market.prevBoughtGas, amount, MAX_RESOURCE_LIMIT);
        }
        unchecked {
            market.prevBoughtGas += amount;
        }
        params = market;

        // A base fee of L1 near zero must not make the price in gas absurd.
        uint256 gasCost = (uint256(amount) * market.prevBaseFee) / Math.max(block.basefee, 1 gwei);
        while (gasAtStart - gasleft() < gasCost) {}
    }

    /// @dev The price after `elapsed` L1 blocks of which only the first had deposits.
    function _nextBaseFee(uint128 baseFee, uint64 bought, uint256 elapsed) private pure returns (uint128) {
        uint256 price = baseFee;
        if (bought >= TARGET) {
            price += (price * (bought - TARGET)) / TARGET / BASE_FEE_MAX_CHANGE_DENOMINATOR;
        } else {
            price -= (price * (TARGET - bought)) / TARGET / BASE_FEE_MAX_CHANGE_DENOMINATOR;
        }
        if (price > MAXIMUM_BASE_FEE) price = MAXIMUM_BASE_FEE;

        // Each empty block takes an eighth; from the ceiling it is at the floor after 260 of them.
        uint256 empty = Math.min(elapsed - 1, 300);
        for (uint256 i = 0; i < empty && price > MINIMUM_BASE_FEE; ++i) {
            price -= price / BASE_FEE_MAX_CHANGE_DENOMINATOR;
        }
        return uint128(price < MINIMUM_BASE_FEE ? MINIMUM_BASE_FEE : price);
    }
}
