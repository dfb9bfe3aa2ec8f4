// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Types} from "./Types.sol";

/// @title Hashing
/// @notice The hashes that both layers and outside tools must agree on, and the versioned message nonce.
library Hashing {
    /// @dev The version sits in the two upper bytes of a nonce.
    uint256 private constant VERSION_SHIFT = 240;

    /// @notice Hash under which a withdrawal is recorded on L2 and proven on L1.
    function hashWithdrawal(Types.WithdrawalTransaction memory withdrawal) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                withdrawal.nonce,
                withdrawal.sender,
                withdrawal.target,
                withdrawal.value,
                withdrawal.gasLimit,
                withdrawal.data
            )
        );
    }

    /// @notice Output root of the four parts it commits to.
    function hashOutputRoot(Types.OutputRootProof memory proof) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(proof.version, proof.stateRoot, proof.messagePasserStorageRoot, proof.latestBlockhash)
        );
    }

    /// @notice Hash that identifies a version-1 message between the two messengers.
    function hashMessage(
        uint256 nonce,
        address sender,
        address target,
        uint256 value,
        uint256 gasLimit,
        bytes memory data
    ) internal pure returns (bytes32) {
        return keccak256(
            abi.encodeWithSignature(
                "relayMessage(uint256,address,address,uint256,uint256,bytes)",
                nonce,
                sender,
                target,
                value,
                gasLimit,
                data
            )
        );
    }

    /// @notice Puts `version` into the upper 16 bits of a nonce below 2**240.
    function versionedNonce(uint240 nonce, uint16 version) internal pure returns (uint256) {
        return (uint256(version) << VERSION_SHIFT) | nonce;
    }

    /// @notice Version in a versioned nonce.
    function nonceVersion(uint256 nonce) internal pure returns (uint16) {
        return uint16(nonce >> VERSION_SHIFT);
    }
}
