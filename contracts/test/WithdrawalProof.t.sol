// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {SheafPortal} from "../src/l1/SheafPortal.sol";
import {Hashing} from "../src/universal/Hashing.sol";
import {Types} from "../src/universal/Types.sol";
import {DeployedCluster} from "./SheafTest.sol";

/// @notice The portal against tries of an independent implementation; see scripts/vectors.ts.
contract WithdrawalProofTest is DeployedCluster {
    string private json;

    function setUp() public {
        startCluster();
        json = vm.readFile("test/vectors/withdrawal-proofs.json");
    }

    function readWithdrawal(string memory path)
        private
        view
        returns (Types.WithdrawalTransaction memory w, bytes[] memory proof)
    {
        w = Types.WithdrawalTransaction({
            nonce: vm.parseJsonUint(json, string.concat(path, ".nonce")),
            sender: vm.parseJsonAddress(json, string.concat(path, ".sender")),
            target: vm.parseJsonAddress(json, string.concat(path, ".target")),
            value: vm.parseJsonUint(json, string.concat(path, ".value")),
            gasLimit: vm.parseJsonUint(json, string.concat(path, ".gasLimit")),
            data: vm.parseJsonBytes(json, string.concat(path, ".data"))
        });
        vm.assertEq(Hashing.hashWithdrawal(w), vm.parseJsonBytes32(json, string.concat(path, ".hash")));
        proof = vm.parseJsonBytesArray(json, string.concat(path, ".proof"));
    }

    function readRootProof(string memory path) private view returns (Types.OutputRootProof memory p) {
        p = Types.OutputRootProof({
            version: bytes32(0),
            stateRoot: vm.parseJsonBytes32(json, string.concat(path, ".stateRoot")),
            messagePasserStorageRoot: vm.parseJsonBytes32(json, string.concat(path, ".storageRoot")),
            latestBlockhash: vm.parseJsonBytes32(json, string.concat(path, ".blockHash"))
        });
        vm.assertEq(Hashing.hashOutputRoot(p), vm.parseJsonBytes32(json, string.concat(path, ".outputRoot")));
    }

    function passer(uint256 i) private pure returns (string memory) {
        return string.concat(".passers[", vm.toString(i), "]");
    }

    function entry(uint256 i, uint256 k) private pure returns (string memory) {
        return string.concat(passer(i), ".withdrawals[", vm.toString(k), "]");
    }

    function propose(uint256 i) private returns (uint256 index, Types.OutputRootProof memory rootProof) {
        rootProof = readRootProof(passer(i));
        index = oracle.nextOutputIndex();
        uint256 next = oracle.nextBlockNumber();
        vm.prank(proposer);
        oracle.proposeL2Output(Hashing.hashOutputRoot(rootProof), next, bytes32(0), 0);
    }

    function test_realProofsProve() public {
        uint256 proven = 0;
        for (uint256 i = 0; i < 5; ++i) {
            (uint256 index, Types.OutputRootProof memory rootProof) = propose(i);
            for (uint256 k = 0; vm.keyExistsJson(json, entry(i, k)); ++k) {
                (Types.WithdrawalTransaction memory w, bytes[] memory proof) = readWithdrawal(entry(i, k));
                portal.proveWithdrawalTransaction(w, index, rootProof, proof);
                ++proven;
            }
        }
        vm.assertGe(proven, 14);
    }

    function test_proofsOfAbsenceProveNothing() public {
        for (uint256 i = 0; i < 5; ++i) {
            (uint256 index, Types.OutputRootProof memory rootProof) = propose(i);
            (Types.WithdrawalTransaction memory w, bytes[] memory proof) =
                readWithdrawal(string.concat(passer(i), ".absent"));
            vm.expectRevert();
            portal.proveWithdrawalTransaction(w, index, rootProof, proof);
        }
    }

    function test_proofsOfAnotherRootOrWithdrawalProveNothing() public {
        (uint256 index, Types.OutputRootProof memory rootProof) = propose(4);
        (Types.WithdrawalTransaction memory first, bytes[] memory proofOfFirst) = readWithdrawal(entry(4, 0));
        (Types.WithdrawalTransaction memory second, bytes[] memory proofOfSecond) = readWithdrawal(entry(4, 1));
        (Types.WithdrawalTransaction memory other, bytes[] memory proofOfOther) = readWithdrawal(entry(3, 0));
        vm.expectRevert();
        portal.proveWithdrawalTransaction(first, index, rootProof, proofOfSecond);
        vm.expectRevert();
        portal.proveWithdrawalTransaction(second, index, rootProof, proofOfFirst);
        vm.expectRevert();
        portal.proveWithdrawalTransaction(other, index, rootProof, proofOfOther);
    }

    /// @dev Any change of any node, any missing, doubled or added node: the proof must fail, by whatever error.
    function testFuzz_damagedProofsProveNothing(uint256 which, uint256 kind, uint256 place, uint8 change) public {
        (uint256 index, Types.OutputRootProof memory rootProof) = propose(4);
        (Types.WithdrawalTransaction memory w, bytes[] memory proof) = readWithdrawal(entry(4, which % 4));
        uint256 node = place % proof.length;
        bytes[] memory damaged;
        if (kind % 4 == 0) {
            damaged = proof;
            uint256 offset = (place / 7) % proof[node].length;
            damaged[node][offset] = bytes1(uint8(damaged[node][offset]) ^ (change | 1));
        } else if (kind % 4 == 1) {
            damaged = new bytes[](proof.length - 1);
            for (uint256 i = 0; i < damaged.length; ++i) damaged[i] = proof[i < node ? i : i + 1];
        } else {
            damaged = new bytes[](proof.length + 1);
            for (uint256 i = 0; i < damaged.length; ++i) damaged[i] = proof[i <= node ? i : i - 1];
            if (kind % 4 == 3) damaged[node] = abi.encodePacked(change);
        }
        (bool ok,) = address(portal).call(
            abi.encodeCall(portal.proveWithdrawalTransaction, (w, index, rootProof, damaged))
        );
        vm.assertFalse(ok, "a damaged proof proves nothing");
    }

    function testFuzz_changedWithdrawalsAreNotProven(uint256 field, uint256 change) public {
        (uint256 index, Types.OutputRootProof memory rootProof) = propose(4);
        (Types.WithdrawalTransaction memory w, bytes[] memory proof) = readWithdrawal(entry(4, 2));
        change = bound(change, 1, type(uint96).max);
        if (field % 6 == 0) w.nonce ^= change;
        else if (field % 6 == 1) w.sender = address(uint160(w.sender) ^ uint160(change));
        else if (field % 6 == 2) w.target = address(uint160(w.target) ^ uint160(change));
        else if (field % 6 == 3) w.value ^= change;
        else if (field % 6 == 4) w.gasLimit ^= change;
        else w.data = abi.encodePacked(w.data, uint96(change));
        (bool ok,) = address(portal).call(
            abi.encodeCall(portal.proveWithdrawalTransaction, (w, index, rootProof, proof))
        );
        vm.assertFalse(ok, "another withdrawal is not proven");
    }
}
