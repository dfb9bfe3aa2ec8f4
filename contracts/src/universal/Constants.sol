// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title Constants
/// @notice Values that mean the same in several contracts.
library Constants {
    /// @notice `tx.origin` of a gas estimation: calls that would only be recorded as failed revert for it, so that the
    ///         estimate is high enough for them to succeed. The address has no known key.
    address internal constant ESTIMATION_ADDRESS = address(1);

    /// @notice What `l2Sender` answers outside of a withdrawal.
    address internal constant DEFAULT_L2_SENDER = 0x000000000000000000000000000000000000dEaD;
}
