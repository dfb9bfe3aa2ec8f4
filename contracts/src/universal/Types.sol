// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title Types
/// @notice Structures that cross contracts; field order is part of the ABI that OP Stack tools encode.
library Types {
    /// @notice A claim about the state of a cluster after a block.
    /// @custom:field outputRoot    Hash of the four parts of {OutputRootProof}.
    /// @custom:field timestamp     L1 time at which it was proposed, in seconds.
    /// @custom:field l2BlockNumber Block after which it holds.
    struct OutputProposal {
        bytes32 outputRoot;
        uint128 timestamp;
        uint128 l2BlockNumber;
    }

    /// @notice Preimage of an output root.
    struct OutputRootProof {
        bytes32 version;
        bytes32 stateRoot;
        bytes32 messagePasserStorageRoot;
        bytes32 latestBlockhash;
    }

    /// @notice A message from L2 to L1, as recorded by the L2ToL1MessagePasser.
    struct WithdrawalTransaction {
        uint256 nonce;
        address sender;
        address target;
        uint256 value;
        uint256 gasLimit;
        bytes data;
    }
}
