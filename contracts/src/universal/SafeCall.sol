// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title SafeCall
/// @notice Calls to untrusted targets: return data is never copied (no memory bombs), and a caller cannot starve the
///         target of the gas it was promised and so make it fail.
library SafeCall {
    /// @dev Too little gas is left to give the target its minimum.
    error NotEnoughGas(uint256 gasLeft, uint256 minGas);

    /// @dev What a call with value to a cold address may cost before the target sees any gas: 2,600 + 9,000 + 25,000,
    ///      rounded up, with room for the memory of the arguments.
    uint256 private constant CALL_OVERHEAD = 40_000;

    /// @notice Calls `target` with `gasAmount` and discards what it returns.
    function callWithGas(address target, uint256 gasAmount, uint256 value, bytes memory data)
        internal
        returns (bool success)
    {
        assembly ("memory-safe") {
            success := call(gasAmount, target, value, add(data, 32), mload(data), 0, 0)
        }
    }

    /// @notice True when a call made now leaves the target at least `minGas` and this frame `reservedGas`. By EIP-150
    ///         the target gets at most 63/64 of what is left after the cost of the call itself.
    function hasMinGas(uint256 minGas, uint256 reservedGas) internal view returns (bool) {
        return gasleft() * 63 >= minGas * 64 + (CALL_OVERHEAD + reservedGas) * 63;
    }

    /// @notice Calls `target` with all gas and reverts beforehand unless at least `minGas` reaches it.
    function callWithMinGas(address target, uint256 minGas, uint256 value, bytes memory data)
        internal
        returns (bool success)
    {
        if (!hasMinGas(minGas, 0)) revert NotEnoughGas(gasleft(), minGas);
        success = callWithGas(target, gasleft(), value, data);
    }
}
